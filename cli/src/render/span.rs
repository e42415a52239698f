use std::io;

use spanlite_model::{
    Assessment, AssessmentValue, Attributes, Span, SpanType, TokenUsage, Trace, Value, keys,
};

use super::json;
use super::json_view::{self, JsonFold};
use super::line::{Line, Sheet};
use super::look::Role;
use super::node::{Node, object};
use super::show::{error_text_whole, tokens};
use super::units;

/// Columns of a key or a name, at most: some are long, and hostile ones longer.
const KEY_COLUMNS: usize = 120;

/// Attributes that are shown as the fields of the span that they are.
const LIFTED: [&str; 3] = [
    keys::MLFLOW_SPAN_TYPE,
    keys::MLFLOW_SPAN_INPUTS,
    keys::MLFLOW_SPAN_OUTPUTS,
];

/// Writes everything of one span for people.
pub(crate) fn span_page(
    sheet: &mut Sheet<'_>,
    trace: &Trace,
    span: &Span,
    fold: JsonFold,
) -> io::Result<()> {
    title(sheet, trace, span, fold)?;
    facts(sheet, span)?;
    for (heading, payload) in [("INPUTS", &span.inputs), ("OUTPUTS", &span.outputs)] {
        if let Some(payload) = payload {
            section(sheet, heading)?;
            json_view::write_json(sheet, payload, 2, fold)?;
        }
    }
    let own = span
        .attributes
        .iter()
        .filter(|(key, _)| !LIFTED.contains(key));
    let own: Attributes = own.map(|(key, value)| (key, value.clone())).collect();
    attributes(sheet, "ATTRIBUTES", &own, fold)?;
    if !span.events.is_empty() {
        section(sheet, "EVENTS")?;
        for event in &span.events {
            let mut line = Line::new();
            let offset = event
                .time_unix_nano
                .saturating_sub(span.start_time_unix_nano);
            line.pad(2)
                .text(Role::Dim, &format!("+{}", units::duration(offset)));
            line.pad(1).fitted(Role::Strong, &event.name, KEY_COLUMNS);
            sheet.line(&line)?;
            pairs(sheet, &event.attributes, 4, fold)?;
        }
    }
    if !span.links.is_empty() {
        section(sheet, "LINKS")?;
        for link in &span.links {
            let mut line = Line::new();
            line.pad(2)
                .text(Role::Id, &format!("{}/{}", link.trace_id, link.span_id));
            sheet.line(&line)?;
            pairs(sheet, &link.attributes, 4, fold)?;
        }
    }
    let judged = trace
        .info
        .assessments
        .iter()
        .filter(|one| one.span_id == Some(span.span_id));
    let judged: Vec<&Assessment> = judged.collect();
    if !judged.is_empty() {
        section(sheet, "ASSESSMENTS")?;
        for assessment in judged {
            let mut line = Line::new();
            line.pad(2).append(judgement(assessment));
            sheet.line(&line)?;
            if let Some(rationale) = &assessment.rationale {
                json_view::write_text(sheet, rationale, 6, fold, Role::Plain)?;
            }
        }
    }
    attributes(sheet, "RESOURCE", &span.resource.attributes, fold)?;
    if !span.scope.name.is_empty() {
        section(sheet, "SCOPE")?;
        let mut line = Line::new();
        line.pad(2)
            .fitted(Role::Plain, &span.scope.name, KEY_COLUMNS);
        line.pad(1)
            .fitted(Role::Dim, &span.scope.version, KEY_COLUMNS);
        sheet.line(&line)?;
    }
    Ok(())
}

