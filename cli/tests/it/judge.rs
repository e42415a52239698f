//! Feedback, expectations, tags and pins.

use super::support::Place;

#[test]
fn traces_are_judged() {
    let place = Place::with_agents();
    let add = [
        "feedback",
        "add",
        "@",
        "correctness",
        "no",
        "--by",
        "alice",
        "--why",
        "wrong order",
    ];
    insta::assert_snapshot!(place.transcript(&add), @r#"
    --- stderr
    a-ID correctness tr-9f31c2ab000000000000000000000001 support.turn
    --- exit 0
    "#);
    let add = [
        "feedback",
        "add",
        "@/get_order",
        "severity",
        "0.5",
        "--source",
        "code",
    ];
    assert_eq!(place.run(&add).code, 0);
    assert_eq!(place.run(&["expect", "0c", "answer", "{\"a\": 1}"]).code, 0);
    assert_eq!(place.run(&["tag", "@", "env=prod", "team=a"]).code, 0);
    assert_eq!(place.run(&["tag", "@", "--rm", "team"]).code, 0);
    assert_eq!(place.run(&["pin", "@"]).code, 0);
    insta::assert_snapshot!("feedback_list", place.transcript(&["feedback", "list"]));
    let head = place.run(&["show", "@"]).stdout;
    insta::assert_snapshot!(
        "judged_head",
        head.lines().take(4).collect::<Vec<_>>().join("\n")
    );
    assert_eq!(place.run(&["feedback", "rm", "@", "correctness"]).code, 0);
    insta::assert_snapshot!(place.transcript(&["feedback", "rm", "@", "correctness"]), @r#"
    --- stderr
    error: the trace has no assessment `correctness`
      hint: `spanlite feedback list TRACE` shows them
    --- exit 3
    "#);
    insta::assert_snapshot!(place.transcript(&["tag", "@", "novalue"]), @r#"
    --- stderr
    error: `novalue` is no KEY=VALUE
    --- exit 2
    "#);
    let run = place.run(&["feedback", "list", "@", "--json"]);
    assert_eq!(run.stdout.matches("assessment_id").count(), 1);
}
