//! Stores that earlier versions wrote, byte for byte as they were released, must be read for ever.
//!
//! A change of the format that breaks this test needs a new format number, a reader for the old
//! one, and a fixture of its own. Until the first release the fixture may be written anew:
//! `cargo test -p spanlite-store --test main -- --ignored format::write_fixture`.

use std::fs;
use std::path::{Path, PathBuf};

use spanlite_model::{
    Assessment, AssessmentSource, AssessmentValue, Event, Json, Link, SourceType, SpanType, Status,
    Trace, TraceChange, TraceUpdate, Value,
};
use spanlite_store::{FORMAT_VERSION, OpenError, OpenOptions, Store};

use crate::support::{all, patient, service, span, trace, trace_id};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1")
}

/// A trace with something in every field.
fn rich() -> Trace {
    let mut rich = trace(50, 3);
    rich.info.name = Some("a name".to_owned());
    rich.info.session = Some("session 1".to_owned());
    rich.info.user = Some("user 1".to_owned());
    rich.info.tags.insert("env".to_owned(), "prod".to_owned());
    rich.info
        .metadata
        .insert("mlflow.sourceRun".to_owned(), "run".to_owned());
    rich.info.extra.insert(
        "mlflow.location".to_owned(),
        Json::from_text("{\"a\": 1}").unwrap(),
    );
    rich.info.assessments.push(Assessment {
        assessment_id: "a-1".into(),
        name: "correct".to_owned(),
        value: AssessmentValue::Expectation {
            value: Json::string("yes"),
        },
        source: AssessmentSource {
            source_type: SourceType::Human,
            source_id: Some("me".to_owned()),
        },
        span_id: None,
        rationale: Some("because".to_owned()),
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        create_time_unix_nano: 7,
        update_time_unix_nano: 8,
        valid: true,
        overrides: None,
    });
    let span = &mut rich.spans[1];
    span.span_type = SpanType::ChatModel;
    span.status = Status::error("it failed: é");
    span.resource = service("fixture");
    span.inputs = Some(Json::from_text("[{\"role\": \"user\", \"content\": \"hi\"}]").unwrap());
    span.outputs = Some(Json::from_text("12345678901234567890.0").unwrap());
    "a=b".clone_into(&mut span.trace_state);
    span.flags = 257;
    span.dropped_events_count = 3;
    span.attributes.set("bytes", vec![0u8, 255]);
    span.attributes
        .set("list", Value::Array(vec![Value::Null, Value::Double(-0.5)]));
    span.attributes
        .set("map", Value::Map(vec![("k".to_owned(), Value::Bool(true))]));
    span.events.push(Event {
        name: "exception".to_owned(),
        time_unix_nano: 5,
        attributes: [("exception.type", "Timeout")].into_iter().collect(),
        dropped_attributes_count: 1,
    });
    span.links.push(Link {
        trace_id: trace_id(1),
        flags: 1,
        ..Link::default()
    });
    rich
}

/// Traces whose texts together need several chunks, and several frames of one.
fn long() -> Vec<Trace> {
    let long = |number: u64| {
        let mut long = trace(number, 2);
        let words: Vec<String> = (0..1_500)
            .map(|at| format!("word{}", (at * at + number * 7) % 61))
            .collect();
        long.spans[1].inputs = Some(Json::string(&words.join(" ")));
        long
    };
    (30..=45).map(long).collect()
}

/// What the fixture holds, newest first.
fn expected() -> Vec<Trace> {
    let mut traces: Vec<Trace> = (1..=12).rev().map(|number| trace(number, 4)).collect();
    traces.splice(0..0, long().into_iter().rev());
    traces.insert(0, rich());
    let tagged = traces
        .iter_mut()
        .find(|one| one.trace_id == trace_id(3))
        .unwrap();
    tagged
        .info
        .tags
        .insert("later".to_owned(), "yes".to_owned());
    let later = traces
        .iter_mut()
        .find(|one| one.trace_id == trace_id(5))
        .unwrap();
    later.spans.push(span(5, 9));
    traces
}

