//! What people see of every sort of mistake.

use insta::assert_snapshot;
use spanlite_query::{Code, Query, Verdict};

/// The drawn error of each query, under its code.
fn drawn(queries: &[&str]) -> String {
    let drawn = |query: &&str| match Query::parse(query) {
        Ok(parsed) => {
            let warnings = parsed.warnings().iter();
            let drawn: Vec<String> = warnings
                .map(|warning| format!("warning {}: {}", warning.code, warning.render(query)))
                .collect();
            assert!(!drawn.is_empty(), "no mistake in {query}");
            drawn.join("\n")
        }
        Err(error) => format!("{}: {}", error.code, error.render(query)),
    };
    queries.iter().map(drawn).collect::<Vec<_>>().join("\n")
}

#[test]
fn mistakes_in_tokens() {
    assert_snapshot!(drawn(&[
        "{ name = \"x }",
        "{ name = `x }",
        "tag.fruit = 'apple",
        "{ } /* x",
        r#"{ name = "\q" }"#,
        "{ .a > 10k }",
        "{ .a > 5 MB }",
        "{ .a > 0x10 }",
        "{ .a > 1_000 }",
        "{ duration > 1.5d }",
        "{ .a = 99999999999999999999 }",
        "{ .a = # }",
        "name = 'x';",
        "{ span. = 1 }",
        "{ input.a[x] = 1 }",
    ]));
}

#[test]
fn mistakes_in_names() {
    assert_snapshot!(drawn(&[
        "{ status = ERROR }",
        "{ stauts = error }",
        "{ name = foo }",
        "{ span:nmae = \"x\" }",
        "{ trace:kind = client }",
        "{ trace.status = 1 }",
        "{ foo.bar = 1 }",
        "{ resourc.a = 1 }",
        "span.duration > 5",
        "tag.fruit = apple",
        "duration > 5s",
        "metrics.x > 1",
        "status:error",
        "{ .a = null }",
    ]));
}

#[test]
fn habits_of_other_languages() {
    assert_snapshot!(drawn(&[
        "{ .a == 1 }",
        "name <> 'x'",
        "SELECT * FROM spans",
        "{ .a | .b }",
        "{ .a & .b }",
        "{ .a && .b or .c }",
        "{ .a || .b && .c }",
        "@slow",
    ]));
}

#[test]
fn mistakes_in_shape() {
    assert_snapshot!(drawn(&[
        "",
        "{ .a = 1",
        "({ .a }",
        "{ .a = }",
        "{ .a 1 }",
        "{ .a = 1 } }",
        "{ nil }",
        "count()",
        "1 > 2",
        "coalesce()",
        "{ } | max(duration)",
        "{ .a } + { .b }",
        "{ .a } && ({ .b } | count() > 1)",
        "{ } | rate() / 2",
        "({ } | rate()) + 10s",
        "{ } | limit -1",
        "{ } | since yesterday",
        "name = 'x' AND",
        "name 'x'",
        "'a' = 'b'",
        "{ } with (a=b)",
    ]));
}

#[test]
fn mistakes_in_meaning() {
    assert_snapshot!(drawn(&[
        "{ status = \"error\" }",
        "{ kind = 3 }",
        "{ duration > \"1s\" }",
        "{ \"a\" + \"b\" = .c }",
        "{ !1 }",
        "{ duration }",
        "{ error }",
        "{ name =~ \"a(\" }",
        "{ name =~ \"*a\" }",
        "{ name =~ .b }",
        "{ name =~ \"(a{1000}){1000}\" }",
        "{ name = nil }",
        "{ span:parentID = nil }",
        "{ } | max(name) > 1",
        "by(1)",
        "{ } | rate() | topk(0)",
        "{ } | quantile_over_time(duration, 2)",
        "{ } | compare({ }) | topk(1)",
        "{ json(.a, \"$[\") = 1 }",
        "{ trace:start > \"soon\" }",
        "{ parent.a = 1 }",
        "{ } | count() * 2 > 4",
        "{ } | 2 < count()",
        "{ } | rate() by (.a, .b, .c, .d, .e, .f)",
    ]));
}

#[test]
fn a_value_without_quotes_is_answered_with_those_there_are() {
    let help = |text: &str| {
        let error = Query::parse(text).unwrap_err();
        format!("{} | {}", error.help.unwrap(), error.replace.unwrap())
    };
    assert_eq!(
        help("{ trace:state = running }"),
        r#"did you mean "IN_PROGRESS"? (one of OK, ERROR, IN_PROGRESS, INTERRUPTED) | "IN_PROGRESS""#
    );
    assert_eq!(
        help("trace.status != failed"),
        "did you mean 'ERROR'? (one of OK, ERROR, IN_PROGRESS) | 'ERROR'"
    );
    assert!(help("{ span:type = tol }").starts_with(r#"did you mean "TOOL"? (one of LLM,"#));
    assert_eq!(
        help("{ status = errr }"),
        "did you mean error? (status values are ok, error, unset) | error"
    );
    assert_eq!(
        help("name = predict"),
        "a text needs quotes: 'predict' | 'predict'"
    );
}

#[test]
fn what_is_too_much_is_refused() {
    let deep = format!("{{ {}.a{} }}", "(".repeat(200), ")".repeat(200));
    assert_eq!(Query::parse(&deep).unwrap_err().code, Code::TooDeep);
    let negated = format!("{{ {}.a }}", "!".repeat(50_000));
    assert_eq!(Query::parse(&negated).unwrap_err().code, Code::TooDeep);
    let many = format!("{{ .a{} }}", " + 1".repeat(10_000));
    assert_eq!(Query::parse(&many).unwrap_err().code, Code::TooLong);
    let long = format!("{{ .a = \"{}\" }}", "x".repeat(70_000));
    assert_eq!(Query::parse(&long).unwrap_err().code, Code::TooLong);
    let most = format!("{{ .a{} }}", " || .b = 1".repeat(199));
    assert!(Query::parse(&most).unwrap().canonical().len() > 199);
}

#[test]
fn verdicts_are_one_json_object() {
    let json = |text| serde_json::to_string(&Verdict::of(text)).unwrap();
    assert_snapshot!(json("{ .a }"), @r#"{"ok":true,"canonical":"{ .a }"}"#);
    assert_snapshot!(json("{ status = ERROR }"), @r#"{"ok":false,"stage":"parse","error":{"code":"UnknownName","span":[11,16],"message":"unknown name ERROR","help":"did you mean error? (status values are ok, error, unset)","replace":"error"}}"#);
    assert_snapshot!(json("{ parent.a }"), @r#"{"ok":false,"stage":"unsupported","error":{"code":"Unsupported","span":[2,10],"message":"asking for the parent's fields is not supported","help":"write { … } > { … }"}}"#);
}
