use std::borrow::Cow;

use spanlite_model::{Forest, StatusCode, TraceInfo, keys};

use super::super::attributes::{AttributesBuilder, Field};
use super::super::directory::{
    Column, ColumnsWriter, EVENT_ATTRIBUTES, LINK_ATTRIBUTES, METADATA, SPAN_ATTRIBUTES, TAGS,
};
use super::super::strings::StringsBuilder;
use super::super::texts::{MIN_TEXT_BYTES, TextsBuilder};
use super::super::words::{STRETCH_SPANS, WordsBuilder};
use super::input::{BlockInput, EventInput, LinkInput, SpanInput, TraceInput};
use crate::record::FlatValue;

/// The rows of all columns, while they are collected.
#[derive(Default)]
pub(super) struct Rows<'a> {
    pub(super) traces: TraceRows<'a>,
    pub(super) spans: SpanRows<'a>,
    pub(super) events: EventRows<'a>,
    pub(super) links: LinkRows<'a>,
    pub(super) texts: TextsBuilder<'a>,
    pub(super) words: WordsBuilder,
    pub(super) root_names: StringsBuilder<'a>,
    pub(super) n_error_traces: u32,
    pub(super) has_fragments: bool,
}

#[derive(Default)]
pub(super) struct TraceRows<'a> {
    pub(super) ids: Vec<u8>,
    pub(super) span_counts: Vec<i64>,
    pub(super) starts: Vec<i64>,
    pub(super) names: StringsBuilder<'a>,
    pub(super) sessions: StringsBuilder<'a>,
    pub(super) users: StringsBuilder<'a>,
    pub(super) client_request_ids: StringsBuilder<'a>,
    pub(super) request_previews: MaybeLong<'a>,
    pub(super) response_previews: MaybeLong<'a>,
    pub(super) states: Vec<i64>,
    pub(super) pinned: Vec<i64>,
    pub(super) has_request_times: Vec<i64>,
    pub(super) request_times: Vec<i64>,
    pub(super) has_execution_durations: Vec<i64>,
    pub(super) execution_durations: Vec<i64>,
    pub(super) updates: StringsBuilder<'a>,
    pub(super) tags: AttributesBuilder<'a>,
    pub(super) metadata: AttributesBuilder<'a>,
}

#[derive(Default)]
pub(super) struct SpanRows<'a> {
    pub(super) ids: Vec<u8>,
    pub(super) depths: Vec<i64>,
    pub(super) foreign_parent_rows: Vec<i64>,
    pub(super) foreign_parent_ids: Vec<u8>,
    pub(super) names: StringsBuilder<'a>,
    pub(super) types: StringsBuilder<'a>,
    pub(super) kinds: Vec<i64>,
    pub(super) status_codes: Vec<i64>,
    pub(super) status_messages: MaybeLong<'a>,
    pub(super) starts: Vec<i64>,
    pub(super) durations: Vec<i64>,
    pub(super) open_rows: Vec<i64>,
    pub(super) inputs: Vec<i64>,
    pub(super) outputs: Vec<i64>,
    pub(super) derived: Vec<i64>,
    pub(super) resources: StringsBuilder<'a>,
    pub(super) scopes: StringsBuilder<'a>,
    pub(super) event_counts: Vec<i64>,
    pub(super) link_counts: Vec<i64>,
    pub(super) trace_states: StringsBuilder<'a>,
    pub(super) flags: Vec<i64>,
    pub(super) dropped_attributes: Vec<i64>,
    pub(super) dropped_events: Vec<i64>,
    pub(super) dropped_links: Vec<i64>,
    pub(super) attributes: AttributesBuilder<'a>,
}

#[derive(Default)]
pub(super) struct EventRows<'a> {
    pub(super) names: StringsBuilder<'a>,
    pub(super) times: Vec<i64>,
    pub(super) dropped: Vec<i64>,
    pub(super) attributes: AttributesBuilder<'a>,
}

#[derive(Default)]
pub(super) struct LinkRows<'a> {
    pub(super) trace_ids: Vec<u8>,
    pub(super) span_ids: Vec<u8>,
    pub(super) trace_states: StringsBuilder<'a>,
    pub(super) dropped: Vec<i64>,
    pub(super) flags: Vec<i64>,
    pub(super) attributes: AttributesBuilder<'a>,
}

