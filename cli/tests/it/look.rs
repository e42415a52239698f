//! What people look at: `list`, `show`, `span`, `diff`, `tail`, `stats` and their kin.

use super::support::Place;

#[test]
fn traces_are_listed_at_every_width() {
    let place = Place::with_agents();
    for width in ["60", "80", "120", "200"] {
        let text = place.transcript(&["list", "--width", width]);
        insta::assert_snapshot!(format!("list_{width}"), text);
    }
    let color = place.transcript(&["list", "--color", "always"]);
    insta::assert_snapshot!("list_color", color.replace('\x1b', "␛"));
    insta::assert_snapshot!("list_ascii", place.transcript(&["list", "--ascii"]));
    insta::assert_snapshot!("list_json", place.transcript(&["list", "--json"]));
    insta::assert_snapshot!("list_csv", place.transcript(&["list", "--format", "csv"]));
    insta::assert_snapshot!(
        "list_md",
        place.transcript(&["list", "--format", "md", "-n", "1"])
    );
    assert_eq!(
        place
            .run(&["list", "--format", "ndjson", "-q"])
            .stdout
            .lines()
            .count(),
        3
    );
}

#[test]
fn a_trace_is_shown() {
    let place = Place::with_agents();
    insta::assert_snapshot!("show", place.transcript(&["show", "@"]));
    insta::assert_snapshot!("show_all", place.transcript(&["show", "@", "--all"]));
    insta::assert_snapshot!("show_hostile", place.transcript(&["show", "@-1"]));
    let json = place.run(&["show", "@", "--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(
        document["info"]["trace_id"],
        "tr-9f31c2ab000000000000000000000001"
    );
    assert_eq!(document["data"]["spans"].as_array().map(Vec::len), Some(11));
    insta::assert_snapshot!(place.transcript(&["show", "@", "--format", "csv"]), @r#"
    --- stderr
    error: this command has no form csv
      it has tree, json, ndjson and md
    --- exit 2
    "#);
}

#[test]
fn the_messages_of_a_trace_are_shown() {
    let place = Place::with_agents();
    insta::assert_snapshot!("show_io", place.transcript(&["show", "@", "--io"]));
    let full = place.run(&["show", "@", "--io", "--full"]).stdout;
    assert_eq!(full.matches("You help customers.").count(), 2);
}

#[test]
fn a_span_is_shown() {
    let place = Place::with_agents();
    insta::assert_snapshot!("span_failed", place.transcript(&["span", "@/get_order"]));
    insta::assert_snapshot!(
        "span_model",
        place.transcript(&["span", "@/0000000000000003"])
    );
    insta::assert_snapshot!(
        "span_json",
        place.transcript(&["span", "@/get_order", "--json"])
    );
}

#[test]
fn two_traces_are_compared() {
    let place = Place::with_agents();
    insta::assert_snapshot!("diff", place.transcript(&["diff", "@-2", "@"]));
    insta::assert_snapshot!("diff_io", place.transcript(&["diff", "@-2", "@", "--io"]));
    insta::assert_snapshot!("diff_same", place.transcript(&["diff", "@-2", "@-2"]));
    let json = place.run(&["diff", "@-2", "@", "--json"]).stdout;
    let diff: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(diff["first_divergence"], 0);
    assert_eq!(diff["spans"][2]["mark"], "changed");
}

#[test]
fn the_newest_happenings_are_shown() {
    let place = Place::with_agents();
    insta::assert_snapshot!("tail", place.transcript(&["tail", "-n", "6"]));
    let ended = place.run(&["tail", "-n", "6", "--format", "ndjson"]).stdout;
    assert_eq!(ended.lines().count(), 5);
}

#[test]
fn spans_are_counted() {
    let place = Place::with_agents();
    insta::assert_snapshot!("stats", place.transcript(&["stats"]));
    let by = ["stats", "--by", "type,status", "--width", "80", "--ascii"];
    insta::assert_snapshot!("stats_by", place.transcript(&by));
    insta::assert_snapshot!(
        "stats_json",
        place.transcript(&["stats", "-n", "2", "--json"])
    );
    insta::assert_snapshot!("values", place.transcript(&["values", "type"]));
    insta::assert_snapshot!(
        "values_near",
        place.transcript(&["values", "gen_ai.requst.model"])
    );
    insta::assert_snapshot!("sessions", place.transcript(&["sessions"]));
}

#[test]
fn traces_are_named_by_prefix_and_age() {
    let place = Place::with_agents();
    insta::assert_snapshot!(place.transcript(&["show", "9f31"]), @r#"
    --- stderr
    error: prefix 9f31 is not unique
      9f31c2ab0 support.turn
      9f31c2ab7 clear \x1b[2J screen\nline
      hint: give more digits of the id
    --- exit 3
    "#);
    insta::assert_snapshot!(place.transcript(&["show", "abc"]), @r#"
    --- stderr
    error: no trace begins with `abc`
      hint: `spanlite list` shows the ids
    --- exit 3
    "#);
    insta::assert_snapshot!(place.transcript(&["show", "@-7"]), @r#"
    --- stderr
    error: the store holds 3 traces, `@-7` is further back
    --- exit 3
    "#);
    insta::assert_snapshot!(place.transcript(&["show", "order"]), @r#"
    --- stderr
    error: `order` names no trace: an id has the digits 0-9 and a-f
      hint: a trace is named by its id, the beginning of it, `@` or `@-1`
    --- exit 2
    "#);
    insta::assert_snapshot!(place.transcript(&["span", "@/search_orders"]), @r#"
    --- stderr
    error: `search_orders` is not one span
      0000000000000006 search_orders
      0000000000000007 search_orders
      0000000000000008 search_orders
      hint: give more digits of the id
    --- exit 3
    "#);
    insta::assert_snapshot!(place.transcript(&["span", "@/nothing"]), @r#"
    --- stderr
    error: no span of the trace begins with, or is named, `nothing`
      hint: `spanlite query '{ trace:id = "TRACE" }' --spans all` lists the spans with their ids
    --- exit 3
    "#);
    for reference in ["0c", "tr-0c4f7d18000000000000000000000003", "0C4F", "@-2"] {
        let run = place.run(&["show", reference, "--json"]);
        assert!(
            run.stdout.contains("tr-0c4f7d18000000000000000000000003"),
            "{reference}"
        );
    }
}

#[test]
fn a_page_is_pasted_as_a_block_that_nothing_in_it_ends() {
    let place = Place::empty();
    let span = serde_json::json!({
        "traceId": "0000000000000000000000000000000a", "spanId": "000000000000000a",
        "name": "say ```` it", "startTimeUnixNano": "1786569488000000000",
        "endTimeUnixNano": "1786569489000000000",
    });
    let file = serde_json::json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]});
    place.write("one.json", file.to_string());
    place.done(&["import", "one.json"]);
    let shown = place.done(&["show", "@", "--io", "--format", "md", "--color", "always"]);
    assert!(shown.starts_with("`````text\nsay ```` it"), "{shown}");
    assert!(
        shown.ends_with("\n`````\n") && !shown.contains('\u{1b}'),
        "{shown}"
    );
}