fn title(sheet: &mut Sheet<'_>, trace: &Trace, span: &Span, fold: JsonFold) -> io::Result<()> {
    let mut line = Line::new();
    if span.span_type != SpanType::Unknown {
        line.span_type(&span.span_type).pad(1);
    }
    line.fitted(Role::Strong, &span.name, 80);
    line.pad(2).text(Role::Id, &span.span_id.to_string());
    line.pad(2);
    match (span.is_error(), span.end_time_unix_nano) {
        (true, _) => line.text(Role::Error, "✗ error"),
        (false, None) => line.text(Role::Running, "● not ended"),
        (false, Some(_)) => line.text(Role::Ok, "✓ ok"),
    };
    sheet.line(&line)?;
    let mut line = Line::of(Role::Dim, "trace ");
    let link = sheet.look.trace_link(trace.trace_id);
    line.linked(Role::Id, &trace.trace_id.to_string(), link.as_deref())
        .pad(1);
    line.fitted(Role::Plain, trace.name().unwrap_or_default(), 60);
    if let Some(parent) = span.parent_span_id {
        line.sign(Role::Dim, " · ")
            .text(Role::Dim, "parent ")
            .text(Role::Id, &parent.to_string());
    }
    sheet.line(&line)?;
    if span.is_error() {
        let text = error_text_whole(span);
        json_view::write_text(sheet, &format!("! {text}"), 0, fold, Role::Error)?;
    }
    Ok(())
}

fn facts(sheet: &mut Sheet<'_>, span: &Span) -> io::Result<()> {
    let mut parts = vec![sheet.look.date_time(span.start_time_unix_nano)];
    if let Some(nanos) = span.duration_nanos() {
        parts.push(units::duration(nanos));
    }
    if span.kind != spanlite_model::SpanKind::Unspecified {
        parts.push(span.kind.as_str().to_owned());
    }
    parts.extend(span.model().map(ToOwned::to_owned));
    let usage = TokenUsage::of(span);
    parts.extend(tokens(usage, units::count).map(|tokens| format!("{tokens} tokens")));
    if let Some(cached) = usage.cache_read_input_tokens.filter(|&cached| cached > 0) {
        parts.push(format!("{} cached", units::count(cached)));
    }
    parts.extend(
        spanlite_model::Cost::of(span)
            .total_cost
            .map(units::dollars),
    );
    parts.extend(span.service_name().map(|name| format!("service {name}")));
    for (number, what) in [
        (span.dropped_attributes_count, "attribute"),
        (span.dropped_events_count, "event"),
        (span.dropped_links_count, "link"),
    ] {
        if number > 0 {
            parts.push(format!(
                "{} dropped by the sender",
                units::plural(number.into(), what)
            ));
        }
    }
    let mut line = Line::new();
    line.fitted(Role::Plain, &parts.join(" · "), sheet.look.width.max(200));
    sheet.line(&line)
}

fn section(sheet: &mut Sheet<'_>, heading: &str) -> io::Result<()> {
    sheet.blank()?;
    sheet.text(Role::Heading, heading)
}

fn attributes(
    sheet: &mut Sheet<'_>,
    heading: &str,
    attributes: &Attributes,
    fold: JsonFold,
) -> io::Result<()> {
    if attributes.is_empty() {
        return Ok(());
    }
    section(sheet, heading)?;
    pairs(sheet, attributes, 2, fold)
}

/// Keys with values: short values beside their key, long ones below it.
pub(crate) fn pairs(
    sheet: &mut Sheet<'_>,
    attributes: &Attributes,
    indent: usize,
    fold: JsonFold,
) -> io::Result<()> {
    let widest = attributes
        .iter()
        .map(|(key, _)| super::text::fit(key, 40).width)
        .max();
    let key_width = widest.unwrap_or(0);
    for (key, value) in attributes.iter() {
        let mut line = Line::new();
        line.pad(indent).fitted(Role::Key, key, KEY_COLUMNS);
        line.pad_to(indent + key_width).pad(2);
        let rest = sheet.look.width.saturating_sub(line.width());
        let (role, text) = match value {
            Value::String(text) => (Role::Plain, std::borrow::Cow::Borrowed(text.as_str())),
            Value::Bytes(bytes) => {
                let size = units::bytes(bytes.len() as u64);
                (Role::Dim, format!("({size} of bytes)").into())
            }
            other => (Role::Number, other.to_json_text().into()),
        };
        let fits = text.len() <= rest * 4 && super::text::fit(&text, rest + 1).width <= rest;
        if fits && !text.contains('\n') {
            sheet.line(line.text(role, &text))?;
            continue;
        }
        sheet.line(&line)?;
        match Node::parse(&text) {
            Some(inner @ (Node::Object(_) | Node::List(_))) => {
                json_view::write_value(sheet, &inner, indent + 2, fold)?;
            }
            _ => json_view::write_text(sheet, &text, indent + 2, fold, role)?,
        }
    }
    Ok(())
}