/// A text column whose long values stand among the texts.
#[derive(Default)]
pub(super) struct MaybeLong<'a> {
    pub(super) short: StringsBuilder<'a>,
    pub(super) long: Vec<i64>,
}

impl<'a> MaybeLong<'a> {
    fn push(&mut self, text: Option<&'a str>, texts: &mut TextsBuilder<'a>) {
        match text {
            Some(text) if text.len() >= MIN_TEXT_BYTES => {
                self.short.push(None);
                self.long.push(texts.add(text.as_bytes()));
            }
            other => {
                self.short.push_text(other);
                self.long.push(0);
            }
        }
    }
}

/// A text that is absent when it is empty.
fn filled(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

impl<'a> Rows<'a> {
    pub(super) fn push_trace(
        &mut self,
        input: &'a BlockInput<'a>,
        trace: &'a TraceInput<'a>,
        updates: &'a [u8],
    ) {
        let spans = input.spans_of(trace);
        let forest = Forest::lay_out(spans.len(), |number| {
            let span = &spans[number];
            (span.span_id, span.parent_span_id, span.start_time_unix_nano)
        });
        let starts = spans.iter().map(|span| span.start_time_unix_nano);
        let start = starts.min().unwrap_or(0);
        let first_row = self.spans.kinds.len();
        let mut has_error = false;
        let mut root = None;
        for (number, node) in forest.nodes().iter().enumerate() {
            let span = &spans[node.span];
            self.spans.depths.push(i64::from(node.depth));
            if node.parent_missing {
                let parent = span.parent_span_id.unwrap_or_default();
                self.spans
                    .foreign_parent_rows
                    .push((first_row + number + 1) as i64);
                self.spans
                    .foreign_parent_ids
                    .extend_from_slice(parent.as_bytes());
            } else if node.parent.is_none() {
                root = root.or(Some(span));
            }
            has_error |= span.status_code == StatusCode::Error;
            if number.is_multiple_of(STRETCH_SPANS) {
                self.words.begin_stretch();
            }
            self.push_span(input, span, start);
        }
        self.n_error_traces += u32::from(has_error);
        self.has_fragments |= root.is_none();
        let root = root.or_else(|| forest.nodes().first().map(|node| &spans[node.span]));
        self.root_names.push_text(root.map(|root| root.name));
        let traces = &mut self.traces;
        traces.ids.extend_from_slice(trace.trace_id.as_bytes());
        traces.span_counts.push(spans.len() as i64);
        traces.starts.push(start as i64);
        traces
            .updates
            .push((!updates.is_empty()).then_some(updates));
        traces.push_info(&trace.info, &mut self.texts);
        self.texts.end_trace();
    }

    fn push_span(&mut self, input: &'a BlockInput<'a>, span: &'a SpanInput<'a>, trace_start: u64) {
        let row = self.spans.kinds.len() as i64;
        let spans = &mut self.spans;
        let texts = &mut self.texts;
        let words = &mut self.words;
        spans.ids.extend_from_slice(span.span_id.as_bytes());
        spans.names.push_text(filled(span.name));
        spans.types.push_text(Some(span.span_type));
        spans.kinds.push(span.kind as i64);
        spans.status_codes.push(span.status_code as i64);
        spans
            .status_messages
            .push(filled(span.status_message), texts);
        spans
            .starts
            .push(span.start_time_unix_nano.wrapping_sub(trace_start) as i64);
        let duration = span
            .end_time_unix_nano
            .map(|end| end.wrapping_sub(span.start_time_unix_nano));
        spans.durations.push(duration.unwrap_or(0) as i64);
        if duration.is_none() {
            spans.open_rows.push(row + 1);
        }
        let mut text = |json: &'a Option<Cow<'a, str>>| match json {
            Some(json) => texts.add_searched(json.as_bytes(), |new| {
                words.add(new, true);
            }),
            None => 0,
        };
        spans.inputs.push(text(&span.inputs));
        spans.outputs.push(text(&span.outputs));
        let derived = &span.derived;
        spans.derived.push(
            i64::from(derived.span_type)
                | i64::from(derived.inputs) << 1
                | i64::from(derived.outputs) << 2,
        );
        spans.resources.push(input.resources.encoded(span.resource));
        spans.scopes.push(input.scopes.encoded(span.scope));
        spans.event_counts.push(span.events.len() as i64);
        spans.link_counts.push(span.links.len() as i64);
        spans.trace_states.push_text(filled(span.trace_state));
        spans.flags.push(i64::from(span.flags));
        let [attributes, events, links] = span.dropped.map(i64::from);
        spans.dropped_attributes.push(attributes);
        spans.dropped_events.push(events);
        spans.dropped_links.push(links);
        let attributes = &input.attributes[span.attributes.clone()];
        spans.attributes.push_row(fields(attributes), texts);
        let mut error_type = attributes
            .iter()
            .filter(|(key, _)| *key == keys::ERROR_TYPE);
        let error_type = error_type.next().and_then(|(_, value)| value.as_str());
        for text in [span.name, span.status_message]
            .into_iter()
            .chain(error_type)
        {
            words.add(text.as_bytes(), false);
        }
        for event in &input.events[span.events.clone()] {
            let attributes = &input.inner_attributes[event.attributes.clone()];
            self.events
                .push(event, attributes, span.start_time_unix_nano, texts);
            let values = attributes.iter().filter_map(|(_, value)| value.as_str());
            for text in std::iter::once(event.name).chain(values) {
                words.add(text.as_bytes(), false);
            }
        }
        for link in &input.links[span.links.clone()] {
            let attributes = &input.inner_attributes[link.attributes.clone()];
            self.links.push(link, attributes, texts);
        }
    }
}

type Attribute<'a> = (&'a str, FlatValue<'a>);

fn fields<'a>(attributes: &'a [Attribute<'a>]) -> impl Iterator<Item = (&'a str, Field<'a>)> {
    let attributes = attributes.iter();
    attributes.map(|(key, value)| (*key, Field::Value(value)))
}

impl<'a> EventRows<'a> {
    fn push(
        &mut self,
        event: &'a EventInput<'a>,
        attributes: &'a [Attribute<'a>],
        span_start: u64,
        texts: &mut TextsBuilder<'a>,
    ) {
        self.names.push_text(filled(event.name));
        let time = event.time_unix_nano.wrapping_sub(span_start);
        self.times.push(time as i64);
        self.dropped.push(i64::from(event.dropped));
        self.attributes.push_row(fields(attributes), texts);
    }
}

