//! What keeps a store well, and what calls cost: redaction, prices, the doctor, a new store.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

mod support;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use support::Place;

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
    assert_eq!(refused.status.code(), Some(2), "nobody to ask: {refused:?}");
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
    assert_eq!(wrong.status.code(), Some(2));
}

fn cost(place: &Place, trace: &str) -> Value {
    let listed: Value = serde_json::from_str(&place.done(&["list", "--json"])).unwrap();
    let items = listed["items"].as_array().unwrap();
    let item = items
        .iter()
        .find(|item| item["trace_id"].as_str().unwrap().contains(trace));
    item.unwrap()["cost_usd"].clone()
}

#[test]
fn prices_are_set_and_hold_at_once() {
    let place = Place::with_agents();
    let before = cost(&place, "9f31c2ab0").as_f64().unwrap();
    assert!((before - 0.0295).abs() < 0.0001, "{before}");
    // Of a query too.
    let found = place.done(&["query", "{ trace:cost > 0.02 }", "--json"]);
    assert!(found.contains("9f31c2ab0"), "{found}");
    place.done(&[
        "prices",
        "set",
        "gpt-4o-mini",
        "--input",
        "1.5",
        "--output",
        "6",
    ]);
    let ten_times = cost(&place, "9f31c2ab0").as_f64().unwrap();
    assert!((ten_times - before * 10.0).abs() < 0.005, "{ten_times}");
    let shown = place.done(&["prices", "show", "gpt-4o-mini", "--format", "csv"]);
    assert!(shown.starts_with("provider,model,from,above_tokens,input,output,cache_read,cache_write\n,gpt-4o-mini,,,1.5,6"), "{shown}");
    place.done(&["prices", "rm", "gpt-4o-mini"]);
    assert_eq!(cost(&place, "9f31c2ab0").as_f64(), Some(before));

    fs::write(place.path("own.csv"), "# as of 2026-11-01\nprovider,model,from,above_tokens,input,output,cache_read,cache_write\n,house,,,1,1,,\n").unwrap();
    place.done(&["prices", "import", "own.csv"]);
    assert_eq!(cost(&place, "9f31c2ab0"), Value::Null, "unknown is not 0");
    let missing = place.done(&["prices", "missing"]);
    assert!(missing.contains("gpt-4o"), "{missing}");
    place.done(&["prices", "reset"]);
    assert_eq!(cost(&place, "9f31c2ab0").as_f64(), Some(before));
    let exported = place.done(&["export", "--to", "jsonl", "-"]);
    assert!(
        !exported.contains("spanlite.cost"),
        "what is computed is not recorded"
    );
    assert_eq!(
        place.run(&["prices", "rm", "nothing"]).status.code(),
        Some(3)
    );
    fs::write(place.path("wrong.csv"), "model;price\n").unwrap();
    assert_eq!(
        place.run(&["prices", "import", "wrong.csv"]).status.code(),
        Some(1)
    );
}

#[test]
fn the_doctor_says_what_to_do() {
    let place = Place::empty();
    let nothing = place.done(&["doctor", "--width", "200"]);
    assert!(
        nothing.contains("no store at") && nothing.contains("spanlite demo"),
        "{nothing}"
    );
    assert!(fs::read_dir(place.folder.path()).unwrap().next().is_none());
    let place = Place::with_agents();
    let found: Value = serde_json::from_str(&place.done(&["doctor", "--json"])).unwrap();
    let health = |check: &str| {
        let items = found["items"].as_array().unwrap();
        let item = items.iter().find(|item| item["check"] == check);
        item.map(|item| item["health"].clone())
    };
    assert_eq!(health("store"), Some(json!("good")));
    assert_eq!(health("permissions"), Some(json!("good")));
    assert_eq!(health("damage"), None);
    let segment = fs::read_dir(place.path("traces.spans"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_str().unwrap().contains("seg-"))
        .unwrap();
    fs::write(&segment, b"this was a segment").unwrap();
    let ill = place.run(&["doctor", "--width", "200"]);
    assert_eq!(ill.status.code(), Some(1));
    assert!(
        String::from_utf8(ill.stdout)
            .unwrap()
            .contains("spanlite recover --out")
    );
}

#[test]
fn a_new_store_is_made_once_and_made_small() {
    let place = Place::empty();
    let made = place.done(&["init", "--config"]);
    assert!(made.contains("made the store traces.spans") && made.contains("spanlite::init("));
    let again = place.done(&["init", "--config"]);
    assert!(again.contains("is there"), "{again}");
    fs::create_dir(place.path("below")).unwrap();
    let below = place
        .command(&["generate", "-n", "30"])
        .current_dir(place.path("below"))
        .output();
    assert!(below.unwrap().status.success());
    let before: Value = serde_json::from_str(&place.done(&["list", "-n", "0", "--json"])).unwrap();
    let small: Value = serde_json::from_str(&place.done(&["compact", "--json"])).unwrap();
    assert!(small["bytes"].as_u64().unwrap() > 0);
    let after: Value = serde_json::from_str(&place.done(&["list", "-n", "0", "--json"])).unwrap();
    assert_eq!(before, after);
    assert_eq!(after["items"].as_array().unwrap().len(), 30);
}

#[test]
fn a_page_is_opened_or_its_place_is_told() {
    let place = Place::with_agents();
    let told = place.run(&["open", "@"]);
    let path = String::from_utf8(told.stdout).unwrap();
    assert!(
        fs::read_to_string(path.trim())
            .unwrap()
            .contains("<!doctype html>")
    );
    assert!(
        String::from_utf8(told.stderr)
            .unwrap()
            .contains("no program opens pages here")
    );
    let opener = place.path("browser");
    fs::write(&opener, "#!/bin/sh\ncp \"$1\" opened.html\n").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).unwrap();
        let opened = place
            .command(&["open", "--where", "{ status = error }", "--json"])
            .env("BROWSER", &opener)
            .env("PATH", "/usr/bin:/bin")
            .output()
            .unwrap();
        let said: Value = serde_json::from_slice(&opened.stdout).unwrap();
        assert_eq!(
            (&said["opened"], &said["traces"]),
            (&json!(true), &json!(2))
        );
        let written = fs::metadata(said["path"].as_str().unwrap()).unwrap();
        assert_eq!(written.permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_store_that_is_in_order_is_read_without_a_writer() {
    let place = Place::with_agents();
    let store = place.path("traces.spans");
    let files = |folder: &Path| {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| {
                let entry = entry.unwrap();
                let modified = entry.metadata().unwrap().modified().unwrap();
                (entry.file_name(), modified)
            })
            .collect();
        names.sort();
        names
    };
    let before = (files(&store), files(&store.join("journal")));
    for args in [
        &["list"][..],
        &["show"],
        &["stats"],
        &["query", "{ }"],
        &["diff", "@", "@-1"],
        &["info"],
    ] {
        place.done(args);
    }
    assert_eq!(before, (files(&store), files(&store.join("journal"))));
}
