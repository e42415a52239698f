//! Results over twelve small traces, span by span.
#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

use std::collections::{BTreeMap, BTreeSet};

use spanlite_formats::read_otlp_json;
use spanlite_model::{
    Assessment, AssessmentSource, AssessmentValue, Json, Span, SpanId, Trace, TraceId,
};
use spanlite_query::Query;

fn traces() -> Vec<Trace> {
    let lines = include_str!("data/dataset.jsonl").lines();
    lines
        .flat_map(|line| read_otlp_json(line.as_bytes()).unwrap())
        .collect()
}

/// The span sets a query yields over all traces, by the labels of their spans.
fn found(
    query: &Query,
    traces: &[Trace],
    labels: &BTreeMap<String, String>,
) -> BTreeSet<Vec<String>> {
    let sets = traces.iter().flat_map(|trace| {
        let sets = query.evaluate(trace, 0).unwrap();
        sets.into_iter().map(|set| {
            let mut names: Vec<String> = set
                .spans
                .iter()
                .map(|span| labels[&trace.spans[span.index].span_id.to_string()].clone())
                .collect();
            names.sort();
            names
        })
    });
    sets.collect()
}

#[test]
fn every_result_of_the_semantics_list_holds() {
    let labels: BTreeMap<String, String> =
        serde_json::from_str(include_str!("data/labels.json")).unwrap();
    let traces = traces();
    let mut wrong = Vec::new();
    let lists = [
        include_str!("data/semantics.jsonl"),
        include_str!("data/more.jsonl"),
    ];
    for line in lists.into_iter().flat_map(str::lines) {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = case["q"].as_str().unwrap();
        let expected: Option<BTreeSet<Vec<String>>> =
            serde_json::from_value(case["expect"].clone()).unwrap();
        match (Query::parse(text), expected) {
            (Ok(query), Some(expected)) => {
                let found = found(&query, &traces, &labels);
                if found != expected {
                    let missing: Vec<_> = expected.difference(&found).collect();
                    let extra: Vec<_> = found.difference(&expected).collect();
                    wrong.push(format!("{text}\n  missing {missing:?}\n  extra {extra:?}"));
                }
            }
            (Err(_), None) => {}
            (Ok(_), None) => wrong.push(format!("{text}\n  is no error")),
            (Err(error), Some(_)) => wrong.push(error.render(text)),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// One span of 20.4 ms that begins within a millisecond, with what MLflow keeps of it elsewhere.
fn named_by_mlflow() -> Trace {
    let start_time_unix_nano = 1_700_000_000_123_600_000;
    let trace_id = TraceId::from_bytes([7; 16]);
    let mut span = Span::new(trace_id, SpanId::from_bytes([1; 8]), "predict");
    span.start_time_unix_nano = start_time_unix_nano;
    span.end_time_unix_nano = Some(start_time_unix_nano + 20_400_000);
    span.attributes.push("gen_ai.usage.input_tokens", 12);
    let mut trace = Trace::new(trace_id, vec![span]);
    trace.info.session = Some("s-1".to_owned());
    trace.info.user = Some("ann".to_owned());
    let run = ("mlflow.sourceRun".to_owned(), "run0".to_owned());
    trace.info.metadata.extend([run]);
    let five = Some(Json::from_text("5").unwrap());
    trace.info.assessments = [
        ("score", five.clone(), true),
        ("score", None, true),
        ("failed", None, true),
        ("old", five, false),
    ]
    .into_iter()
    .enumerate()
    .map(|(number, (name, value, valid))| Assessment {
        assessment_id: format!("a-{number}").as_str().into(),
        name: name.to_owned(),
        value: AssessmentValue::Feedback { value, error: None },
        source: AssessmentSource {
            source_type: "HUMAN".into(),
            source_id: None,
        },
        span_id: None,
        rationale: None,
        metadata: BTreeMap::new(),
        create_time_unix_nano: 0,
        update_time_unix_nano: 0,
        overrides: None,
        valid,
    })
    .collect();
    trace
}

#[test]
fn names_of_mlflow_mean_what_they_mean_there() {
    let trace = named_by_mlflow();
    let fits = |text: &str| {
        let query = Query::parse(text).unwrap();
        !query.evaluate(&trace, 0).unwrap().is_empty()
    };
    // Verdicts of `search_traces` on a server of version 3.17.2 that holds this trace, whose
    // times are whole milliseconds there.
    for (text, expected) in [
        ("execution_time_ms = 20", true),
        ("execution_time_ms = 20.0", true),
        ("execution_time = 20.4", false),
        ("execution_time != 20", false),
        ("execution_time != 20.4", true),
        ("execution_time > 20", false),
        ("execution_time >= 20", true),
        ("execution_time > 19.5", true),
        ("execution_time <= 20", true),
        ("execution_time < 20", false),
        ("execution_time < 20.5", true),
        ("timestamp_ms = 1700000000123", true),
        ("timestamp > 1700000000123", false),
        ("timestamp >= '1700000000124'", false),
        ("timestamp <= 1700000000123", true),
        ("tags.`mlflow.traceName` = 'predict'", true),
        ("tag.mlflow.traceName LIKE 'pre%'", true),
        ("tag.mlflow.traceName IS NULL", false),
        ("metadata.`mlflow.trace.session` = 's-1'", true),
        ("metadata.mlflow.trace.user != 'bob'", true),
        ("request_metadata.mlflow.sourceRun = 'run0'", true),
        ("run_id = 'run0'", true),
        ("metadata.`mlflow.trace.tokenUsage` IS NOT NULL", true),
        ("metadata.`mlflow.trace.tokenUsage` IS NULL", false),
        ("metadata.`mlflow.trace.cost` IS NOT NULL", false),
        ("metadata.`mlflow.trace.cost` IS NULL", true),
    ] {
        assert_eq!(fits(text), expected, "{text}");
    }
    // Judgements fit when one of them does, those without a value are there too; overridden ones
    // are not. What is not `IN` a list has to be there, on one span.
    for (text, expected) in [
        ("feedback.score != '5'", true),
        ("feedback.score != 'low'", true),
        ("feedback.score > 4", true),
        ("feedback.score < 4", false),
        ("feedback.score = 'null'", true),
        ("feedback.failed IS NOT NULL", true),
        ("feedback.failed != 'x'", true),
        ("feedback.old IS NULL", true),
        ("span.type NOT IN ('LLM', 'UNKNOWN')", false),
        ("span.type NOT IN ('LLM')", true),
        ("span.type NOT IN ('LLM') AND span.name != 'predict'", false),
        ("client_request_id NOT IN ('a')", false),
        ("client_request_id != 'a'", false),
        ("status NOT IN ('ERROR')", true),
    ] {
        assert_eq!(fits(text), expected, "{text}");
    }
    // What the server does not have is exact.
    for (text, expected) in [
        ("execution_time > 20ms", true),
        ("execution_time_ms BETWEEN 20 AND 20", true),
        ("execution_time_ms IN (19, 20)", true),
        ("NOT execution_time_ms IN (19, 20)", false),
        ("span.name NOT LIKE 'pre%'", false),
        ("span.name NOT LIKE 'x%'", true),
        ("NOT span.type IN ('LLM')", true),
        ("NOT client_request_id IN ('a')", true),
        ("{ trace:executionTime = 20 }", true),
        ("{ 20 < trace:executionTime }", false),
        ("{ trace:duration = 20ms }", false),
    ] {
        assert_eq!(fits(text), expected, "{text}");
    }
}