impl<'a> LinkRows<'a> {
    fn push(
        &mut self,
        link: &'a LinkInput<'a>,
        attributes: &'a [Attribute<'a>],
        texts: &mut TextsBuilder<'a>,
    ) {
        self.trace_ids.extend_from_slice(link.trace_id.as_bytes());
        self.span_ids.extend_from_slice(link.span_id.as_bytes());
        self.trace_states.push_text(filled(link.trace_state));
        self.dropped.push(i64::from(link.dropped));
        self.flags.push(i64::from(link.flags));
        self.attributes.push_row(fields(attributes), texts);
    }
}

impl<'a> TraceRows<'a> {
    fn push_info(&mut self, info: &'a TraceInfo, texts: &mut TextsBuilder<'a>) {
        self.names.push_text(info.name.as_deref());
        self.sessions.push_text(info.session.as_deref());
        self.users.push_text(info.user.as_deref());
        self.client_request_ids
            .push_text(info.client_request_id.as_deref());
        self.request_previews
            .push(info.request_preview.as_deref(), texts);
        self.response_previews
            .push(info.response_preview.as_deref(), texts);
        self.states
            .push(info.state.map_or(0, |state| state as i64 + 1));
        self.pinned.push(i64::from(info.pinned));
        self.has_request_times
            .push(i64::from(info.request_time_unix_nano.is_some()));
        self.request_times
            .push(info.request_time_unix_nano.unwrap_or(0) as i64);
        self.has_execution_durations
            .push(i64::from(info.execution_duration_nanos.is_some()));
        self.execution_durations
            .push(info.execution_duration_nanos.unwrap_or(0) as i64);
        let tags = info
            .tags
            .iter()
            .map(|(key, value)| (key.as_str(), Field::Str(value)));
        self.tags.push_row(tags, texts);
        let metadata = info
            .metadata
            .iter()
            .map(|(key, value)| (key.as_str(), Field::Str(value)));
        self.metadata.push_row(metadata, texts);
    }

