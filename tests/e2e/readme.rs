//! The transcripts of the README are run, in order, in one folder.
//!
//! Ids, times, durations and the bars of the waterfall differ from run to run; they are compared
//! as placeholders. Everything else is compared as it stands.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use regex::Regex;
use spanlite_tests::{Answer, repository};

/// The commands of the blocks of one sort, each with the lines it prints.
fn transcripts(text: &str, fence: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match (line, inside) {
            (line, _) if line == fence => inside = true,
            ("```", true) => inside = false,
            (line, true) => match (line.strip_prefix("$ "), found.last_mut()) {
                (Some(command), _) => found.push((command.to_owned(), String::new())),
                (None, Some((_, output))) => output.extend([line, "\n"]),
                (None, None) => found.push((String::new(), format!("{line}\n"))),
            },
            _ => {}
        }
    }
    found
}

/// The text with a placeholder for what differs from run to run, and blanks run together.
fn comparable(text: &str) -> Vec<String> {
    let placeholders = [
        (r"│[^│]*│$", "BAR"),
        (r"^critical path: .*", "PATH"),
        (r"(tr-)?\b[0-9a-f]{8,32}\b", "ID"),
        (r"\d{4}-\d\d-\d\d", "DATE"),
        (r"\d\d:\d\d:\d\d", "TIME"),
        (r"\b\d+(\.\d+)?(ns|µs|ms|s)\b", "DUR"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r"(\s0)?(\s+DUR)+$", " AXIS"),
        (r"\s+", " "),
    ]
    .map(|(pattern, name)| (Regex::new(pattern).expect("the pattern is one"), name));
    let replace = |line: &str| {
        placeholders
            .iter()
            .fold(line.trim_end().to_owned(), |line, (pattern, name)| {
                pattern.replace_all(&line, *name).into_owned()
            })
    };
    text.lines()
        .filter(|line| !line.is_empty())
        .map(replace)
        .collect()
}

#[test]
fn the_readme_shows_what_the_command_prints() {
    let readme = repository().join("README.md");
    let readme = std::fs::read_to_string(readme).expect("the README is readable");
    let folder = tempfile::tempdir().expect("a scratch folder");
    let run = |command: &str| {
        let script = format!("spanlite() {{ \"$SPANLITE\" \"$@\"; }}\n{command}");
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &script])
            .current_dir(folder.path())
            .env("SPANLITE", env!("CARGO_BIN_EXE_spanlite-under-test"))
            .env("XDG_CONFIG_HOME", folder.path())
            .env("COLUMNS", "110")
            .env("LC_ALL", "C.UTF-8")
            .env_remove("SPANLITE_STORE");
        Answer::of(&mut shell)
    };
    assert_eq!(run("spanlite demo").code, Some(0));
    let transcripts = transcripts(&readme, "```console");
    assert!(transcripts.len() >= 5, "the README has its transcripts");
    for (command, shown) in transcripts {
        let answer = run(&command);
        let printed = if answer.code == Some(0) {
            answer.stdout
        } else {
            answer.stderr
        };
        assert_eq!(comparable(&printed), comparable(&shown), "{command}");
    }
}

/// Commands that run until Ctrl-C, in `text` blocks. They listen on any port here, so that tests
/// run beside each other.
#[test]
fn the_readme_shows_what_listening_commands_print() {
    let readme = repository().join("README.md");
    let readme = std::fs::read_to_string(readme).expect("the README is readable");
    let folder = tempfile::tempdir().expect("a scratch folder");
    let transcripts = transcripts(&readme, "```text");
    let commands: Vec<&str> = transcripts.iter().map(|(it, _)| it.as_str()).collect();
    assert_eq!(commands, ["spanlite receive", "spanlite proxy"]);
    let counts = Regex::new("[0-9,]+ (span|request|call)s").expect("the pattern is one");
    let without_counts = |text: &str| comparable(&counts.replace_all(text, "N ${1}s"));
    for (command, shown) in transcripts {
        let mut child = Command::new(env!("CARGO_BIN_EXE_spanlite-under-test"))
            .args(command.split_whitespace().skip(1))
            .args(["--listen", "127.0.0.1:0"])
            .current_dir(folder.path())
            .env("XDG_CONFIG_HOME", folder.path())
            .env_remove("SPANLITE_STORE")
            .env_remove("SPANLITE_TOKEN")
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("it has one"));
        let mut printed = String::new();
        while !printed.ends_with("Ctrl-C ends.\n") {
            let read = stdout.read_line(&mut printed).expect("it prints text");
            assert!(read > 0, "{command} ended: {printed}");
        }
        let told = Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status();
        assert!(told.expect("there is a kill").success());
        // What a terminal echoes.
        printed.push_str("^C");
        stdout.read_to_string(&mut printed).expect("it prints text");
        assert!(child.wait().expect("it ends").success(), "{command}");
        assert_eq!(
            without_counts(&printed),
            without_counts(&shown),
            "{command}"
        );
    }
}