/// Traces 1 to 8, the long and the rich ones are in blocks, trace 5 goes on in a hot batch, the others are
/// in hot batches.
#[test]
#[ignore = "writes the fixture"]
fn write_fixture() {
    let path = fixture();
    drop(fs::remove_dir_all(&path));
    fs::create_dir_all(&path).unwrap();
    let store = Store::open(&path, patient()).unwrap();
    let mut first: Vec<Trace> = (1..=8).map(|number| trace(number, 4)).collect();
    first.extend(long());
    first.push(rich());
    store.write(&first).unwrap();
    assert!(store.seal().unwrap());
    let mut second: Vec<Trace> = (9..=12).map(|number| trace(number, 4)).collect();
    second.push(Trace::new(trace_id(5), vec![span(5, 9)]));
    store.write(&second).unwrap();
    store
        .update(&[TraceUpdate {
            trace_id: trace_id(3),
            time_unix_nano: 1 << 60,
            change: TraceChange::Tag {
                key: "later".to_owned(),
                value: "yes".to_owned(),
            },
        }])
        .unwrap();
    let mut change = store.state().change();
    change.put("queries", b"slow", b"duration > 1s");
    change.commit().unwrap();
    store.close().unwrap();
    drop(fs::remove_dir(path.join("journal")));
}

#[test]
fn a_store_of_format_1_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = copy_of_fixture(folder.path());
    for options in [OpenOptions::read_only(), patient()] {
        let store = Store::open(&path, options).unwrap();
        assert_eq!(all(&store), expected());
        assert!(store.verify().unwrap().is_sound());
        let value = store.state().get("queries", b"slow").unwrap().unwrap();
        assert_eq!(value.bytes, b"duration > 1s");
    }
    let store = Store::open(&path, patient()).unwrap();
    // Blocks of version 1 have an index of words by spans.
    let has_it = |trace: &u64| (0..61).any(|at| (at * at + trace * 7) % 61 == 60);
    let found: Vec<u64> = (30..=45).rev().filter(has_it).collect();
    assert_eq!(traces_with(&store, "word60"), found);
    assert_eq!(traces_with(&store, "hi"), [50]);
    let again = store.write(&expected()).unwrap();
    assert_eq!(again.spans_written, 0);
    store.write(&[trace(60, 2)]).unwrap();
    assert!(store.seal().unwrap());
    assert_eq!(all(&store).len(), expected().len() + 1);
}

/// The numbers of the traces in blocks that have a word, newest first.
fn traces_with(store: &Store, word: &str) -> Vec<u64> {
    let snapshot = store.snapshot().unwrap();
    let mut found = Vec::new();
    for block in snapshot.blocks().unwrap() {
        let reader = block.reader().unwrap();
        let ids = reader.trace_ids().unwrap();
        let places = reader.traces_with_words(&[word]).unwrap();
        found.extend(places.into_iter().map(|place| ids[place as usize]));
    }
    let number = |number: &u64| found.contains(trace_id(*number).as_bytes());
    (0..100).rev().filter(number).collect()
}

/// A copy of the fixture.
fn copy_of_fixture(folder: &Path) -> PathBuf {
    let path = folder.join("s");
    fs::create_dir(&path).unwrap();
    for entry in fs::read_dir(fixture()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), path.join(entry.file_name())).unwrap();
    }
    path
}

fn open(path: &Path, options: OpenOptions) -> OpenError {
    Store::open(path, options).unwrap_err()
}

#[test]
fn formats_that_are_newer_or_unknown_are_refused_and_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = copy_of_fixture(folder.path());
    let file = path.join("STORE");
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(FORMAT_VERSION, 1, "an older one needs a step to this one");
    for options in [OpenOptions::read_only, patient as fn() -> OpenOptions] {
        for format in ["2", "4294967295"] {
            let newer = text.replace("format 1", &format!("format {format}"));
            fs::write(&file, &newer).unwrap();
            let error = open(&path, options());
            let OpenError::NewerFormat {
                found, supported, ..
            } = error
            else {
                panic!("{error}");
            };
            assert_eq!((found.to_string().as_str(), supported), (format, 1));
            assert_eq!(fs::read_to_string(&file).unwrap(), newer);
        }
        // There was never a format 0, and what is no number names none.
        for format in ["format 0", "format one", "format -1", "form 1", ""] {
            fs::write(&file, text.replace("format 1", format)).unwrap();
            let error = open(&path, options());
            assert!(
                matches!(error, OpenError::NotAStore { .. }),
                "{format}: {error}"
            );
        }
    }
    fs::write(&file, &text).unwrap();
    let store = Store::open(&path, OpenOptions::read_only()).unwrap();
    assert_eq!(all(&store), expected());
}
