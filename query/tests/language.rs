//! Verdicts and canonical forms over the project's own lists of queries, and the manual.

use spanlite_query::{Phase, Query};

fn unescape(field: &str) -> String {
    let mut out = String::new();
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(c) => out.push(c),
                None => out.push('\\'),
            },
            (c, false) => out.push(c),
        }
    }
    out
}

/// Queries with their verdict, and their canonical form where one is given.
fn conformance() -> impl Iterator<Item = (String, String, String)> {
    let lists = [
        include_str!("data/conformance.tsv"),
        include_str!("data/more.tsv"),
    ];
    lists.into_iter().flat_map(str::lines).map(|line| {
        let mut fields = line.split('\t').map(unescape);
        let mut next = || fields.next().unwrap_or_default();
        (next(), next(), next())
    })
}

fn verdict(query: &str) -> &'static str {
    match Query::parse(query) {
        Ok(_) => "valid",
        Err(error) => match error.code.phase() {
            Phase::Parse => "parse_fails",
            Phase::Validate => "validate_fails",
            Phase::Unsupported => "unsupported",
        },
    }
}

#[test]
fn every_verdict_of_the_conformance_list_holds() {
    let mut wrong = Vec::new();
    for (query, class, _) in conformance() {
        let found = verdict(&query);
        if found != class {
            wrong.push(format!("{class} but {found}: {query}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Canonical forms in which whole numbers were raised with base and exponent swapped.
const SWAPPED_POWERS: [&str; 2] = [
    r#"{ kind > 3.5 } | { (client) / 1s % 2 =~ "x.*" =~ 2 ^ 1 }"#,
    "{!1^2||!-parent.a}",
];

#[test]
fn every_canonical_form_of_the_conformance_list_holds() {
    let mut wrong = Vec::new();
    for (query, class, canonical) in conformance() {
        if class == "parse_fails" || SWAPPED_POWERS.contains(&query.as_str()) {
            continue;
        }
        let found = Query::canonical_of(&query).unwrap();
        if !canonical.is_empty() && found != canonical {
            wrong.push(format!(
                "{query}\n  expected {canonical}\n  found    {found}"
            ));
        }
        match Query::canonical_of(&found) {
            Ok(again) if again == found => {}
            again => wrong.push(format!("{query}\n  printed {found}\n  again   {again:?}")),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_example_has_its_class() {
    let mut wrong = Vec::new();
    for line in include_str!("data/examples.tsv").lines() {
        let mut fields = line.split('\t');
        let (query, class) = (fields.next().unwrap(), fields.next().unwrap());
        let found = match Query::parse(query) {
            Ok(query) if query.warnings().is_empty() => "valid",
            Ok(_) => "warn",
            Err(_) => "refused",
        };
        if found != class {
            wrong.push(format!(
                "{class} but {found}: {query}\n{:?}",
                Query::parse(query).err()
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn mlflow_filters_are_taken_or_refused_as_decided() {
    let mut wrong = Vec::new();
    for line in include_str!("data/mlflow_filters.jsonl").lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let (query, ours) = (case["q"].as_str().unwrap(), case["ours"].as_bool().unwrap());
        match Query::parse(query) {
            Ok(parsed) => {
                let canonical = parsed.canonical();
                let again = Query::parse(&canonical).map(|query| query.canonical());
                if !ours {
                    wrong.push(format!("taken: {query}"));
                } else if again.as_ref() != Ok(&canonical) {
                    wrong.push(format!(
                        "{query}\n  printed {canonical}\n  again   {again:?}"
                    ));
                }
            }
            Err(error) if ours => wrong.push(format!("refused: {}", error.render(query))),
            Err(_) => {}
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// The lines of the manual's fenced blocks with an info string.
fn manual(kind: &str) -> Vec<&'static str> {
    let mut lines = Vec::new();
    let mut inside = None;
    for line in spanlite_query::LANGUAGE.lines() {
        match line.strip_prefix("```") {
            Some("") => inside = None,
            Some(info) => inside = Some(info),
            None if inside == Some(kind) => lines.push(line),
            None => {}
        }
    }
    lines
}

#[test]
fn every_example_of_the_manual_runs() {
    let traces = spanlite_formats::read_otlp_json(
        include_str!("data/dataset.jsonl")
            .lines()
            .next()
            .unwrap()
            .as_bytes(),
    );
    let examples = manual("query");
    assert!(examples.len() > 50, "{}", examples.len());
    for text in examples {
        let mut query = match Query::parse(text) {
            Ok(query) => query,
            Err(error) => panic!("{}", error.render(text)),
        };
        for name in query.parameters().to_vec() {
            query = query.bind(&name, "u-17").unwrap();
        }
        assert_eq!(Query::parse(&query.canonical()).unwrap(), query, "{text}");
        query.evaluate(&traces.as_ref().unwrap()[0], 0).unwrap();
    }
}

#[test]
fn what_the_manual_calls_refused_is_refused() {
    let examples = manual("refused");
    assert!(examples.len() > 5);
    for text in examples {
        assert!(Query::parse(text).is_err(), "{text}");
    }
}

#[test]
fn filters_of_mlflow_users_are_taken() {
    let filters = [
        "`timestamp` >= 1 AND execution_time < 10",
        "timestamp > '1500' and end_time_ms < '1e12'",
        "`tags`.env = 'prod'",
        "tags.`my tag` = 'sp ace' AND tags.\"my tag\" = 'x'",
        "tags.dq = 'say \"hi\"'",
        "tags.empty = ''",
        "tags.sq = 'it''s'",
        "timestamp_ms > 1e3",
        "request_metadata.mlflow.sourceRun = 'run0'",
        "metadata.mlflow.trace.session IS NULL",
        "run_id = \"R\" AND tags.type = \"training\"",
        "span.name RLIKE \"^llm\\.\"",
        "span.type NOT IN (\"LLM\", \"RETRIEVER\")",
        "trace.text LIKE \"%what's MLflow?%\"",
        "span.attributes.similarity.threshold LIKE \"%0.8%\"",
        "feedback.score >= 3.0 AND feedback.score < 4",
        "feedback.correctness = \"true\"",
        "expectation.score IS NULL",
        "trace.client_request_id RLIKE \"[0-9]{3}$\"",
        "tag.environment RLIKE \"us-(east|west)-[0-9]\"",
        "prompt = \"qa-agent-system-prompt/4\"",
        "request_id IN ('t1','t3')",
        "issue.id = 'i-1'",
        "timestamp_ms BETWEEN 1 AND 2",
        "text LIKE '%x%'",
        "feedback.correct = true",
    ];
    for text in filters {
        let query = match Query::parse(text) {
            Ok(query) => query,
            Err(error) => panic!("{}", error.render(text)),
        };
        assert_eq!(
            Query::parse(&query.canonical()).as_ref(),
            Ok(&query),
            "{text}"
        );
    }
}
