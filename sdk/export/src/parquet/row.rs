use std::collections::BTreeMap;

use serde::Serialize;
use spanlite_model::{
    Assessment, AssessmentValue, Cost, Json, Span, TokenUsage, Trace, trace_cost, trace_usage,
};

use super::column::{Cell, Column};

/// Rows in the making, filled column by column in the order of the schema.
#[derive(Debug)]
pub(super) struct Rows {
    columns: Vec<Column>,
    at: usize,
    n_rows: usize,
}

/// What all rows of a trace have in common.
#[derive(Debug)]
pub(super) struct TraceCells<'t> {
    trace: &'t Trace,
    usage: TokenUsage,
    cost: Cost,
}

impl<'t> TraceCells<'t> {
    pub(super) fn of(trace: &'t Trace) -> Self {
        Self {
            trace,
            usage: trace_usage(trace),
            cost: trace_cost(trace),
        }
    }
}

impl Rows {
    pub(super) fn new(columns: Vec<Column>) -> Self {
        Self {
            columns,
            at: 0,
            n_rows: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.n_rows
    }

    /// About how many bytes are held.
    pub(super) fn size(&self) -> usize {
        self.columns.iter().map(Column::size).sum()
    }

    /// Hands the columns out to be written, and begins anew.
    pub(super) fn take(&mut self) -> impl Iterator<Item = &mut Column> {
        self.n_rows = 0;
        self.columns.iter_mut()
    }

    fn next_column(&mut self) -> Option<&mut Column> {
        self.at += 1;
        self.columns.get_mut(self.at - 1)
    }

    fn cell(&mut self, cell: Cell<'_>) {
        if let Some(column) = self.next_column() {
            column.push(cell, 0);
        }
    }

    fn text(&mut self, text: &str) {
        self.cell(Cell::Text(text.into()));
    }

    fn maybe_text(&mut self, text: Option<&str>) {
        self.cell(text.map_or(Cell::Absent, |text| Cell::Text(text.into())));
    }

    fn maybe_int(&mut self, number: Option<u64>) {
        self.cell(number.map_or(Cell::Absent, int));
    }

    /// One column of a list.
    fn each<'a, T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        cell: impl Fn(T) -> Cell<'a>,
    ) {
        let Some(column) = self.next_column() else {
            return;
        };
        if items.len() == 0 {
            column.push_empty_list();
        }
        for (place, item) in items.enumerate() {
            column.push(cell(item), place);
        }
    }

    /// Adds a span.
    pub(super) fn push(&mut self, span: &Span, index: usize, whole: &TraceCells<'_>) {
        self.at = 0;
        self.text(&span.trace_id.to_string());
        self.text(&span.span_id.to_string());
        self.maybe_text(span.parent_span_id.map(|id| id.to_string()).as_deref());
        self.cell(int(index as u64));
        self.text(&span.name);
        self.text(span.kind.as_str());
        self.text(span.span_type.as_str());
        self.cell(micros(span.start_time_unix_nano));
        self.cell(span.end_time_unix_nano.map_or(Cell::Absent, micros));
        self.cell(int(span.start_time_unix_nano));
        self.maybe_int(span.end_time_unix_nano);
        self.maybe_int(span.duration_nanos());
        self.text(span.status.code.as_str());
        self.text(&span.status.message);
        self.maybe_text(span.error_type());
        self.maybe_text(span.error_message());
        self.maybe_text(span.inputs.as_ref().map(Json::as_text));
        self.maybe_text(span.outputs.as_ref().map(Json::as_text));
        self.cell(json(&span.attributes));
        self.model_call(span);
        self.events_and_links(span);
        self.maybe_text(span.service_name());
        self.cell(json(&span.resource.attributes));
        self.text(&span.scope.name);
        self.text(&span.scope.version);
        self.text(&span.trace_state);
        self.whole_trace(whole);
        self.n_rows += 1;
    }

    fn model_call(&mut self, span: &Span) {
        self.maybe_text(span.model());
        self.maybe_text(span.provider());
        let usage = TokenUsage::of(span);
        self.maybe_int(usage.input_tokens);
        self.maybe_int(usage.output_tokens);
        self.maybe_int(usage.total_tokens);
        self.maybe_int(usage.cache_read_input_tokens);
        self.maybe_int(usage.cache_creation_input_tokens);
        self.cell(float(Cost::of(span).total_cost));
    }

