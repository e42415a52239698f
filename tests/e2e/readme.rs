//! The transcripts of the README are run, in order, in one folder.
//!
//! Ids, times, durations and the bars of the waterfall differ from run to run; they are compared
//! as placeholders. Everything else is compared as it stands.

use std::process::Command;

use regex::Regex;
use spanlite_tests::{Answer, repository};

/// The commands of the `console` blocks, each with the lines it prints.
fn transcripts(text: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match (line, inside) {
            ("```console", _) => inside = true,
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
    let transcripts = transcripts(&readme);
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
