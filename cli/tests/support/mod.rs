//! A folder to run the built command in.

use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

/// Three traces of a shop's agents, as OTLP/JSON.
pub(crate) const AGENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/agents.otlp.json");

pub(crate) struct Place {
    pub(crate) folder: TempDir,
}

impl Place {
    pub(crate) fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn with_agents() -> Self {
        let place = Self::empty();
        place.done(&["import", AGENTS]);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spanlite"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .env("SPANLITE_UTC", "1")
            .env("TMPDIR", self.folder.path())
            .env("HOME", "/nonexistent");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What a command prints that ends well.
    pub(crate) fn done(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}
