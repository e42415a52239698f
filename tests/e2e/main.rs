//! The whole path: traces go in, are asked for, shown and written out again.
#![expect(
    clippy::expect_used,
    reason = "helpers of tests fail a test by panicking"
)]

mod hostile;
mod kill;
mod live;
mod parquet;
mod readme;
#[cfg(unix)]
mod receive;
mod roundtrip;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use spanlite_tests::Answer;

/// The command on a store, away from any configuration of the machine.
fn spanlite(store: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spanlite-under-test"));
    command
        .args(arguments)
        .arg("--store")
        .arg(store)
        .env_remove("SPANLITE_STORE")
        .env("XDG_CONFIG_HOME", store.with_extension("config"))
        .env("NO_COLOR", "1");
    command
}

/// Starts a program that writes traces until it is killed, with its output piped.
fn traced(store: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_traced"))
        .arg(store)
        .arg("endless")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the traced program starts")
}

/// Runs the command and holds that it succeeds.
#[track_caller]
fn run(store: &Path, arguments: &[&str]) -> Answer {
    Answer::of(&mut spanlite(store, arguments)).expect_code(0)
}

/// Imports files and gives the report of `import --json`.
#[track_caller]
fn import(store: &Path, paths: &[&Path]) -> serde_json::Value {
    let mut arguments = vec!["import", "--json"];
    arguments.extend(
        paths
            .iter()
            .map(|path| path.to_str().expect("test paths are UTF-8")),
    );
    run(store, &arguments).json()
}

/// The ids of the traces a query finds.
#[track_caller]
fn find(store: &Path, query: &str) -> Vec<String> {
    run(store, &["query", query, "--format", "ndjson"])
        .json_lines()
        .iter()
        .map(|row| {
            row["trace_id"]
                .as_str()
                .expect("a row names its trace")
                .to_owned()
        })
        .collect()
}
