use spanlite_model::{
    AssessmentValue, Cost, Json, Span, SpanType, StatusCode, TokenUsage, Trace, keys,
};

use super::datum::Datum;
use super::node::{At, Given};
use super::view::View;
use crate::syntax::field::{Builtin, Field, Scope};

/// The value of a field at a place of a trace.
pub(crate) fn value<'a>(field: &Field, at: At<'_, 'a>) -> Datum<'a> {
    match at.given {
        None => {}
        Some(Given::Value(value)) => return value.clone(),
        Some(Given::Row(values, row)) => return values.value(field, row),
    }
    match field {
        Field::Builtin(builtin) => builtin_value(*builtin, at),
        Field::Attribute { scope, name } => attribute(*scope, name, at),
        Field::Parent { .. } => Datum::Nil,
    }
}

fn attribute<'a>(scope: Scope, name: &str, at: At<'_, 'a>) -> Datum<'a> {
    let trace = at.view.trace;
    match scope {
        Scope::Tag => return entry(trace.info.tags.get(name)),
        Scope::Metadata => return metadata(trace, name),
        Scope::Feedback | Scope::Expectation => return assessed(trace, scope, name),
        _ => {}
    }
    let Some(span) = at.span() else {
        return Datum::Nil;
    };
    let found = match scope {
        Scope::Either => {
            let own = span.attributes.get(name);
            own.or_else(|| span.resource.attributes.get(name))
        }
        Scope::Span => span.attributes.get(name),
        Scope::Resource => span.resource.attributes.get(name),
        Scope::Instrumentation => span.scope.attributes.get(name),
        Scope::Event => match at.event {
            Some(event) => event.attributes.get(name),
            None => span
                .events
                .iter()
                .find_map(|event| event.attributes.get(name)),
        },
        Scope::Link => match at.link {
            Some(link) => link.attributes.get(name),
            None => span.links.iter().find_map(|link| link.attributes.get(name)),
        },
        _ => None,
    };
    match found {
        Some(value) => Datum::of(value),
        None => lifted(scope, name, span),
    }
}

/// MLflow's attributes that stand in fields of their own.
fn lifted<'a>(scope: Scope, name: &str, span: &'a Span) -> Datum<'a> {
    if !matches!(scope, Scope::Span | Scope::Either) {
        return Datum::Nil;
    }
    let json = |value: &'a Option<Json>, derived: bool| match value {
        Some(json) if !derived => Datum::Json(json),
        _ => Datum::Nil,
    };
    match name {
        keys::MLFLOW_SPAN_TYPE
            if !span.derived.span_type && span.span_type != SpanType::default() =>
        {
            Datum::text(span.span_type.as_str())
        }
        keys::MLFLOW_SPAN_INPUTS => json(&span.inputs, span.derived.inputs),
        keys::MLFLOW_SPAN_OUTPUTS => json(&span.outputs, span.derived.outputs),
        _ => Datum::Nil,
    }
}

fn entry(value: Option<&String>) -> Datum<'_> {
    value.map_or(Datum::Nil, |text| Datum::text(text))
}

fn metadata<'a>(trace: &'a Trace, name: &str) -> Datum<'a> {
    if let Some(value) = trace.info.metadata.get(name) {
        return Datum::text(value);
    }
    match name {
        keys::MLFLOW_TRACE_SESSION => entry(trace.info.session.as_ref()),
        keys::MLFLOW_TRACE_USER => entry(trace.info.user.as_ref()),
        _ => Datum::Nil,
    }
}

/// The values of the valid assessments with a name.
fn assessed<'a>(trace: &'a Trace, scope: Scope, name: &str) -> Datum<'a> {
    let values = trace
        .info
        .assessments
        .iter()
        .filter(|one| one.valid && one.name == name);
    let values = values.filter_map(|one| match (&one.value, scope) {
        (AssessmentValue::Feedback { value, .. }, Scope::Feedback) => Some(value.as_ref()),
        (AssessmentValue::Expectation { value }, Scope::Expectation) => Some(Some(value)),
        _ => None,
    });
    // One without a value, as after an error of a judge, is there all the same.
    let values =
        values.flat_map(|value| value.map_or_else(|| vec![Datum::text("null")], assessed_value));
    let mut values: Vec<Datum<'a>> = values.collect();
    if values.len() == 1 {
        values.pop().unwrap_or(Datum::Nil)
    } else {
        Datum::Each(values)
    }
}