    fn events_and_links(&mut self, span: &Span) {
        let events = &span.events;
        self.each(events.iter(), |event| Cell::Text((&event.name).into()));
        self.each(events.iter(), |event| micros(event.time_unix_nano));
        self.each(events.iter(), |event| int(event.time_unix_nano));
        self.each(events.iter(), |event| json(&event.attributes));
        let links = &span.links;
        self.each(links.iter(), |link| {
            Cell::Text(link.trace_id.to_string().into())
        });
        self.each(links.iter(), |link| {
            Cell::Text(link.span_id.to_string().into())
        });
        self.each(links.iter(), |link| json(&link.attributes));
    }

    fn whole_trace(&mut self, whole: &TraceCells<'_>) {
        let trace = whole.trace;
        let info = &trace.info;
        self.maybe_text(trace.name());
        self.text(trace.state().as_str());
        let start = info
            .request_time_unix_nano
            .or_else(|| trace.start_time_unix_nano());
        self.cell(start.map_or(Cell::Absent, micros));
        let duration = info.execution_duration_nanos;
        self.cell(int(duration.unwrap_or_else(|| trace.duration_nanos())));
        self.cell(int(trace.spans.len() as u64));
        self.maybe_text(info.session.as_deref());
        self.maybe_text(info.user.as_deref());
        self.maybe_text(info.client_request_id.as_deref());
        self.maybe_text(info.request_preview.as_deref());
        self.maybe_text(info.response_preview.as_deref());
        self.maybe_int(whole.usage.input_tokens);
        self.maybe_int(whole.usage.output_tokens);
        self.maybe_int(whole.usage.total_tokens);
        self.cell(float(whole.cost.total_cost));
        self.map(&info.tags);
        self.map(&info.metadata);
        self.assessments(&info.assessments);
    }

    fn map(&mut self, entries: &BTreeMap<String, String>) {
        self.each(entries.keys(), |key| Cell::Text(key.into()));
        self.each(entries.values(), |value| Cell::Text(value.into()));
    }

    fn assessments(&mut self, all: &[Assessment]) {
        let text = |text: &Option<String>| -> Cell<'_> {
            text.as_ref()
                .map_or(Cell::Absent, |text| Cell::Text(text.clone().into()))
        };
        self.each(all.iter(), |one| {
            Cell::Text(one.assessment_id.as_str().into())
        });
        self.each(all.iter(), |one| Cell::Text((&one.name).into()));
        self.each(all.iter(), |one| Cell::Text(kind_of(&one.value).into()));
        self.each(all.iter(), |one| {
            value_of(&one.value).map_or(Cell::Absent, |json| Cell::Text(json.as_text().into()))
        });
        self.each(all.iter(), |one| {
            error_of(&one.value).map_or(Cell::Absent, |text| Cell::Text(text.into()))
        });
        self.each(all.iter(), |one| {
            Cell::Text(one.source.source_type.as_str().into())
        });
        self.each(all.iter(), |one| text(&one.source.source_id));
        self.each(all.iter(), |one| {
            one.span_id
                .map_or(Cell::Absent, |id| Cell::Text(id.to_string().into()))
        });
        self.each(all.iter(), |one| text(&one.rationale));
        self.each(all.iter(), |one| micros(one.create_time_unix_nano));
        self.each(all.iter(), |one| micros(one.update_time_unix_nano));
        self.each(all.iter(), |one| Cell::Bool(one.valid));
    }
}

/// Parquet's integers are signed: what is beyond them is the largest one.
fn int(number: u64) -> Cell<'static> {
    Cell::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn micros(unix_nano: u64) -> Cell<'static> {
    int(unix_nano / 1_000)
}

fn float(number: Option<f64>) -> Cell<'static> {
    number.map_or(Cell::Absent, Cell::Float)
}

fn json(value: &impl Serialize) -> Cell<'static> {
    // Attributes write themselves into memory, which does not fail; if it did, the writer would
    // refuse the cell.
    serde_json::to_string(value).map_or(Cell::Absent, |text| Cell::Text(text.into()))
}

fn kind_of(value: &AssessmentValue) -> &'static str {
    match value {
        AssessmentValue::Feedback { .. } => "feedback",
        AssessmentValue::Expectation { .. } => "expectation",
        AssessmentValue::Issue { .. } => "issue",
    }
}

fn value_of(value: &AssessmentValue) -> Option<&Json> {
    match value {
        AssessmentValue::Feedback { value, .. } => value.as_ref(),
        AssessmentValue::Expectation { value } => Some(value),
        AssessmentValue::Issue { .. } => None,
    }
}

/// `code: message`.
fn error_of(value: &AssessmentValue) -> Option<String> {
    let AssessmentValue::Feedback {
        error: Some(error), ..
    } = value
    else {
        return None;
    };
    Some(match &error.message {
        Some(message) => format!("{}: {message}", error.code),
        None => error.code.clone(),
    })
}