    pub(super) fn put(&self, writer: &mut ColumnsWriter) {
        writer.fixed(Column::TraceIds, self.span_counts.len(), &self.ids);
        writer.ints(Column::SpanCounts, &self.span_counts);
        writer.ints(Column::TraceStarts, &self.starts);
        writer.strings(Column::TraceNames, &self.names);
        writer.strings(Column::Sessions, &self.sessions);
        writer.strings(Column::Users, &self.users);
        writer.strings(Column::ClientRequestIds, &self.client_request_ids);
        writer.strings(Column::RequestPreviews, &self.request_previews.short);
        writer.ints(Column::RequestPreviewTexts, &self.request_previews.long);
        writer.strings(Column::ResponsePreviews, &self.response_previews.short);
        writer.ints(Column::ResponsePreviewTexts, &self.response_previews.long);
        writer.ints(Column::States, &self.states);
        writer.ints(Column::Pinned, &self.pinned);
        writer.ints(Column::HasRequestTimes, &self.has_request_times);
        writer.ints(Column::RequestTimes, &self.request_times);
        writer.ints(Column::HasExecutionDurations, &self.has_execution_durations);
        writer.ints(Column::ExecutionDurations, &self.execution_durations);
        writer.strings(Column::Updates, &self.updates);
        writer.attributes(TAGS, &self.tags);
        writer.attributes(METADATA, &self.metadata);
    }
}

impl SpanRows<'_> {
    pub(super) fn put(&self, writer: &mut ColumnsWriter) {
        let n_foreign = self.foreign_parent_rows.len();
        writer.ints(Column::Depths, &self.depths);
        writer.ints(Column::ForeignParentRows, &self.foreign_parent_rows);
        writer.fixed(
            Column::ForeignParentIds,
            n_foreign,
            &self.foreign_parent_ids,
        );
        writer.strings(Column::Names, &self.names);
        writer.strings(Column::Types, &self.types);
        writer.ints(Column::Kinds, &self.kinds);
        writer.ints(Column::StatusCodes, &self.status_codes);
        writer.strings(Column::StatusMessages, &self.status_messages.short);
        writer.ints(Column::StatusMessageTexts, &self.status_messages.long);
        writer.ints(Column::Starts, &self.starts);
        writer.ints(Column::Durations, &self.durations);
        writer.ints(Column::OpenRows, &self.open_rows);
        writer.fixed(Column::SpanIds, self.kinds.len(), &self.ids);
        writer.ints(Column::Inputs, &self.inputs);
        writer.ints(Column::Outputs, &self.outputs);
        writer.ints(Column::Derived, &self.derived);
        writer.strings(Column::Resources, &self.resources);
        writer.strings(Column::Scopes, &self.scopes);
        writer.ints(Column::EventCounts, &self.event_counts);
        writer.ints(Column::LinkCounts, &self.link_counts);
        writer.strings(Column::SpanTraceStates, &self.trace_states);
        writer.ints(Column::Flags, &self.flags);
        writer.ints(Column::DroppedAttributes, &self.dropped_attributes);
        writer.ints(Column::DroppedEvents, &self.dropped_events);
        writer.ints(Column::DroppedLinks, &self.dropped_links);
        writer.attributes(SPAN_ATTRIBUTES, &self.attributes);
    }
}

impl EventRows<'_> {
    pub(super) fn put(&self, writer: &mut ColumnsWriter) {
        writer.strings(Column::EventNames, &self.names);
        writer.ints(Column::EventTimes, &self.times);
        writer.ints(Column::EventDropped, &self.dropped);
        writer.attributes(EVENT_ATTRIBUTES, &self.attributes);
    }
}

impl LinkRows<'_> {
    pub(super) fn put(&self, writer: &mut ColumnsWriter) {
        writer.fixed(Column::LinkTraceIds, self.flags.len(), &self.trace_ids);
        writer.fixed(Column::LinkSpanIds, self.flags.len(), &self.span_ids);
        writer.strings(Column::LinkTraceStates, &self.trace_states);
        writer.ints(Column::LinkDropped, &self.dropped);
        writer.ints(Column::LinkFlags, &self.flags);
        writer.attributes(LINK_ATTRIBUTES, &self.attributes);
    }
}