/// A judgement as what it is, and as the text MLflow compares it with.
fn assessed_value(json: &Json) -> Vec<Datum<'_>> {
    match json.to_value() {
        Ok(serde_json::Value::String(text)) => vec![Datum::Text(text.into())],
        Ok(value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => {
            vec![Datum::of_json(&value), Datum::text(json.as_text())]
        }
        _ => vec![Datum::text(json.as_text())],
    }
}

fn count(number: Option<u64>) -> Datum<'static> {
    number.map_or(Datum::Nil, |number| Datum::Int(number as i64))
}

fn text(value: Option<&str>) -> Datum<'_> {
    value.map_or(Datum::Nil, Datum::text)
}

fn builtin_value<'a>(builtin: Builtin, at: At<'_, 'a>) -> Datum<'a> {
    match builtin {
        Builtin::EventName => match (at.event, at.span()) {
            (Some(event), _) => Datum::text(&event.name),
            (None, Some(span)) => text(span.events.first().map(|event| event.name.as_str())),
            _ => Datum::Nil,
        },
        Builtin::EventTimeSinceStart => match at.span() {
            Some(span) => {
                let event = at.event.or_else(|| span.events.first());
                event.map_or(Datum::Nil, |event| {
                    let since = event.time_unix_nano.wrapping_sub(span.start_time_unix_nano) as i64;
                    Datum::Duration(since)
                })
            }
            None => Datum::Nil,
        },
        Builtin::LinkTraceId | Builtin::LinkSpanId => {
            let link = at
                .link
                .or_else(|| at.span().and_then(|span| span.links.first()));
            link.map_or(Datum::Nil, |link| {
                Datum::Text(match builtin {
                    Builtin::LinkTraceId => link.trace_id.to_hex().into(),
                    _ => link.span_id.to_string().into(),
                })
            })
        }
        _ => match (at.number, at.span()) {
            (Some(number), Some(span)) => span_value(builtin, at, number, span)
                .unwrap_or_else(|| trace_value(builtin, at.view)),
            _ => trace_value(builtin, at.view),
        },
    }
}

/// A built-in of the span; nothing if it is one of the trace.
fn span_value<'a>(
    builtin: Builtin,
    at: At<'_, 'a>,
    number: usize,
    span: &'a Span,
) -> Option<Datum<'a>> {
    use Builtin as B;
    let tokens = || TokenUsage::of(span);
    let view = at.view;
    Some(match builtin {
        B::SpanName => Datum::text(&span.name),
        B::SpanDuration => span
            .duration_nanos()
            .map_or(Datum::Nil, |nanos| Datum::Duration(nanos as i64)),
        B::SpanStatus => Datum::Status(span.status.code),
        B::SpanState => Datum::text(match span.status.code {
            StatusCode::Ok => "OK",
            StatusCode::Error => "ERROR",
            StatusCode::Unset => "UNSET",
        }),
        B::SpanStatusMessage => Datum::text(&span.status.message),
        B::SpanKind => Datum::Kind(span.kind),
        B::SpanId => Datum::Text(span.span_id.to_string().into()),
        B::SpanParentId => Datum::Text(
            span.parent_span_id
                .map(|id| id.to_string())
                .unwrap_or_default()
                .into(),
        ),
        B::SpanChildCount => Datum::Int(view.child_count(span.span_id)),
        B::SpanDepth => Datum::Int(view.depth(number)),
        B::SpanType => Datum::text(span.span_type.as_str()),
        B::SpanInput => span.inputs.as_ref().map_or(Datum::Nil, Datum::Json),
        B::SpanOutput => span.outputs.as_ref().map_or(Datum::Nil, Datum::Json),
        B::SpanText => Datum::Many(super::text::pieces(span)),
        B::SpanErrorType => text(span.error_type()),
        B::SpanErrorMessage => text(span.error_message()),
        B::SpanStart => Datum::time(span.start_time_unix_nano),
        B::SpanEnd => span.end_time_unix_nano.map_or(Datum::Nil, Datum::time),
        B::SpanInputTokens => count(tokens().input_tokens),
        B::SpanOutputTokens => count(tokens().output_tokens),
        B::SpanTotalTokens => count(tokens().total_tokens),
        B::SpanCost => cost(Cost::of(span)),
        B::SpanModel => text(span.model()),
        B::SpanProvider => text(span.provider()),
        B::InstrumentationName => Datum::text(&span.scope.name),
        B::InstrumentationVersion => Datum::text(&span.scope.version),
        B::NestedSetLeft => Datum::Int(view.nested_set(number).left),
        B::NestedSetRight => Datum::Int(view.nested_set(number).right),
        B::NestedSetParent => Datum::Int(view.nested_set(number).parent),
        _ => return None,
    })
}

