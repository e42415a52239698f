//! Questions in the query language, kept and checked.

use super::support::Place;

/// What a command says, without how long it took, which differs from run to run.
fn timeless(place: &Place, args: &[&str]) -> String {
    let text = place.transcript(args);
    let lines = text
        .lines()
        .map(|line| line.split(" matched in ").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn an_answer_without_traces_says_what_nothing_has() {
    let place = Place::with_agents();
    let text = |args: &[&str]| timeless(&place, args);
    insta::assert_snapshot!(text(&["list", "tag.none = 'x'"]), @r#"
    --- stderr
    no match in 3 traces
    warning: no trace has tag.none
      | tag.none = 'x'
      | ^^^^^^^^
    --- exit 0
    "#);
    insta::assert_snapshot!(text(&["query", "{ span:type = `TOLL` && trace:state = `failed` }"]), @r#"
    --- stderr
    0 traces, 0 spans
    warning: no span has span:type = "TOLL"
      | { span:type = `TOLL` && trace:state = `failed` }
      |               ^^^^^^ near: TOOL
    warning: trace:state is never "failed"
      | { span:type = `TOLL` && trace:state = `failed` }
      |                                       ^^^^^^^^ did you mean ERROR? (trace:state is one of OK, ERROR, IN_PROGRESS, INTERRUPTED)
    --- exit 0
    "#);
}

#[test]
fn questions_are_answered() {
    let place = Place::with_agents();
    let text = |args: &[&str]| timeless(&place, args);
    let failed = "{ status = error }";
    insta::assert_snapshot!("query", text(&["query", failed]));
    let grouped = "{ span:type = \"tool\" } | by(name) | count() > 1 | select(span:duration)";
    insta::assert_snapshot!("query_by", text(&["query", grouped, "--spans", "2"]));
    insta::assert_snapshot!(
        "query_ndjson",
        text(&["query", grouped, "--format", "ndjson"])
    );
    insta::assert_snapshot!(
        "query_json",
        text(&["query", failed, "--json", "--spans", "all"])
    );
    insta::assert_snapshot!(text(&["query", "{ lattency > 2s }"]), @r#"
    --- stderr
    error: unknown name lattency
        | { lattency > 2s }
        |   ^^^^^^^^ an attribute begins with a dot or a scope: .lattency, span.lattency; a text needs quotes
    --- exit 2
    "#);
    let counted = "{ } | count_over_time() by (span:type)";
    insta::assert_snapshot!(text(&["query", counted]), @r#"
    span:type   VALUE
    AGENT           4
    CHAIN           1
    CHAT_MODEL      4
    RETRIEVER       1
    TOOL            7
    --- exit 0
    "#);
    insta::assert_snapshot!(text(&["query", counted, "--step", "10m"]), @r#"
    span:type   LAST  MOST  TREND
    AGENT          3     3  ▄█
    CHAIN          1     1  ▁█
    CHAT_MODEL     2     2  ██
    RETRIEVER      1     1  ▁█
    TOOL           6     6  ▃█
    --- stderr
    2 steps of 10m00s from 2026-08-12 21:00:00
    --- exit 0
    "#);
    insta::assert_snapshot!(text(&["list", counted]), @r#"
    --- stderr
    error: the query failed
      this query yields metrics, not traces
    --- exit 2
    "#);
    insta::assert_snapshot!(text(&["list", "span.type = 'RETRIEVER'", "-q"]), @r#"
       TRACE      STARTED         NAME            DUR  SPANS  LLM     TOKENS     COST  STATE
    ✗  9f31c2ab0  08-12 21:18:08  support.turn  41.2s     11    2  183k→3.3k  $0.0295  error: no order …
    --- exit 0
    "#);
    insta::assert_snapshot!(text(&["stats", failed, "--by", "error"]), @r#"
    ERROR          CALLS   ERR    P50    P95    P99  TREND
    –                  2  100%  980ms  41.2s  41.2s  █▁▁▁▁▁▁▁▁▁▁▁
    OrderNotFound      1  100%  1.00s  1.00s  1.00s  ▁▁▁▁▁▁▁▁▁▁▁█
    --- stderr
    3 spans in 2 groups
    --- exit 0
    "#);
    let run = place.run(&["query", "{ }", "--since", "1s", "--format", "ndjson"]);
    assert_eq!(run.stdout, "");
    let args = ["export", "--to", "jsonl", "--where", failed, "-"];
    assert_eq!(place.run(&args).stdout.lines().count(), 2);
}

#[test]
fn queries_are_checked_without_a_store() {
    let place = Place::empty();
    let input = "\"{ }\"\n\"{ status = ERROR }\"\n\"tag.a = 'b' AND\"\n";
    let run = place.run_with_input(&["query", "--check"], input);
    insta::assert_snapshot!(run.transcript(), @r#"
    {"ok":true,"canonical":"{ true }"}
    {"ok":false,"stage":"parse","error":{"code":"UnknownName","span":[11,16],"message":"unknown name ERROR","help":"did you mean error? (status values are ok, error, unset)","replace":"error"}}
    {"ok":false,"stage":"parse","error":{"code":"Unexpected","span":[15,15],"message":"expected a value, found the end","help":null,"expected":["a value"]}}
    --- exit 0
    "#);
    assert_eq!(
        place
            .run_with_input(&["query", "--check"], "no string\n")
            .code,
        2
    );
}

#[test]
fn queries_are_kept_and_checked() {
    let place = Place::with_agents();
    assert_eq!(
        place
            .run(&["queries", "add", "bad", "{ status = error }"])
            .code,
        0
    );
    assert_eq!(
        place.run(&["queries", "add", "worse", "{ status = "]).code,
        2
    );
    insta::assert_snapshot!(place.transcript(&["queries", "list"]), @r#"
    NAME  QUERY
    @bad  { status = error }
    --- exit 0
    "#);
    insta::assert_snapshot!(place.transcript(&["check", "@bad"]), @r#"
    ✗ 2 traces, at most 0 wanted: tr-9f31c2ab000000000000000000000001 tr-9f31c2ab700000000000000000000002
    --- exit 7
    "#);
    insta::assert_snapshot!(place.transcript(&["check", "@bad", "--max", "2"]), @r#"
    ✓ 2 traces, at most 2 wanted
    --- exit 0
    "#);
    insta::assert_snapshot!(place.transcript(&["check", "@bad", "--min", "4", "--spans"]), @r#"
    ✗ 3 spans, at least 4 wanted: tr-9f31c2ab000000000000000000000001 tr-9f31c2ab700000000000000000000002
    --- exit 7
    "#);
    assert_eq!(place.run(&["queries", "rm", "bad"]).code, 0);
    insta::assert_snapshot!(place.transcript(&["list", "@bad"]), @r#"
    --- stderr
    error: there is no saved query `@bad`
      hint: `spanlite queries list` shows them
    --- exit 3
    "#);
}

#[test]
fn a_query_is_explained() {
    let place = Place::with_agents();
    let text = place
        .run(&["query", "{ status = error }", "--explain"])
        .stdout;
    assert!(text.starts_with("{ status = error }\nplan\n"), "{text}");
    let json = place
        .run(&["query", "{ status = error }", "--explain", "--json"])
        .stdout;
    let explain: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(explain["traces_matched"], 2);
}
