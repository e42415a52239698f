//! Secrets that are taken out of a store.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::Place;

/// The files of a folder, at any depth, that hold some bytes.
fn files_with(folder: &Path, needle: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, needle));
        } else if fs::read(&path)
            .unwrap()
            .windows(needle.len())
            .any(|window| window == needle)
        {
            found.push(path.display().to_string());
        }
    }
    found
}

/// A trace as OTLP/JSON with a text that must go, once in each place that has texts.
fn trace_with(number: u8, text: &str) -> Value {
    let attribute = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    json!({"resourceSpans": [{
        "resource": {"attributes": [attribute("host.owner", text)]},
        "scopeSpans": [{"scope": {"name": "s"}, "spans": [{
            "traceId": format!("{number:032x}"), "spanId": format!("{number:016x}"),
            "name": format!("call {text}"),
            "startTimeUnixNano": "1786569488000000000", "endTimeUnixNano": "1786569489000000000",
            "attributes": [attribute("note", text), attribute("mlflow.spanInputs",
                &format!("{{\"to\": \"{text}\"}}"))],
            "events": [{"name": format!("mail {text}"), "timeUnixNano": "1786569488500000000",
                "attributes": [attribute("to", text)]}],
            "status": {"code": 2, "message": format!("no answer from {text}")},
        }]}],
    }]})
}

/// Bytes that no compression hides: short texts are stored as they are only sometimes, so the
/// files are looked at through the command too.
fn shown(place: &Place) -> String {
    let traces = place.done(&["export", "--to", "jsonl", "-"]);
    traces + &place.done(&["feedback", "list", "--json"])
}

#[test]
fn what_is_redacted_is_gone_from_every_file() {
    redacted(false);
}

#[test]
fn what_is_redacted_is_gone_from_blocks() {
    redacted(true);
}

fn redacted(in_blocks: bool) {
    let place = Place::empty();
    let secret = "ada.lovelace@analytical.example";
    for number in 1..=3 {
        let text = if number == 2 { "nobody" } else { secret };
        let file = place.path("one.json");
        fs::write(&file, trace_with(number, text).to_string()).unwrap();
        place.done(&["import", file.to_str().unwrap()]);
        fs::remove_file(&file).unwrap();
    }
    let first = "00000000000000000000000000000001";
    let why = format!("{secret} complained");
    place.done(&["feedback", "add", first, "quality", "bad", "--why", &why]);
    place.done(&["tag", first, "kept=yes"]);
    if in_blocks {
        place.done(&["compact"]);
    }
    let info: Value = serde_json::from_str(&place.done(&["info", "--json"])).unwrap();
    assert_eq!(info["column_bytes"] != 0, in_blocks, "{info}");
    let store = place.path("traces.spans");
    assert!(shown(&place).contains(secret));
    assert!(
        files_with(&store, secret.as_bytes())
            .iter()
            .any(|file| file.ends_with("state.redb")),
        "feedback is stored as it is"
    );

    let dry: Value = serde_json::from_str(&place.done(&["redact", "--dry-run", "--json"])).unwrap();
    assert_eq!((&dry["traces"], &dry["done"]), (&json!(2), &json!(false)));
    let values = dry["values"].as_u64().unwrap();
    assert!(
        values >= 14,
        "seven places in each of two traces, and the feedback: {values}"
    );
    let refused = place.run(&["redact"]);
    assert_eq!(refused.code, 2, "nobody to ask: {refused:?}");
    assert!(shown(&place).contains(secret));

    let before = place.done(&["list", "--json"]);
    place.done(&["redact", "--yes"]);
    assert!(!shown(&place).contains(secret));
    assert!(shown(&place).contains("[redacted:email] complained"));
    let nowhere: [String; 0] = [];
    assert_eq!(files_with(&store, secret.as_bytes()), nowhere);
    // What was compressed shows when the files are read whole.
    let copy = place.path("copy.spans");
    place.done(&["recover", "--out", copy.to_str().unwrap()]);
    let all = place.done(&[
        "export",
        "--to",
        "jsonl",
        "-",
        "--store",
        copy.to_str().unwrap(),
    ]);
    assert!(!all.contains(secret) && all.contains("call nobody"));

    let after = place.done(&["list", "--json"]);
    assert_eq!(
        before.replace(secret, "[redacted:email]"),
        after,
        "nothing else changed"
    );
    assert!(place.done(&["verify"]).contains("sound"));
    let again: Value = serde_json::from_str(&place.done(&["redact", "--yes", "--json"])).unwrap();
    assert_eq!(again["values"], 0);
}

#[test]
fn own_rules_and_a_query_bound_a_redaction() {
    let place = Place::with_agents();
    let rule = ["--rule", "pattern=order:order \\d+"];
    let all: Value = serde_json::from_str(
        &place.done(&[&["redact", "--dry-run", "--json"], &rule[..]].concat()),
    )
    .unwrap();
    let some = [
        &["redact", "--yes", "--where", "{ status = error }"],
        &rule[..],
    ]
    .concat();
    place.done(&some);
    let rest: Value = serde_json::from_str(
        &place.done(&[&["redact", "--dry-run", "--json"], &rule[..]].concat()),
    )
    .unwrap();
    assert!(rest["traces"].as_u64().unwrap() < all["traces"].as_u64().unwrap());
    let shown = place.done(&["show", "9f31c2ab0", "--all"]);
    assert!(shown.contains("no [redacted:order]"), "{shown}");
    let wrong = place.run(&["redact", "--rule", "nonsense", "--dry-run"]);
    assert_eq!(wrong.code, 2);
}

/// A copy of a store that nobody writes to.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn a_redaction_that_is_killed_loses_nothing_and_can_be_done_again() {
    let place = Place::empty();
    let secret = "ada.lovelace@analytical.example";
    let traces: Vec<String> = (1..=60)
        .map(|number| trace_with(number, secret).to_string())
        .collect();
    let file = place.write("all.jsonl", traces.join("\n"));
    place.done(&["import", file.to_str().unwrap(), "--store", "whole.spans"]);
    place.done(&["compact", "--store", "whole.spans"]);
    // Some in blocks, some not.
    let late = place.write("late.json", trace_with(61, secret).to_string());
    place.done(&["import", late.to_str().unwrap(), "--store", "whole.spans"]);
    for round in 0..10 {
        let name = format!("{round}.spans");
        copy(&place.path("whole.spans"), &place.path(&name));
        let mut child = place
            .command(&["redact", "--yes", "--store", &name])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(8 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let run = |args: &[&str]| place.done(&[args, &["--store", &name]].concat());
        assert!(run(&["verify"]).contains("sound"), "round {round}");
        let export = ["export", "--to", "jsonl", "-"];
        assert_eq!(run(&export).lines().count(), 61, "round {round}");
        run(&["redact", "--yes"]);
        let all = run(&export);
        assert_eq!(all.lines().count(), 61, "round {round}");
        assert!(!all.contains(secret), "round {round}");
    }
}