fn cost(cost: Cost) -> Datum<'static> {
    let sum = match (cost.input_cost, cost.output_cost) {
        (Some(input), Some(output)) => Some(input + output),
        (input, output) => input.or(output),
    };
    cost.total_cost.or(sum).map_or(Datum::Nil, Datum::Float)
}

fn trace_value<'a>(builtin: Builtin, view: &View<'a>) -> Datum<'a> {
    use Builtin as B;
    let trace = view.trace;
    let info = &trace.info;
    match builtin {
        B::TraceId => Datum::Text(trace.trace_id.to_hex().into()),
        B::TraceDuration | B::ExecutionTime => Datum::Duration(view.duration_nanos() as i64),
        B::TraceRootName => Datum::text(view.root().map_or("", |root| &root.name)),
        B::TraceRootService => Datum::text(view.root().and_then(Span::service_name).unwrap_or("")),
        B::TraceStart | B::Timestamp => view.start_time_unix_nano().map_or(Datum::Nil, Datum::time),
        B::TraceEnd | B::EndTime => view.end_time_unix_nano().map_or(Datum::Nil, Datum::time),
        B::TraceStatus => Datum::text(view.mlflow_state().as_str()),
        B::TraceState => Datum::text(view.state().as_str()),
        B::TraceName => text(view.name()),
        B::TraceInput => view
            .root()
            .and_then(|root| root.inputs.as_ref())
            .map_or(Datum::Nil, Datum::Json),
        B::TraceOutput => view
            .root()
            .and_then(|root| root.outputs.as_ref())
            .map_or(Datum::Nil, Datum::Json),
        B::TraceSpanCount => Datum::Int(trace.spans.len() as i64),
        B::TraceErrorCount => Datum::Int(view.error_count() as i64),
        B::TraceSession => metadata(trace, keys::MLFLOW_TRACE_SESSION),
        B::TraceUser => metadata(trace, keys::MLFLOW_TRACE_USER),
        B::TraceClientRequestId => text(info.client_request_id.as_deref()),
        B::TraceRun => entry(info.metadata.get(keys::MLFLOW_SOURCE_RUN)),
        B::TracePrompt => prompts(trace),
        B::TracePinned => Datum::Bool(info.pinned),
        B::TraceInputTokens => count(view.usage().input_tokens),
        B::TraceOutputTokens => count(view.usage().output_tokens),
        B::TraceTotalTokens => count(view.usage().total_tokens),
        B::TraceCost => cost(view.cost()),
        B::TraceIssue => {
            let issues = info
                .assessments
                .iter()
                .filter(|one| matches!(one.value, AssessmentValue::Issue { .. }));
            Datum::Many(issues.map(|one| Datum::text(&one.name)).collect())
        }
        _ => Datum::Nil,
    }
}

/// Prompts that MLflow linked to the trace: a tag with a list of names and versions.
fn prompts(trace: &Trace) -> Datum<'static> {
    let linked = trace.info.tags.get("mlflow.linkedPrompts");
    let Some(Ok(list)) = linked.map(|text| serde_json::from_str::<Vec<serde_json::Value>>(text))
    else {
        return Datum::Nil;
    };
    let part = |prompt: &serde_json::Value, key: &str| match prompt.get(key) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let names = list
        .iter()
        .map(|prompt| format!("{}/{}", part(prompt, "name"), part(prompt, "version")));
    Datum::Many(names.map(|name| Datum::Text(name.into())).collect())
}
