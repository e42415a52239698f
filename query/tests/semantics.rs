//! Results over twelve small traces, span by span.
#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

use std::collections::{BTreeMap, BTreeSet};

use spanlite_formats::read_otlp_json;
use spanlite_model::Trace;
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
