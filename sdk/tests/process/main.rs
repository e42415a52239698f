//! Programs that end in ways of their own. Each is this test binary, run again with one of the
//! ignored tests, which are no tests by themselves.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod disks;
mod families;
#[expect(dead_code, reason = "here a program fills the disk")]
#[path = "../../../tests/support/small_disk.rs"]
mod small_disk;

use std::path::Path;
use std::process::{Command, Output};

use spanlite::{OpenOptions, Overload, Store, in_span};

/// Traces that a program makes on each of three threads.
const EACH: usize = 300;

/// How a program of these files is called.
fn arguments(program: &str) -> [&str; 4] {
    ["--exact", program, "--ignored", "--nocapture"]
}

/// Runs a program of these files with a store at `path`.
fn run(program: &str, path: &Path) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(arguments(program))
        .env("SPANLITE_STORE", path)
        .output()
        .unwrap()
}

/// What a program that did well says after `key`.
fn said(key: &str, out: &Output) -> usize {
    let text = String::from_utf8_lossy(&out.stdout);
    let found = text
        .lines()
        .find_map(|line| line.split_once(key)?.1.trim().parse().ok());
    assert!(
        found.is_some(),
        "no `{key}` in {text}{}",
        String::from_utf8_lossy(&out.stderr)
    );
    found.unwrap()
}

/// How many traces a store holds, after it was opened for writing: that replays what is left of
/// killed programs.
fn stored(path: &Path) -> usize {
    let store = Store::open(path, OpenOptions::default()).unwrap();
    store.flush().unwrap();
    let traces = store.snapshot().unwrap().find_prefix("").unwrap().len();
    store.close().unwrap();
    traces
}

/// Makes traces here, on a thread that has ended, and on one that is idle afterwards.
fn work() {
    let make = || (0..EACH).for_each(|number| in_span("work", |span| span.set_inputs(number)));
    make();
    std::thread::spawn(make).join().unwrap();
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        make();
        done.send(()).unwrap();
        std::thread::park();
    });
    is_done.recv().unwrap();
}

#[test]
#[ignore = "a program of `what_ended_survives_the_end_of_the_program`"]
#[expect(
    clippy::disallowed_methods,
    clippy::exit,
    reason = "this is what is tested"
)]
fn exits_with_the_guard_held() {
    let _tracing = spanlite::builder().init().unwrap();
    work();
    std::process::exit(0);
}

#[test]
#[ignore = "a program of `what_ended_survives_the_end_of_the_program`"]
fn aborts() {
    let _tracing = spanlite::builder().init().unwrap();
    work();
    std::process::abort();
}

#[test]
#[ignore = "a program of `what_ended_survives_the_end_of_the_program`"]
fn panics() {
    let _tracing = spanlite::builder().init().unwrap();
    work();
    panic!("and the guard is dropped");
}

#[test]
#[ignore = "a program of `what_ended_survives_the_end_of_the_program`"]
fn returns() {
    let _tracing = spanlite::builder().init().unwrap();
    work();
}

#[test]
#[ignore = "a program of `what_ended_survives_the_end_of_the_program`"]
#[expect(
    clippy::disallowed_methods,
    clippy::exit,
    reason = "this is what is tested"
)]
fn exits_after_the_guard() {
    let tracing = spanlite::builder().init().unwrap();
    work();
    tracing.flush().unwrap();
    tracing.close().unwrap();
    std::process::exit(0);
}

#[test]
fn what_ended_survives_the_end_of_the_program() {
    let programs = [
        "exits_with_the_guard_held",
        "exits_after_the_guard",
        "aborts",
        "panics",
        "returns",
    ];
    for program in programs {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("traces.spans");
        let out = run(program, &path);
        assert_eq!(stored(&path), 3 * EACH, "{program}: {out:?}");
    }
}

#[test]
#[ignore = "a program of `what_does_not_fit_is_counted`"]
fn overloads() {
    let tracing = spanlite::builder()
        .memory_limit_bytes(32 << 10)
        .overload(Overload::DropNewest)
        .commit_interval(std::time::Duration::from_secs(60))
        .init()
        .unwrap();
    // Far more than the journal has room for, faster than it can be committed.
    let text = "x".repeat(20_000);
    for _ in 0..2_000 {
        in_span("work", |span| span.set_inputs(&text));
    }
    spanlite::flush().unwrap();
    let store = tracing.store().unwrap();
    let stored = store.snapshot().unwrap().find_prefix("").unwrap().len();
    let dropped = store.info().unwrap().dropped;
    assert!(dropped > 0, "the memory was not overloaded");
    assert_eq!(stored as u64 + dropped, 2_000);
    assert_eq!(spanlite::dropped(), dropped);
    drop(tracing);
    assert_eq!(spanlite::dropped(), dropped, "also after the end");
}

/// What the SDK says on stderr.
fn warnings(out: &Output) -> Vec<String> {
    let complaints = String::from_utf8_lossy(&out.stderr);
    let ours = complaints
        .lines()
        .filter(|line| line.starts_with("spanlite: "));
    ours.map(str::to_owned).collect()
}

#[test]
fn a_wrong_variable_does_not_hide_that_spans_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let out = Command::new(std::env::current_exe().unwrap())
        .args(arguments("overloads"))
        .env("SPANLITE_STORE", folder.path().join("traces.spans"))
        .env("SPANLITE_SAMPLING", "much")
        .env("SPANLITE_OPEN_SPANS", "some\u{1b}")
        .output()
        .unwrap();
    assert!(out.status.success());
    insta::assert_snapshot!(warnings(&out).join("\n"), @r"
    spanlite: `much` cannot be read from SPANLITE_SAMPLING
    spanlite: `some\u{1b}` cannot be read from SPANLITE_OPEN_SPANS
    spanlite: a span, or what was said of one, could not be stored; `spanlite::dropped` counts what was lost
    ");
}

#[test]
fn what_does_not_fit_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let out = run("overloads", &folder.path().join("traces.spans"));
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stdout)
    );
    let warnings = warnings(&out);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
#[ignore = "a program of `a_commit_interval_without_end_breaks_nothing`"]
fn commits_never() {
    let tracing = spanlite::builder()
        .commit_interval(std::time::Duration::MAX)
        .init()
        .unwrap();
    work();
    tracing.flush().unwrap();
    tracing.close().unwrap();
}

#[test]
fn a_commit_interval_without_end_breaks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traces.spans");
    let out = run("commits_never", &path);
    assert!(out.status.success(), "{out:?}");
    assert!(!String::from_utf8_lossy(&out.stderr).contains("panicked"));
    assert_eq!(stored(&path), 3 * EACH);
}

#[test]
#[ignore = "a program of `a_store_that_cannot_be_opened_stops_nothing`"]
fn goes_on_without_a_store() {
    let error = spanlite::builder().init().unwrap_err();
    assert!(
        error.to_string().starts_with("cannot open the store"),
        "{error}"
    );
    let worked = in_span!("work", |span| {
        span.set_inputs("x");
        "1".parse::<u8>()
    });
    assert_eq!(worked, Ok(1));
    spanlite::flush().unwrap();
}

#[test]
fn a_store_that_cannot_be_opened_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a file");
    std::fs::write(&file, "no store").unwrap();
    let out = run("goes_on_without_a_store", &file);
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stdout)
    );
}
