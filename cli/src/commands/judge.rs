//! What people and checks say of traces: tags, pins, feedback, expectations.

use spanlite_model::{
    Assessment, AssessmentId, AssessmentSource, AssessmentValue, Json, SourceType, Span, Trace,
    TraceChange, TraceUpdate,
};

use crate::args::{
    ExpectArgs, FeedbackAddArgs, FeedbackCommand, FeedbackListArgs, FeedbackRmArgs, JudgeArgs,
    PinArgs, TagArgs,
};
use crate::commands::span::find_span;
use crate::error::{CliError, Outcome};
use crate::render::{Column, Line, Listing, Node, Role, json, object, units};
use crate::session::{Session, find_trace, id_digits};
use crate::settings::now_unix_nano;

/// Sets and removes tags of a trace.
pub(super) fn tag(args: &TagArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let mut changes = Vec::new();
    for pair in &args.tags {
        let Some((key, value)) = pair.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(CliError::Pair { text: pair.clone() });
        };
        changes.push(TraceChange::Tag {
            key: key.to_owned(),
            value: value.to_owned(),
        });
    }
    changes.extend(
        args.remove
            .iter()
            .map(|key| TraceChange::RemoveTag { key: key.clone() }),
    );
    let trace = change(session, &args.trace, |_, _| Ok(changes))?;
    let set = args.tags.iter().filter_map(|pair| pair.split_once('='));
    let set = set.map(|(key, value)| (key.to_owned(), value.into()));
    let removed = args.remove.iter().map(|key| key.as_str().into());
    let item = object([
        ("trace_id", trace.trace_id.to_string().into()),
        ("set", Node::Object(set.collect())),
        ("removed", Node::List(removed.collect())),
    ]);
    session.out.done(line_of("tagged", &trace), &item)?;
    Ok(Outcome::Done)
}

/// Keeps a trace from retention, or gives it back.
pub(super) fn pin(args: &PinArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let trace = change(session, &args.trace, |_, _| {
        Ok(vec![TraceChange::Pinned(!args.remove)])
    })?;
    let what = if args.remove { "unpinned" } else { "pinned" };
    let item = object([
        ("trace_id", trace.trace_id.to_string().into()),
        ("pinned", (!args.remove).into()),
    ]);
    session.out.done(line_of(what, &trace), &item)?;
    Ok(Outcome::Done)
}

/// Does what `feedback` says.
pub(super) fn feedback(
    command: &FeedbackCommand,
    session: &mut Session<'_>,
) -> Result<Outcome, CliError> {
    match command {
        FeedbackCommand::Add(args) => add(args, session),
        FeedbackCommand::List(args) => list(args, session),
        FeedbackCommand::Rm(args) => remove(args, session),
    }
}

fn add(args: &FeedbackAddArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let value = AssessmentValue::Feedback {
        value: Some(json_or_text(&args.value)),
        error: None,
    };
    put(&args.judge, &args.name, value, session)
}

/// Says what should have come out of a trace.
pub(super) fn expect(args: &ExpectArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let value = AssessmentValue::Expectation {
        value: json_or_text(&args.value),
    };
    put(&args.judge, &args.name, value, session)
}

/// A value that is JSON as that, anything else as a text.
fn json_or_text(text: &str) -> Json {
    Json::from_text(text).unwrap_or_else(|_not_json| Json::string(text))
}

fn put(
    judge: &JudgeArgs,
    name: &str,
    value: AssessmentValue,
    session: &mut Session<'_>,
) -> Result<Outcome, CliError> {
    let id = AssessmentId::random();
    let now = now_unix_nano();
    let mut put = None;
    let trace = change(session, &judge.trace, |trace, span| {
        // Whoever judges the same thing again replaces the earlier judgement.
        let source_type = SourceType::from(judge.source.to_ascii_uppercase().as_str());
        let overrides = trace.info.assessments.iter().rev().find(|old| {
            old.valid
                && old.name == name
                && old.span_id == span.map(|span| span.span_id)
                && old.source.source_type == source_type
                && old.source.source_id == judge.by
        });
        let assessment = Assessment {
            assessment_id: id.clone(),
            name: name.to_owned(),
            value,
            source: AssessmentSource {
                source_type,
                source_id: judge.by.clone(),
            },
            span_id: span.map(|span| span.span_id),
            rationale: judge.why.clone(),
            metadata: std::collections::BTreeMap::new(),
            create_time_unix_nano: now,
            update_time_unix_nano: now,
            valid: true,
            overrides: overrides.map(|old| old.assessment_id.clone()),
        };
        let assessment = put.insert(assessment).clone();
        Ok(vec![TraceChange::PutAssessment(Box::new(assessment))])
    })?;
    let line = line_of(&format!("{} {name}", id.as_str()), &trace);
    let item = put.map_or(Node::Null, |assessment| item(&trace, &assessment));
    session.out.done(line, &item)?;
    Ok(Outcome::Done)
}

fn remove(args: &FeedbackRmArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let mut removed: Vec<Node> = Vec::new();
    let trace = change(session, &args.trace, |trace, _| {
        let found = trace.info.assessments.iter().filter(|one| {
            one.assessment_id.as_str() == args.assessment || one.name == args.assessment
        });
        let changes: Vec<TraceChange> = found
            .map(|one| {
                removed.push(one.assessment_id.as_str().into());
                TraceChange::RemoveAssessment(one.assessment_id.clone())
            })
            .collect();
        if changes.is_empty() {
            return Err(CliError::NoAssessment {
                reference: args.assessment.clone(),
            });
        }
        Ok(changes)
    })?;
    let item = object([
        ("trace_id", trace.trace_id.to_string().into()),
        ("removed", Node::List(removed)),
    ]);
    session.out.done(line_of("removed", &trace), &item)?;
    Ok(Outcome::Done)
}

