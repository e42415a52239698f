//! Runs the packages beside this one that must be built alone, because the features of a build
//! are those of all packages in it together.

#![expect(clippy::expect_used, reason = "these are tests")]

use std::process::Command;

use spanlite::{OpenOptions, StatusCode, Store};

fn cargo_run(package: &str) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["run", "--quiet", "--offline", "--package", package])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    command
}

fn run(package: &str) -> String {
    let out = cargo_run(package).output().expect("cargo runs");
    let complaints = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{complaints}");
    String::from_utf8(out.stdout).expect("texts")
}

#[test]
fn a_package_may_rename_the_sdk_and_do_without_the_prelude() {
    assert_eq!(run("spanlite-renamed"), "7 spans\n");
}

#[test]
fn without_the_feature_nothing_is_recorded_and_no_store_is_made() {
    assert_eq!(run("spanlite-disabled"), "0 spans\n");
}

#[test]
fn spans_are_stored_of_a_program_that_aborts_at_a_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("traces.spans");
    let out = cargo_run("spanlite-aborting")
        .args(["--profile", "aborting", "--"])
        .arg(&path)
        .output()
        .expect("cargo runs");
    let complaints = String::from_utf8_lossy(&out.stderr);
    assert!(complaints.contains("an empty question"), "{complaints}");
    let store = Store::open(&path, OpenOptions::default()).expect("it opens");
    let snapshot = store.snapshot().expect("it is read");
    let found = snapshot.find_prefix("").expect("it is read");
    assert_eq!(found.len(), 1);
    let trace = snapshot
        .trace(found[0])
        .expect("it is read")
        .expect("it is there");
    let mut seen = Vec::new();
    for span in &trace.spans {
        assert!(span.end_time_unix_nano.is_some(), "{} is open", span.name);
        let exception = span.events.iter().find(|event| event.name == "exception");
        let text = |key| {
            exception
                .and_then(|event| event.attributes.get_str(key))
                .unwrap_or("")
        };
        let place = text("exception.stacktrace");
        assert_eq!(exception.is_some(), place.contains("main.rs:"), "{place}");
        let tried = span.attributes.get("tried").is_some();
        seen.push((
            span.name.as_str(),
            span.status.code,
            text("exception.message"),
            tried,
        ));
    }
    seen.sort_unstable_by_key(|one| (one.0, one.1 as u8));
    let error = StatusCode::Error;
    let expected = [
        ("answer", StatusCode::Unset, "", true),
        ("answer", error, "an empty question", true),
        ("outer", error, "an empty question", false),
    ];
    assert_eq!(seen, expected);
}
