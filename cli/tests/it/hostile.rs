//! Names and payloads that try to break the terminal, the columns or the time.

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use super::support::Place;

/// What a terminal would obey: cleared screens, titles, colours, turned text, invisible letters.
const OBEYED: &str = "a\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m\u{202e}gnp\u{2066}\u{200b}\r\n\t\0z";
/// What is wider or narrower than it looks.
const WIDE: &str = "日本語 👩‍👩‍👧‍👦 e\u{301}e\u{301} \u{1f1e9}\u{1f1ea} ﷽ नमस्ते";

fn attribute(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// A trace whose every text is hostile.
fn trace(number: u64, text: &str) -> Value {
    let start = 1_786_569_488_000_000_000 + number * 1_000_000_000;
    let messages = json!([{"role": text, "content": text}, {"role": "user", "content": text}]);
    let span = |id: u64, parent: &str| {
        json!({"traceId": format!("{number:x}{:031x}", 0), "spanId": format!("{id:016x}"),
            "parentSpanId": parent, "name": text,
            "startTimeUnixNano": (start + id).to_string(),
            "endTimeUnixNano": (start + 900_000).to_string(),
            "attributes": [attribute("mlflow.spanType", if id == 1 { "LLM" } else { text }), attribute(text, text),
                attribute("gen_ai.request.model", text), attribute("session.id", text),
                attribute("gen_ai.input.messages", &messages.to_string()),
                attribute("mlflow.spanInputs", &json!({text: [text, {text: text}]}).to_string()),
                attribute("mlflow.spanOutputs", &json!(text).to_string())],
            "events": [{"name": text, "timeUnixNano": start.to_string(),
                "attributes": [attribute("exception.message", text), attribute(text, text)]}],
            "status": {"code": 2, "message": text}})
    };
    let spans = json!([span(1, ""), span(2, "0000000000000001")]);
    json!({"resourceSpans": [{"resource": {"attributes": [attribute("service.name", text)]},
        "scopeSpans": [{"scope": {"name": text, "version": text}, "spans": spans}]}]})
}

/// A store of two ordinary bad texts, and one of a mebibyte without a line break.
fn hostile() -> Place {
    let place = Place::empty();
    let long = format!("{OBEYED}{}", "x".repeat(1 << 20));
    let marks = format!("x{}", "\u{301}".repeat(1 << 14));
    for (number, text) in (1..).zip([OBEYED, WIDE, &long, &marks]) {
        let file = place.write("one.json", trace(number, text).to_string());
        place.done(&["import", file.to_str().unwrap()]);
        std::fs::remove_file(file).unwrap();
    }
    place
}

/// The commands that draw for people, and how wide they promise to be: those that print texts
/// whole promise nothing.
const DRAWN: [(&[&str], bool); 16] = [
    (&["list"], true),
    (&["show", "@"], false),
    (&["show", "@-1"], false),
    (&["show", "@-2"], false),
    (&["show", "@-3", "--all"], false),
    (&["show", "@-3", "--io"], false),
    (&["show", "@-1", "--io"], false),
    (&["span", "@-1/0000000000000001"], false),
    (&["span", "@-3/0000000000000002"], false),
    (&["query", "{ status = error }"], false),
    (&["stats"], true),
    (&["stats", "--by", "session"], true),
    (&["values", "name"], true),
    (&["sessions"], true),
    (&["tail", "-n", "8"], false),
    (&["diff", "@-3", "@-2", "--io"], false),
];

#[test]
fn hostile_texts_are_escaped_bounded_aligned_and_whole_for_machines() {
    let place = hostile();
    nothing_of_others_reaches_the_terminal_as_it_is(&place);
    columns_stay_under_each_other(&place);
    what_machines_get_is_whole(&place);
}

fn nothing_of_others_reaches_the_terminal_as_it_is(place: &Place) {
    for (args, fits) in DRAWN {
        let run = place.run(&[args, &["--width", "80"]].concat());
        assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
        let text = run.stdout + &run.stderr;
        let obeyed = text.chars().find(|c| {
            (c.is_control() && *c != '\n')
                || matches!(c, '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        });
        assert_eq!(obeyed, None, "{args:?}");
        assert!(text.len() < 60_000, "{args:?}: {} bytes", text.len());
        for line in text.lines().filter(|_| fits) {
            assert!(
                line.width() <= 80,
                "{args:?}: {} columns: {line}",
                line.width()
            );
        }
    }
}

fn columns_stay_under_each_other(place: &Place) {
    let listed = place.done(&["list", "--width", "120", "-q"]);
    let mut lines = listed.lines();
    let head = lines.next().unwrap();
    let until = |line: &str, end: usize| line.split_at(end).0.width();
    let place_of_state = until(head, head.find("STATE").unwrap());
    for line in lines {
        let state = line.find("error: ").unwrap();
        assert_eq!(until(line, state), place_of_state, "{line}");
    }
}

fn what_machines_get_is_whole(place: &Place) {
    let listed: Value = serde_json::from_str(&place.done(&["list", "--json"])).unwrap();
    let names: Vec<&str> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["name"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 4);
    assert_eq!(names[1].len(), OBEYED.len() + (1 << 20));
    assert_eq!((names[2], names[3]), (WIDE, OBEYED));
    for args in [
        &["list", "--format", "csv"][..],
        &["stats", "--format", "ndjson"],
        &["span", "@-1/0000000000000001", "--json"],
    ] {
        assert!(place.done(args).len() > 1 << 20, "{args:?}");
    }
}
