//! Writes a span while it runs.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use spanlite_model::{SpanId, SpanKind, StatusCode, TraceId, Value};

use super::layout::{
    Reader, SPAN, SPAN_HEAD, at, bit, end_field, field, put_field, put_text, put_text_field,
    put_varint, start_field, start_keyed_field, tag,
};
use super::serializer::{HIDDEN, Redact, ValueWriter};
use super::value::{ValueRef, put_value};

/// What is known of a span when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanHead {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// The span it runs in.
    pub parent_span_id: Option<SpanId>,
    /// When it began, in Unix nanoseconds.
    pub start_time_unix_nano: u64,
    /// OTLP's flags.
    pub flags: u32,
}

/// Writes one span into a buffer that is used again for the next one.
///
/// Times, kind and status lie at fixed places and are changed in place; everything else is
/// appended. No method fails: a value whose `Serialize` returns an error is stored as a text that
/// says so.
#[derive(Debug, Default)]
pub struct SpanEncoder {
    pub(super) bytes: Vec<u8>,
    value_limit_bytes: usize,
    pub(super) cut: bool,
}

impl SpanEncoder {
    /// An encoder without a buffer yet.
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            value_limit_bytes: usize::MAX,
            cut: false,
        }
    }

    /// Sets how many bytes one captured value may take. Longer texts are cut and further elements
    /// left out, with a mark at the place.
    #[inline]
    pub fn set_value_limit_bytes(&mut self, bytes: usize) {
        self.value_limit_bytes = bytes;
    }

    /// Returns whether a value of this span was cut.
    #[inline]
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Begins a span; what the buffer held is dropped.
    #[inline]
    pub fn begin(&mut self, head: &SpanHead) {
        self.cut = false;
        self.bytes.truncate(SPAN_HEAD);
        if self.bytes.len() < SPAN_HEAD {
            self.bytes.resize(SPAN_HEAD, 0);
        }
        let Some(bytes) = self.head() else { return };
        let bits = head.parent_span_id.map_or(0, |_| bit::HAS_PARENT);
        let parent = head.parent_span_id.map_or([0; 8], SpanId::to_bytes);
        let first = u64::from(SPAN)
            | u64::from(bits) << (8 * at::BITS)
            | u64::from(head.flags) << (8 * at::FLAGS.start);
        bytes[..8].copy_from_slice(&first.to_le_bytes());
        bytes[at::TRACE_ID].copy_from_slice(head.trace_id.as_bytes());
        bytes[at::SPAN_ID].copy_from_slice(head.span_id.as_bytes());
        bytes[at::PARENT].copy_from_slice(&parent);
        bytes[at::START].copy_from_slice(&head.start_time_unix_nano.to_le_bytes());
        bytes[at::END].copy_from_slice(&[0; 8]);
    }

    /// The record as far as it is written; empty before the first [`Self::begin`].
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The record without the fields that make it longer than `limit_bytes`: what a reader sees of
    /// an open span.
    pub fn record_within(&self, limit_bytes: usize) -> &[u8] {
        if self.bytes.len() <= limit_bytes {
            return &self.bytes;
        }
        let mut kept = SPAN_HEAD.min(self.bytes.len());
        let mut reader = Reader(self.fields());
        while reader.field().is_ok() {
            let end = self.bytes.len() - reader.0.len();
            if end > limit_bytes {
                break;
            }
            kept = end;
        }
        &self.bytes[..kept]
    }

    /// The fields that were written, without the head.
    pub fn fields(&self) -> &[u8] {
        self.bytes.get(SPAN_HEAD..).unwrap_or_default()
    }

    /// Appends fields that another encoder wrote.
    pub fn append_fields(&mut self, fields: &[u8]) {
        self.bytes.extend_from_slice(fields);
    }

    /// How many bytes the buffer holds on to.
    #[inline]
    pub fn capacity_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    #[inline]
    fn head(&mut self) -> Option<&mut [u8; SPAN_HEAD]> {
        self.bytes.first_chunk_mut()
    }

    /// Says when the span ended, in Unix nanoseconds.
    #[inline]
    pub fn set_end(&mut self, end_time_unix_nano: u64) {
        if let Some(head) = self.head() {
            head[at::BITS] |= bit::ENDED;
            head[at::END].copy_from_slice(&end_time_unix_nano.to_le_bytes());
        }
    }

    /// Moves the start, in Unix nanoseconds.
    pub fn set_start(&mut self, start_time_unix_nano: u64) {
        if let Some(head) = self.head() {
            head[at::START].copy_from_slice(&start_time_unix_nano.to_le_bytes());
        }
    }

    /// Sets OpenTelemetry's role.
    pub fn set_kind(&mut self, kind: SpanKind) {
        if let Some(head) = self.head() {
            head[at::KIND] = kind as u8;
        }
    }

    /// OpenTelemetry's role, as it was set.
    pub fn kind(&self) -> SpanKind {
        let number = self.bytes.get(at::KIND).copied().unwrap_or_default();
        SpanKind::from_number(number).unwrap_or_default()
    }

    /// Sets the status without a message.
    pub fn set_status(&mut self, code: StatusCode) {
        if let Some(head) = self.head() {
            head[at::STATUS] = code as u8;
        }
    }

    /// Sets the message of the status.
    pub fn set_status_message(&mut self, message: &str) {
        self.text_field(field::STATUS_MESSAGE, message);
    }

    /// Sets the name.
    #[inline]
    pub fn set_name(&mut self, name: &str) {
        self.text_field(field::NAME, name);
    }

    /// Sets MLflow's role.
    #[inline]
    pub fn set_span_type(&mut self, span_type: &str) {
        self.text_field(field::SPAN_TYPE, span_type);
    }

    /// Sets the W3C trace state.
    pub fn set_trace_state(&mut self, trace_state: &str) {
        self.text_field(field::TRACE_STATE, trace_state);
    }

    #[inline]
    fn text_field(&mut self, tag: u8, text: &str) {
        put_text_field(&mut self.bytes, tag, text);
    }

    /// Sets an attribute, in place of an earlier one with its key.
    #[inline]
    pub fn set_attribute<T: Serialize + ?Sized>(
        &mut self,
        key: &str,
        value: &T,
        redact: Option<&dyn Redact>,
    ) {
        let start = start_keyed_field(&mut self.bytes, field::SET_ATTRIBUTE, key);
        if self.may_store(key, redact) {
            self.value(value, redact);
        }
        end_field(&mut self.bytes, start);
    }

    /// Sets an attribute to what a formatting prints.
    pub fn set_attribute_display(
        &mut self,
        key: &str,
        text: fmt::Arguments<'_>,
        redact: Option<&dyn Redact>,
    ) {
        let start = start_keyed_field(&mut self.bytes, field::SET_ATTRIBUTE, key);
        if self.may_store(key, redact) {
            self.display(text, redact);
        }
        end_field(&mut self.bytes, start);
    }

    /// Sets an attribute to a typed value, bytes and numbers that JSON does not know included.
    pub fn set_attribute_value(&mut self, key: &str, value: &Value) {
        let start = start_keyed_field(&mut self.bytes, field::SET_ATTRIBUTE, key);
        put_value(&mut self.bytes, value);
        end_field(&mut self.bytes, start);
    }

    /// Sets what went in.
    pub fn set_inputs<T: Serialize + ?Sized>(&mut self, value: &T, redact: Option<&dyn Redact>) {
        let start = start_field(&mut self.bytes, field::INPUTS);
        self.value(value, redact);
        end_field(&mut self.bytes, start);
    }

    /// Sets what came out.
    pub fn set_outputs<T: Serialize + ?Sized>(&mut self, value: &T, redact: Option<&dyn Redact>) {
        let start = start_field(&mut self.bytes, field::OUTPUTS);
        self.value(value, redact);
        end_field(&mut self.bytes, start);
    }

    /// Sets what came out to what a formatting prints.
    pub fn set_outputs_display(&mut self, text: fmt::Arguments<'_>, redact: Option<&dyn Redact>) {
        let start = start_field(&mut self.bytes, field::OUTPUTS);
        self.display(text, redact);
        end_field(&mut self.bytes, start);
    }

    /// Sets what came out to a list.
    pub fn set_outputs_list(&mut self, list: &ValueList) {
        put_field(&mut self.bytes, field::OUTPUTS, |out| {
            out.push(tag::LIST);
            out.extend_from_slice(list.bytes.get(..list.kept).unwrap_or_default());
            if list.left_out > 0 {
                put_value(
                    out,
                    &Value::String(format!("[cut, {} more]", list.left_out)),
                );
            }
            out.push(tag::END);
        });
        self.cut |= list.left_out > 0;
    }

    /// How many bytes one captured value may take.
    pub fn value_limit_bytes(&self) -> usize {
        self.value_limit_bytes
    }

    /// Begins a map as the inputs, entry by entry.
    pub fn start_inputs(&mut self) -> InputsEncoder<'_> {
        let start = start_field(&mut self.bytes, field::INPUTS);
        self.bytes.push(tag::MAP);
        InputsEncoder { span: self, start }
    }

    /// Adds an event; its attributes come by the returned value.
    pub fn add_event(&mut self, name: &str, time_unix_nano: u64) -> EventEncoder<'_> {
        let start = start_field(&mut self.bytes, field::EVENT);
        self.bytes.extend_from_slice(&time_unix_nano.to_le_bytes());
        put_varint(&mut self.bytes, 0);
        put_text(&mut self.bytes, name);
        EventEncoder { span: self, start }
    }

    /// Adds a link; its attributes come by the returned value.
    pub fn add_link(&mut self, trace_id: TraceId, span_id: SpanId) -> EventEncoder<'_> {
        let start = start_field(&mut self.bytes, field::LINK);
        self.bytes.extend_from_slice(trace_id.as_bytes());
        self.bytes.extend_from_slice(span_id.as_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        put_varint(&mut self.bytes, 0);
        put_text(&mut self.bytes, "");
        EventEncoder { span: self, start }
    }

    /// Returns whether a value under this key may be stored; writes the mark if not.
    #[inline]
    fn may_store(&mut self, key: &str, redact: Option<&dyn Redact>) -> bool {
        let hidden = redact.is_some_and(|redact| redact.hides_key(key));
        if hidden {
            put_value(&mut self.bytes, &Value::from(HIDDEN));
        }
        !hidden
    }

    #[inline]
    fn value<T: Serialize + ?Sized>(&mut self, value: &T, redact: Option<&dyn Redact>) {
        self.write(redact, |writer| {
            value
                .serialize(&mut *writer)
                .err()
                .map(|error| format!("[not serialisable: {error}]"))
        });
    }

    fn display(&mut self, text: fmt::Arguments<'_>, redact: Option<&dyn Redact>) {
        self.write(redact, |writer| {
            writer.display(text);
            None
        });
    }

    /// Writes one value by code that is not ours, which may fail half-way or panic.
    #[inline]
    fn write(
        &mut self,
        redact: Option<&dyn Redact>,
        write: impl FnOnce(&mut ValueWriter<'_>) -> Option<String>,
    ) {
        let start = self.bytes.len();
        let mut writer = ValueWriter::new(&mut self.bytes, self.value_limit_bytes, redact);
        // The buffer is cut back to `start` after a panic, so nothing half-written is seen.
        let failure = catch_unwind(AssertUnwindSafe(|| write(&mut writer)))
            .unwrap_or_else(|_| Some("[panicked while it was captured]".to_owned()));
        self.cut |= writer.cut;
        if let Some(failure) = failure {
            self.bytes.truncate(start);
            put_value(&mut self.bytes, &Value::String(failure));
        }
    }
}

