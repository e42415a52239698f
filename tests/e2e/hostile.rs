//! Wrong, odd and hostile input: a clear error or faithful storage, never a panic.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use spanlite_tests::{Answer, files_below};

use crate::{find, import, run, spanlite};

const TRACE: &str = "0123456789abcdef0123456789abcdef";

/// One OTLP/JSON document with these spans.
fn otlp(spans: &[Value]) -> Value {
    json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
}

fn span(id: u64, parent: u64, name: &str) -> Value {
    let parent = if parent == 0 {
        String::new()
    } else {
        format!("{parent:016x}")
    };
    json!({
        "traceId": TRACE, "spanId": format!("{id:016x}"), "parentSpanId": parent, "name": name,
        "startTimeUnixNano": (1_700_000_000_000_000_000 + id).to_string(),
        "endTimeUnixNano": (1_700_000_001_000_000_000 + id).to_string(),
    })
}

/// A scratch store and a file beside it.
fn scratch(content: &[u8]) -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let (store, file) = (
        folder.path().join("traces.spans"),
        folder.path().join("in.json"),
    );
    std::fs::write(&file, content).expect("the scratch folder is writable");
    (folder, store, file)
}

/// Holds that a file is refused with its path and a reason, and that nothing of it is stored.
#[track_caller]
fn is_refused(content: &[u8]) {
    let (_folder, store, file) = scratch(content);
    let answer = Answer::of(&mut spanlite(
        &store,
        &["import", file.to_str().expect("UTF-8")],
    ));
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(
        answer.stderr.contains("in.json"),
        "the file is named: {answer:?}"
    );
    assert!(!answer.stderr.contains("panicked"), "{answer:?}");
    if store.is_dir() {
        assert_eq!(run(&store, &["info", "--json"]).json()["traces"], 0);
    }
}

/// Holds that one document is stored, and gives the spans of the trace as they come back.
#[track_caller]
fn is_stored(document: &Value) -> (tempfile::TempDir, Vec<Value>) {
    let (folder, store, file) = scratch(document.to_string().as_bytes());
    let report = import(&store, &[&file]);
    assert_eq!(report["skipped"], json!([]), "{report}");
    for view in [&["show", TRACE][..], &["list"], &["show", TRACE, "--all"]] {
        let shown = run(&store, view).stdout;
        assert!(
            !shown.chars().any(|c| c.is_control() && c != '\n'),
            "raw control: {shown:?}"
        );
    }
    let whole = run(&store, &["show", TRACE, "--format", "json"]).json();
    run(&store, &["verify"]);
    (
        folder,
        whole["data"]["spans"].as_array().expect("spans").clone(),
    )
}

#[test]
fn files_that_are_no_traces_are_refused() {
    is_refused(b"");
    is_refused(b"  \n\t");
    is_refused(b"these are not the spans you are looking for\n");
    is_refused(b"{\"resourceSpans\": [{\"scopeSpans\": [{\"spans\": [{\"traceId\": \"0123");
    is_refused(b"\xff\xfe\x00garbage\xc3\x28");
    is_refused(b"{\"some\": \"other json\"}");
    is_refused(&vec![b'['; 200_000]);
}

#[test]
fn ids_of_a_wrong_length_are_refused_whole() {
    let mut wrong = span(2, 1, "short id");
    wrong["spanId"] = json!("abcd");
    is_refused(otlp(&[span(1, 0, "good"), wrong]).to_string().as_bytes());
    let mut wrong = span(1, 0, "no hex");
    wrong["traceId"] = json!("zz23456789abcdef0123456789abcdef");
    is_refused(otlp(&[wrong]).to_string().as_bytes());
}

#[test]
fn negative_times_are_refused() {
    let mut wrong = span(1, 0, "before time began");
    wrong["startTimeUnixNano"] = json!("-1");
    is_refused(otlp(&[wrong]).to_string().as_bytes());
}

/// The command as a user who may not read everything; root gives its rights up.
fn without_rights(store: &Path, arguments: &[&str]) -> Command {
    let command = spanlite(store, arguments);
    if !rustix::process::geteuid().is_root() {
        return command;
    }
    let mut lowered = Command::new("setpriv");
    lowered.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    lowered.arg(command.get_program()).args(command.get_args());
    lowered
        .env("HOME", "/nonexistent")
        .env_remove("SPANLITE_STORE")
        .env("NO_COLOR", "1");
    lowered
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
}

#[test]
fn a_folder_without_permission_is_an_error() {
    let (folder, store, _) = scratch(b"");
    set_mode(folder.path(), 0o777);
    let closed = folder.path().join("closed");
    std::fs::create_dir(&closed).expect("the scratch folder is writable");
    set_mode(&closed, 0o000);
    let arguments = ["import", closed.to_str().expect("UTF-8")];
    let answer = Answer::of(&mut without_rights(&store, &arguments));
    set_mode(&closed, 0o700);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(
        answer.stderr.contains("closed") && answer.stderr.contains("ermission"),
        "{answer:?}"
    );
}