/// An assessment in one line: `★ correctness no (HUMAN alice): why`.
pub(crate) fn assessment_line(assessment: &Assessment, max_width: usize) -> Line {
    let mut line = judgement(assessment);
    if let Some(rationale) = &assessment.rationale {
        let rest = max_width.saturating_sub(line.width() + 2);
        line.text(Role::Dim, ": ")
            .fitted(Role::Plain, rationale, rest);
    }
    line
}

/// What was judged, how and by whom.
fn judgement(assessment: &Assessment) -> Line {
    let mut line = Line::new();
    let (sign, role) = match &assessment.value {
        AssessmentValue::Feedback { .. } => ("★ ", Role::Warning),
        AssessmentValue::Expectation { .. } => ("= ", Role::Key),
        AssessmentValue::Issue { .. } => ("! ", Role::Error),
    };
    line.sign(role, sign)
        .fitted(Role::Plain, &assessment.name, 40)
        .pad(1);
    match &assessment.value {
        AssessmentValue::Feedback {
            value: Some(value), ..
        }
        | AssessmentValue::Expectation { value } => {
            line.fitted(Role::Strong, &value.to_display_text(), 60)
        }
        AssessmentValue::Feedback { error, .. } => {
            let code = error.as_ref().map_or("no value", |error| &error.code);
            line.fitted(Role::Error, code, 60)
        }
        AssessmentValue::Issue { name } => line.fitted(Role::Strong, name, 60),
    };
    let source = &assessment.source;
    let who = source.source_id.as_deref().unwrap_or_default();
    let who = format!(" ({} {who})", source.source_type.as_str()).replace(" )", ")");
    line.fitted(Role::Dim, &who, 40);
    line
}

/// A span as machines get it alone.
pub(crate) fn span_item(span: &Span) -> Node {
    let usage = TokenUsage::of(span);
    let events = span.events.iter().map(|event| {
        object([
            ("name", event.name.as_str().into()),
            ("time", json::time(event.time_unix_nano).into()),
            ("attributes", attributes_item(&event.attributes)),
        ])
    });
    let links = span.links.iter().map(|link| {
        object([
            ("trace_id", link.trace_id.to_string().into()),
            ("span_id", link.span_id.to_string().into()),
            ("attributes", attributes_item(&link.attributes)),
        ])
    });
    object([
        ("trace_id", span.trace_id.to_string().into()),
        ("span_id", span.span_id.to_string().into()),
        (
            "parent_span_id",
            span.parent_span_id.map(|id| id.to_string()).into(),
        ),
        ("name", span.name.as_str().into()),
        ("type", span.span_type.as_str().into()),
        ("kind", span.kind.as_str().into()),
        ("status", span.status.code.as_str().into()),
        ("status_message", span.status.message.as_str().into()),
        ("start", json::time(span.start_time_unix_nano).into()),
        ("end", span.end_time_unix_nano.map(json::time).into()),
        ("duration_ns", span.duration_nanos().into()),
        ("model", span.model().into()),
        ("input_tokens", usage.input_tokens.into()),
        ("output_tokens", usage.output_tokens.into()),
        ("cost_usd", spanlite_model::Cost::of(span).total_cost.into()),
        ("inputs", span.inputs.clone().map_or(Node::Null, Node::Raw)),
        (
            "outputs",
            span.outputs.clone().map_or(Node::Null, Node::Raw),
        ),
        ("attributes", attributes_item(&span.attributes)),
        ("events", Node::List(events.collect())),
        ("links", Node::List(links.collect())),
        ("resource", attributes_item(&span.resource.attributes)),
        ("scope", span.scope.name.as_str().into()),
    ])
}

pub(crate) fn attributes_item(attributes: &Attributes) -> Node {
    let pairs = attributes.iter().map(|(key, value)| {
        let json = spanlite_model::Json::from_trusted_text(value.to_json_text());
        (key.to_owned(), Node::Raw(json))
    });
    Node::Object(pairs.collect())
}