/// Lists the assessments of one trace, or of all.
fn list(args: &FeedbackListArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = session.store()?;
    let snapshot = store.snapshot()?;
    let mut listing = Listing::new(vec![
        Column::left("TRACE"),
        Column::left("NAME").shrinks_to(10),
        Column::left("VALUE").shrinks_to(8),
        Column::left("SOURCE").shrinks_to(8).dropped(2),
        Column::left("WHY").shrinks_to(8).dropped(1),
        Column::left("ID"),
    ]);
    let limit = session.limit(args.rows.limit);
    let mut take = |trace: &Trace| -> Result<bool, CliError> {
        let digits = id_digits(&snapshot, trace.trace_id)?;
        for assessment in &trace.info.assessments {
            if !listing.has_room(limit) {
                return Ok(true);
            }
            listing.push(cells(trace, digits, assessment), item(trace, assessment));
        }
        Ok(false)
    };
    if let Some(reference) = &args.trace {
        take(&find_trace(&snapshot, reference)?)?;
    } else {
        for trace in snapshot.traces(session.range(&args.rows.since)) {
            if take(&trace?)? {
                break;
            }
        }
    }
    listing.complete &= session.warn_of_damage(&snapshot);
    session.out.list(&listing)?;
    Ok(Outcome::Done)
}

fn value_of(assessment: &Assessment) -> Node {
    match &assessment.value {
        AssessmentValue::Feedback { value, .. } => value.clone().map_or(Node::Null, Node::Raw),
        AssessmentValue::Expectation { value } => Node::Raw(value.clone()),
        AssessmentValue::Issue { name } => name.as_str().into(),
    }
}

fn kind_of(assessment: &Assessment) -> &'static str {
    match assessment.value {
        AssessmentValue::Feedback { .. } => "feedback",
        AssessmentValue::Expectation { .. } => "expectation",
        AssessmentValue::Issue { .. } => "issue",
    }
}

fn cells(trace: &Trace, digits: usize, assessment: &Assessment) -> Vec<(Role, String)> {
    let source = &assessment.source;
    let by = source.source_id.as_deref().unwrap_or_default();
    let mut value = match &assessment.value {
        AssessmentValue::Feedback { value: None, error } => error
            .as_ref()
            .map_or_else(String::new, |error| format!("({})", error.code)),
        AssessmentValue::Feedback {
            value: Some(value), ..
        }
        | AssessmentValue::Expectation { value } => value.to_display_text().into_owned(),
        AssessmentValue::Issue { name } => name.clone(),
    };
    if !assessment.valid {
        value.push_str(" (overridden)");
    }
    vec![
        (Role::Id, units::short_id(trace.trace_id, digits)),
        (Role::Plain, assessment.name.clone()),
        (Role::Strong, value),
        (
            Role::Dim,
            format!("{} {by}", source.source_type.as_str())
                .trim_end()
                .to_owned(),
        ),
        (
            Role::Plain,
            assessment.rationale.clone().unwrap_or_default(),
        ),
        (Role::Id, assessment.assessment_id.as_str().to_owned()),
    ]
}

fn item(trace: &Trace, assessment: &Assessment) -> Node {
    object([
        ("trace_id", trace.trace_id.to_string().into()),
        (
            "span_id",
            assessment.span_id.map(|id| id.to_string()).into(),
        ),
        ("assessment_id", assessment.assessment_id.as_str().into()),
        ("kind", kind_of(assessment).into()),
        ("name", assessment.name.as_str().into()),
        ("value", value_of(assessment)),
        ("source_type", assessment.source.source_type.as_str().into()),
        ("source_id", assessment.source.source_id.as_deref().into()),
        ("rationale", assessment.rationale.as_deref().into()),
        ("valid", assessment.valid.into()),
        ("time", json::time(assessment.create_time_unix_nano).into()),
    ])
}

/// Stores changes of the trace, or span, that a reference names.
fn change(
    session: &mut Session<'_>,
    reference: &str,
    changes: impl FnOnce(&Trace, Option<&Span>) -> Result<Vec<TraceChange>, CliError>,
) -> Result<Trace, CliError> {
    let store = session.store_to_write(false)?;
    let snapshot = store.snapshot()?;
    let (trace_reference, span_reference) = match reference.split_once('/') {
        Some((trace, span)) => (trace, Some(span)),
        None => (reference, None),
    };
    let trace = find_trace(&snapshot, trace_reference)?;
    let span = span_reference
        .map(|span| find_span(&trace, span))
        .transpose()?;
    let updates: Vec<TraceUpdate> = changes(&trace, span)?
        .into_iter()
        .map(|change| TraceUpdate {
            trace_id: trace.trace_id,
            time_unix_nano: now_unix_nano(),
            change,
        })
        .collect();
    store.update(&updates)?;
    store.close()?;
    Ok(trace)
}

/// Says what was done to a trace.
fn line_of(what: &str, trace: &Trace) -> Line {
    let mut line = Line::of(Role::Plain, what);
    line.pad(1).text(Role::Id, &trace.trace_id.to_string());
    line.pad(1)
        .fitted(Role::Plain, trace.name().unwrap_or_default(), 60);
    line
}