#[test]
fn a_store_that_may_not_be_written_is_read() {
    let (folder, store, file) = scratch(otlp(&[span(1, 0, "kept")]).to_string().as_bytes());
    import(&store, &[&file]);
    set_mode(folder.path(), 0o755);
    for path in files_below(&store, &[""]) {
        set_mode(&path, 0o444);
    }
    for path in [&store, &store.join("journal")] {
        set_mode(path, 0o555);
    }
    let answer = Answer::of(&mut without_rights(&store, &["list"])).expect_code(0);
    set_mode(&store, 0o755);
    assert!(answer.stdout.contains("kept"), "{answer:?}");
}

#[test]
fn a_missing_store_is_an_error_and_stays_missing() {
    let (_folder, store, _) = scratch(b"");
    for arguments in [
        &["list"][..],
        &["query", "{ }"],
        &["show", "@"],
        &["info"],
        &["verify"],
    ] {
        let answer = Answer::of(&mut spanlite(&store, arguments));
        assert_ne!(answer.code, Some(0), "{arguments:?}");
        assert!(answer.stderr.contains("no store at"), "{answer:?}");
    }
    assert!(!store.exists_as_store(), "asking created a store");
}

trait ExistsAsStore {
    fn exists_as_store(&self) -> bool;
}

impl ExistsAsStore for Path {
    fn exists_as_store(&self) -> bool {
        self.try_exists().expect("the scratch folder is readable")
    }
}

#[test]
fn large_values_are_kept_whole() {
    let text = "x".repeat(20 << 20);
    let mut large = span(1, 0, "large");
    large["attributes"] = json!([{"key": "blob", "value": {"stringValue": text}}]);
    let (_folder, spans) = is_stored(&otlp(&[large]));
    let stored = spans[0]["attributes"]["blob"]
        .as_str()
        .expect("the attribute");
    assert_eq!(stored.len(), text.len() + 2, "JSON text of the whole value");
}

#[test]
fn ten_thousand_attributes_are_kept() {
    let attributes: Vec<Value> = (0..10_000)
        .map(|n| json!({"key": format!("key.{n}"), "value": {"intValue": n.to_string()}}))
        .collect();
    let mut wide = span(1, 0, "wide");
    wide["attributes"] = attributes.into();
    let (_folder, spans) = is_stored(&otlp(&[wide]));
    assert_eq!(spans[0]["attributes"]["key.9999"], "9999");
}

#[test]
fn a_chain_of_five_thousand_spans_is_shown() {
    let spans: Vec<Value> = (1..=5_000).map(|n| span(n, n - 1, "link")).collect();
    let (_folder, stored) = is_stored(&otlp(&spans));
    assert_eq!(stored.len(), 5_000);
}

#[test]
fn cycles_and_missing_parents_are_shown() {
    let spans = [
        span(1, 3, "a"),
        span(2, 1, "b"),
        span(3, 2, "c"),
        span(4, 4, "self"),
        span(5, 99, "o"),
    ];
    let (_folder, stored) = is_stored(&otlp(&spans));
    assert_eq!(stored.len(), 5);
}

#[test]
fn odd_times_are_kept() {
    let mut backwards = span(1, 0, "backwards");
    backwards["endTimeUnixNano"] = json!("1");
    let mut late = span(2, 1, "far future");
    late["startTimeUnixNano"] = json!("18446744073709551614");
    late["endTimeUnixNano"] = json!("18446744073709551615");
    let (_folder, stored) = is_stored(&otlp(&[backwards, late]));
    let ends: Vec<u64> = stored
        .iter()
        .filter_map(|span| span["end_time_unix_nano"].as_u64())
        .collect();
    assert!(ends.contains(&1) && ends.contains(&u64::MAX), "{ends:?}");
}

#[test]
fn names_that_attack_a_terminal_are_escaped() {
    let mut names = String::new();
    write!(names, "\u{1b}[31mred\u{7}\0\u{202e}olleh\r\nnext\u{9b}2J").expect("a String takes it");
    let (folder, stored) = is_stored(&otlp(&[span(1, 0, &names)]));
    assert_eq!(stored[0]["name"], names.as_str(), "kept as it came");
    let store = folder.path().join("traces.spans");
    for view in [
        &["list"][..],
        &["show", TRACE],
        &["query", "{ }"],
        &["span", "0000000000000001"],
    ] {
        let shown = Answer::of(&mut spanlite(&store, view)).stdout;
        let raw = ['\u{1b}', '\u{7}', '\0', '\u{202e}', '\r', '\u{9b}'];
        assert!(!shown.contains(raw), "{view:?}: {shown:?}");
    }
}

#[test]
fn deep_json_is_kept_as_text() {
    let deep = "[".repeat(5_000) + &"]".repeat(5_000);
    let mut span = span(1, 0, "deep");
    span["attributes"] = json!([{"key": "mlflow.spanInputs", "value": {"stringValue": deep}}]);
    let (folder, stored) = is_stored(&otlp(&[span]));
    assert_eq!(stored[0]["attributes"]["mlflow.spanInputs"], deep);
    assert_eq!(
        find(
            &folder.path().join("traces.spans"),
            "{ input contains \"nothing\" }"
        )
        .len(),
        0
    );
}
