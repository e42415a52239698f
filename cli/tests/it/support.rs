//! A folder to run the built command in.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// Three traces of a shop's agents, as OTLP/JSON.
pub(crate) const AGENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/agents.otlp.json");

/// The present of every run: three months after the traces of [`AGENTS`].
const NOW: &str = "2026-11-22T12:00:00Z";

/// A folder to run in, and the variables of the environment that are set.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
}

/// What a run printed and how it exited.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

impl Run {
    /// All of it in one text.
    pub(crate) fn transcript(&self) -> String {
        let mut text = self.stdout.clone();
        if !self.stderr.is_empty() {
            text.push_str("--- stderr\n");
            text.push_str(&self.stderr);
        }
        text + &format!("--- exit {}", self.code)
    }
}

impl Place {
    pub(crate) fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A place with a store of three traces.
    pub(crate) fn with_agents() -> Self {
        let place = Self::empty();
        place.done(&["import", AGENTS]);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The one segment of the store.
    pub(crate) fn segment(&self) -> PathBuf {
        let files = std::fs::read_dir(self.path("traces.spans")).unwrap();
        let mut files = files.map(|entry| entry.unwrap().path());
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "redb");
        files
            .find(|path| is_segment(path) && !path.ends_with("state.redb"))
            .unwrap()
    }

    /// A path of a run's output as it is.
    pub(crate) fn real(&self, printed: &str) -> PathBuf {
        PathBuf::from(printed.replace("FOLDER", self.folder.path().to_str().unwrap()))
    }

    pub(crate) fn write(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spanlite"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .env("SPANLITE_UTC", "1")
            .env("SPANLITE_NOW", NOW)
            .env("TMPDIR", ".")
            .env("HOME", "/nonexistent");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Run {
        self.run_with_input(args, "")
    }

    pub(crate) fn run_with_input(&self, args: &[&str], input: &str) -> Run {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that reads nothing may have ended by then.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        self.read(&child.wait_with_output().unwrap())
    }

    /// Runs any command.
    pub(crate) fn run_command(&self, command: &mut Command) -> Run {
        self.read(&command.output().unwrap())
    }

    fn read(&self, out: &Output) -> Run {
        let folder = self.folder.path().to_str().unwrap();
        let text = |bytes: &[u8]| {
            String::from_utf8(bytes.to_vec())
                .unwrap()
                .replace(folder, "FOLDER")
        };
        Run {
            stdout: text(&out.stdout),
            stderr: text(&out.stderr),
            code: out.status.code().unwrap(),
        }
    }

    /// What a command prints that ends well.
    pub(crate) fn done(&self, args: &[&str]) -> String {
        let run = self.run(args);
        assert_eq!(run.code, 0, "{args:?}: {run:?}");
        run.stdout
    }

    /// The transcript of a run, with ids that differ from run to run made equal.
    pub(crate) fn transcript(&self, args: &[&str]) -> String {
        let text = self.run(args).transcript();
        let mut out = String::new();
        for (index, piece) in text.split("a-").enumerate() {
            let hex = piece.bytes().take_while(u8::is_ascii_hexdigit).count();
            match index {
                0 => out.push_str(piece),
                _ if hex == 32 => {
                    out.push_str("a-ID");
                    out.push_str(piece.split_at(32).1);
                }
                _ => {
                    out.push_str("a-");
                    out.push_str(piece);
                }
            }
        }
        out
    }
}