/// Writes the attributes of an event or a link, which ends when this is dropped.
#[derive(Debug)]
pub struct EventEncoder<'s> {
    pub(super) span: &'s mut SpanEncoder,
    start: usize,
}

impl EventEncoder<'_> {
    /// Adds an attribute.
    pub fn attribute<T: Serialize + ?Sized>(
        &mut self,
        key: &str,
        value: &T,
        redact: Option<&dyn Redact>,
    ) -> &mut Self {
        put_text(&mut self.span.bytes, key);
        if self.span.may_store(key, redact) {
            self.span.value(value, redact);
        }
        self
    }

    /// Adds an attribute that holds a value as JSON text.
    pub fn attribute_json_text<T: Serialize + ?Sized>(
        &mut self,
        key: &str,
        value: &T,
        redact: Option<&dyn Redact>,
    ) -> &mut Self {
        put_text(&mut self.span.bytes, key);
        self.span.bytes.push(tag::QUOTED);
        self.span.value(value, redact);
        self
    }

    /// Adds an attribute that holds a value, encoded already, as JSON text.
    pub fn attribute_quoted(&mut self, key: &str, value: ValueRef<'_>) -> &mut Self {
        put_text(&mut self.span.bytes, key);
        self.span.bytes.push(tag::QUOTED);
        self.span.bytes.extend_from_slice(value.0);
        self
    }

    /// Adds an attribute that holds what a formatting prints.
    pub fn attribute_display(
        &mut self,
        key: &str,
        text: fmt::Arguments<'_>,
        redact: Option<&dyn Redact>,
    ) -> &mut Self {
        put_text(&mut self.span.bytes, key);
        self.span.display(text, redact);
        self
    }
}

