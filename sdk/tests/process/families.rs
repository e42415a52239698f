//! Programs that fork, and programs that start others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use spanlite::model::Trace;
use spanlite::{OpenOptions, Store, in_span, span};

use crate::{arguments, run};

/// Forks. The child does its work and leaves without returning to the test harness; says whether
/// it did well.
#[expect(unsafe_code, reason = "fork has no safe form")]
fn in_child(work: impl FnOnce()) -> bool {
    // SAFETY: the child runs `work` and leaves by `_exit`; glibc makes allocation work after a
    // fork, and what the child does of the SDK after it is what is tested.
    unsafe {
        match libc::fork() {
            0 => libc::_exit(i32::from(catch_unwind(AssertUnwindSafe(work)).is_err())),
            child => {
                let mut status = 1;
                assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
                status == 0
            }
        }
    }
}

fn the_trace(path: &std::path::Path) -> Trace {
    let store = Store::open(path, OpenOptions::default()).unwrap();
    store.flush().unwrap();
    let snapshot = store.snapshot().unwrap();
    let found = snapshot.find_prefix("").unwrap();
    assert_eq!(found.len(), 1, "one trace");
    let trace = snapshot.trace(found[0]).unwrap().unwrap();
    assert!(store.verify().unwrap().is_sound());
    trace
}

#[test]
#[ignore = "a program of `parent_and_child_of_a_fork_both_trace`"]
fn forks() {
    let tracing = spanlite::builder().init().unwrap();
    let mut across = Some(span("across").start());
    in_span("before", |_| ());
    // The child shares the place, and ends neither the parent's span nor its tracing.
    assert!(in_child(|| {
        in_span("in the child", |_| ());
        spanlite::flush().unwrap();
        in_span("in the child, not flushed", |_| ());
        drop(across.take());
    }));
    in_span("after", |_| ());
    drop(across);
    tracing.close().unwrap();
}

#[test]
fn parent_and_child_of_a_fork_both_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traces.spans");
    let out = run("families::forks", &path);
    assert!(out.status.success(), "{out:?}");
    let trace = the_trace(&path);
    let mut names: Vec<_> = trace.spans.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "across",
            "after",
            "before",
            "in the child",
            "in the child, not flushed"
        ]
    );
    let across = trace
        .spans
        .iter()
        .find(|span| span.name == "across")
        .unwrap();
    let last = trace
        .spans
        .iter()
        .find(|span| span.name == "after")
        .unwrap();
    assert!(
        across.end_time_unix_nano >= last.end_time_unix_nano,
        "the parent ended it"
    );
}

#[test]
#[ignore = "a program of `two_processes_write_one_trace`"]
fn calls_another() {
    let _tracing = spanlite::builder().init().unwrap();
    in_span("caller", |_| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(arguments("families::is_called"));
        spanlite::inject(&mut command);
        assert!(command.output().unwrap().status.success());
    });
}

#[test]
#[ignore = "a program of `two_processes_write_one_trace`"]
fn is_called() {
    let _tracing = spanlite::builder().init().unwrap();
    let _caller = spanlite::extract_environment().unwrap().attach();
    in_span("called", |_| ());
}

#[test]
fn two_processes_write_one_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traces.spans");
    let out = run("families::calls_another", &path);
    assert!(out.status.success(), "{out:?}");
    let trace = the_trace(&path);
    let named = |name| trace.spans.iter().find(|span| span.name == name).unwrap();
    assert_eq!(trace.spans.len(), 2);
    assert_eq!(
        named("called").parent_span_id,
        Some(named("caller").span_id)
    );
    assert_eq!(named("caller").parent_span_id, None);
}
