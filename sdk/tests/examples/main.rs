//! Runs every example, and looks at the trace that it leaves in the store.

#![expect(clippy::unwrap_used, reason = "these are tests")]
#![expect(dead_code, reason = "the examples have a `main` of their own")]

use std::collections::BTreeSet;

use spanlite::testing::draw;
use spanlite::{Store, TraceId};

#[path = "../../examples/asynchronous.rs"]
mod asynchronous;
#[path = "../../examples/chat_loop.rs"]
mod chat_loop;
#[path = "../../examples/client.rs"]
mod client;
#[path = "../../examples/context_manager.rs"]
mod context_manager;
#[path = "../../examples/customising.rs"]
mod customising;
#[path = "../../examples/decorator.rs"]
mod decorator;
#[path = "../../examples/exceptions.rs"]
mod exceptions;
#[path = "../../examples/repeated_names.rs"]
mod repeated_names;
#[path = "../../examples/streaming.rs"]
mod streaming;
#[path = "../../examples/tags.rs"]
mod tags;
#[path = "../../examples/threads.rs"]
mod threads;
#[path = "../../examples/wrapping.rs"]
mod wrapping;

/// What a tree is drawn with.
const BRANCHES: [char; 5] = ['│', '├', '└', '─', ' '];

const EXAMPLES: [(&str, fn()); 12] = [
    ("asynchronous", asynchronous::run),
    ("chat_loop", chat_loop::run),
    ("client", client::run),
    ("context_manager", context_manager::run),
    ("customising", customising::run),
    ("decorator", decorator::run),
    ("exceptions", exceptions::run),
    ("repeated_names", repeated_names::run),
    ("streaming", streaming::run),
    ("tags", tags::run),
    ("threads", threads::run),
    ("wrapping", wrapping::run),
];

fn traces(store: &Store) -> BTreeSet<TraceId> {
    let snapshot = store.snapshot().unwrap();
    snapshot.find_prefix("").unwrap().into_iter().collect()
}

#[test]
fn every_example_leaves_its_trace_in_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let tracing = spanlite::init(folder.path().join("traces.spans")).unwrap();
    let store = tracing.store().unwrap().clone();
    for (name, run) in EXAMPLES {
        let before = traces(&store);
        run();
        spanlite::flush().unwrap();
        let after = traces(&store);
        let new: Vec<&TraceId> = after.difference(&before).collect();
        assert_eq!(new.len(), 1, "{name}");
        let trace = store.snapshot().unwrap().trace(*new[0]).unwrap().unwrap();
        assert!(
            trace
                .spans
                .iter()
                .all(|span| span.end_time_unix_nano.is_some()),
            "{name}"
        );
        let mut drawn = draw(&trace);
        if ["asynchronous", "threads"].contains(&name) {
            // Which of two threads begins first is left to chance.
            let mut lines: Vec<&str> = drawn
                .lines()
                .map(|line| line.trim_start_matches(BRANCHES))
                .collect();
            lines.sort_unstable();
            drawn = lines.join("\n");
        }
        insta::assert_snapshot!(name, drawn);
    }
    tracing.close().unwrap();
}

#[test]
fn no_example_is_left_out() {
    let listed: BTreeSet<String> = EXAMPLES
        .iter()
        .map(|(name, _)| format!("{name}.rs"))
        .collect();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let files = std::fs::read_dir(folder).unwrap();
    let found = files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned());
    assert_eq!(found.collect::<BTreeSet<String>>(), listed);
}