impl Drop for EventEncoder<'_> {
    fn drop(&mut self) {
        end_field(&mut self.span.bytes, self.start);
    }
}

/// A list of captured values that grows one by one.
#[derive(Debug, Default)]
pub struct ValueList {
    bytes: Vec<u8>,
    left_out: usize,
    /// Where the value begins that was written last, which is not part of the list if it did not
    /// fit.
    last: usize,
    kept: usize,
}

impl ValueList {
    /// Adds a value, and gives it in its encoded form. Values beyond the limit are counted, and
    /// stand in the list as one mark at its end.
    pub fn push<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
        limit_bytes: usize,
        redact: Option<&dyn Redact>,
    ) -> ValueRef<'_> {
        self.bytes.truncate(self.kept);
        self.last = self.kept;
        let mut encoder = SpanEncoder {
            bytes: std::mem::take(&mut self.bytes),
            value_limit_bytes: limit_bytes,
            cut: false,
        };
        encoder.value(value, redact);
        self.bytes = encoder.bytes;
        if self.left_out == 0 && self.bytes.len() <= limit_bytes {
            self.kept = self.bytes.len();
        } else {
            self.left_out += 1;
        }
        ValueRef(&self.bytes[self.last..])
    }
}

/// Writes the inputs of a span one by one, as a map that ends when this is dropped.
#[derive(Debug)]
pub struct InputsEncoder<'s> {
    span: &'s mut SpanEncoder,
    start: usize,
}

impl InputsEncoder<'_> {
    /// Adds an input.
    #[inline]
    pub fn entry<T: Serialize + ?Sized>(
        &mut self,
        key: &str,
        value: &T,
        redact: Option<&dyn Redact>,
    ) -> &mut Self {
        self.key(key);
        if self.span.may_store(key, redact) {
            self.span.value(value, redact);
        }
        self
    }

    /// Adds an input as a formatting prints it.
    pub fn entry_display(
        &mut self,
        key: &str,
        text: fmt::Arguments<'_>,
        redact: Option<&dyn Redact>,
    ) -> &mut Self {
        self.key(key);
        if self.span.may_store(key, redact) {
            self.span.display(text, redact);
        }
        self
    }

    fn key(&mut self, key: &str) {
        self.span.bytes.push(tag::STRING);
        put_text(&mut self.span.bytes, key);
    }
}

impl Drop for InputsEncoder<'_> {
    fn drop(&mut self) {
        self.span.bytes.push(tag::END);
        end_field(&mut self.span.bytes, self.start);
    }
}
