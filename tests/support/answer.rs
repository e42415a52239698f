#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "the support of tests fails a test by panicking"
)]

use std::process::{Command, Output};

use serde_json::Value;

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Answer {
    /// The exit code; absent when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Answer {
    /// Runs a command to its end. Output that is not UTF-8 fails the test.
    pub fn of(command: &mut Command) -> Self {
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().expect("the command starts");
        Self {
            code: status.code(),
            stdout: String::from_utf8(stdout).expect("standard output is UTF-8"),
            stderr: String::from_utf8(stderr).expect("standard error is UTF-8"),
        }
    }

    /// Holds that the command ended with this code.
    #[track_caller]
    #[must_use = "the answer is what the test is about"]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout: {}\nstderr: {}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.stdout))
    }

    /// Standard output as one JSON document a line.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).expect("each line is JSON");
        self.stdout.lines().map(parse).collect()
    }
}
