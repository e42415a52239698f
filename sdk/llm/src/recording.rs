use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use spanlite_model::{Json, SpanType, TokenUsage};

use crate::endpoint::{Endpoint, Interface};
use crate::exchange::{LlmError, LlmExchange, finish_reasons};
use crate::join::{Joined, Step};
use crate::lines::{Lines, event_data};
use crate::usage::usage;

/// How much of a call is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the request's body.
    pub request_bytes: usize,
    /// Bytes of the response's body, or of a stream's events.
    pub response_bytes: usize,
}

impl Default for Limits {
    /// 4 MiB each way.
    fn default() -> Self {
        Self {
            request_bytes: 4 << 20,
            response_bytes: 4 << 20,
        }
    }
}

/// How a call came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The response was read to its end, or to the event that ends it.
    Complete,
    /// The program stopped reading before the end.
    Dropped,
    /// There was no response, or it broke off.
    Failed {
        /// The class of the error, such as `Timeout` or `ConnectError`.
        class: String,
        /// Its text, which must hold no key.
        message: String,
    },
}

/// The fields of a request that a trace wants beside its body. Each is read for itself: one of
/// another type than its interface says is left out, and of two of one name the last counts.
#[derive(Default)]
struct Request<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Request<'a> {
    fn of(body: &'a [u8]) -> Self {
        Self(serde_json::from_slice(body).unwrap_or_default())
    }

    fn read<T: Deserialize<'a>>(&self, field: &str) -> Option<T> {
        serde_json::from_str(self.0.get(field)?.get()).ok()
    }

    /// A whole number, in any form that JSON has for it: `1000`, `1e3`, `1000.0`.
    fn integer(&self, field: &str) -> Option<i64> {
        self.read(field).or_else(|| {
            let number: f64 = self.read(field)?;
            // Beyond this not every number is one of its own.
            let is_exact = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
            is_exact.then_some(number as i64)
        })
    }
}

/// How many reasons to stop are kept that come after the limit, and how long one may be: a stream
/// that never ends must not fill the memory with them.
const LATE_REASONS: usize = 16;
const LATE_REASON_BYTES: usize = 256;

/// How the response's body comes.
#[derive(Debug)]
enum Body {
    /// All at once, or not at all yet.
    Whole(Vec<u8>),
    /// As events of `text/event-stream`.
    Events(Lines, Box<Joined>),
    /// As a JSON object a line.
    Objects(Lines, Box<Joined>),
}

/// A call while it is under way.
#[derive(Debug)]
pub struct Recording {
    endpoint: Endpoint,
    exchange: LlmExchange,
    limits: Limits,
    body: Body,
    /// Bytes of the response so far.
    received: usize,
    complete: bool,
    /// Tokens and reasons that came after the limit.
    late: (TokenUsage, Vec<String>),
}

impl Recording {
    pub(crate) fn new(endpoint: Endpoint, body: &[u8], limits: Limits) -> Self {
        let request = Request::of(body);
        let model = request
            .read("model")
            .or_else(|| endpoint.model().map(str::to_owned));
        // Ollama streams unless it is told not to.
        let ollama = matches!(
            endpoint.interface(),
            Interface::OllamaChat | Interface::OllamaGenerate
        );
        let exchange = LlmExchange {
            interface: endpoint.interface(),
            provider: endpoint.provider(),
            url: endpoint.url().to_owned(),
            host: endpoint.host().to_owned(),
            port: endpoint.port(),
            model,
            response_model: None,
            response_id: None,
            inputs: kept(body, limits.request_bytes),
            outputs: None,
            tools: request
                .read::<Option<&RawValue>>("tools")
                .flatten()
                .map(|tools| Json::from_trusted_text(tools.get())),
            temperature: request.read("temperature"),
            top_p: request.read("top_p"),
            max_tokens: request
                .integer("max_tokens")
                .or_else(|| request.integer("max_completion_tokens"))
                .or_else(|| request.integer("max_output_tokens")),
            seed: request.integer("seed"),
            stream: request
                .read("stream")
                .unwrap_or_else(|| ollama || endpoint.streams()),
            usage: TokenUsage::default(),
            time_to_first_token_nanos: None,
            finish_reasons: Vec::new(),
            status: None,
            error: None,
            complete: false,
            truncated: body.len() > limits.request_bytes,
        };
        Self {
            endpoint,
            exchange,
            limits,
            body: Body::Whole(Vec::new()),
            received: 0,
            complete: false,
            late: (TokenUsage::default(), Vec::new()),
        }
    }

    /// A name for the span of the call: the operation and the model.
    pub fn name(&self) -> String {
        self.exchange.name()
    }

    /// The type for the span of the call.
    pub fn span_type(&self) -> SpanType {
        self.endpoint.interface().operation().span_type()
    }

    /// What went in: the body of the request.
    pub fn inputs(&self) -> &Json {
        &self.exchange.inputs
    }

    /// Where the call goes.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Takes the status of the response and its `content-type`; an empty one if it has none.
    pub fn respond(&mut self, status: u16, content_type: &str) {
        self.exchange.status = Some(status);
        let lines = || Lines::new(self.limits.response_bytes);
        let joined = || Box::new(Joined::new(self.endpoint.interface()));
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        self.body = if kind.eq_ignore_ascii_case("text/event-stream") {
            Body::Events(lines(), joined())
        } else if kind.to_ascii_lowercase().ends_with("ndjson") {
            Body::Objects(lines(), joined())
        } else {
            Body::Whole(Vec::new())
        };
    }

    /// Takes bytes of the response's body as they come. How long after the request that was is asked
    /// once, for the first piece of the answer.
    ///
    /// Chunks may be cut anywhere. Compressed bodies must be unpacked before.
    pub fn feed(&mut self, bytes: &[u8], since_request_nanos: impl FnOnce() -> u64) {
        self.received = self.received.saturating_add(bytes.len());
        let within = self.received <= self.limits.response_bytes;
        self.exchange.truncated |= !within;
        let interface = self.endpoint.interface();
        let mut seen = Step::default();
        let late = &mut self.late;
        let mut take = |joined: &mut Joined, text: &[u8]| {
            let step = if within {
                joined.read(text)
            } else {
                read_late(interface, text, late)
            };
            seen.content |= step.content;
            seen.last |= step.last;
        };
        let mut done = false;
        match &mut self.body {
            Body::Whole(kept) => {
                let room = self.limits.response_bytes.saturating_sub(kept.len());
                kept.extend(bytes.iter().take(room));
            }
            Body::Events(lines, joined) => lines.feed(bytes, |line| match event_data(line) {
                Some(b"[DONE]") => done = true,
                Some(data) => take(joined, data),
                None => {}
            }),
            Body::Objects(lines, joined) => lines.feed(bytes, |line| take(joined, line)),
        }
        self.complete |= done || seen.last;
        if seen.content && self.exchange.time_to_first_token_nanos.is_none() {
            self.exchange.time_to_first_token_nanos = Some(since_request_nanos());
        }
    }

    /// Returns whether the event came that ends the answer. Clients stop reading then, so that
    /// the end of the body may never be seen.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Ends the recording.
    pub fn finish(mut self, end: End) -> LlmExchange {
        let interface = self.endpoint.interface();
        let (answer, text) = match self.body {
            Body::Whole(bytes) => whole(interface, &bytes, self.received),
            Body::Events(mut lines, mut joined) => {
                lines.finish(|line| add_text(&mut joined, event_data(line)));
                self.exchange.truncated |= lines.skipped > 0;
                (joined.finish(), None)
            }
            Body::Objects(mut lines, mut joined) => {
                lines.finish(|line| add_text(&mut joined, Some(line)));
                self.exchange.truncated |= lines.skipped > 0;
                (joined.finish(), None)
            }
        };
        let mut exchange = self.exchange;
        if let Some(answer) = &answer {
            exchange.read_answer(answer);
        }
        let (late_usage, late_reasons) = self.late;
        if !late_usage.is_empty() {
            exchange.usage = late_usage;
        }
        if exchange.finish_reasons.is_empty() {
            exchange.finish_reasons = late_reasons;
        }
        exchange.outputs = text.or_else(|| answer.as_ref().map(Json::from));
        exchange.complete = self.complete || end == End::Complete;
        if let End::Failed { class, message } = end
            && !self.complete
        {
            exchange.error = Some(LlmError { class, message });
        }
        if exchange.error.is_none() {
            exchange.error = LlmError::of_answer(exchange.status, answer.as_ref());
        }
        exchange
    }
}

/// Takes what counts from an event beyond the limit, and forgets the rest of it.
fn read_late(interface: Interface, text: &[u8], late: &mut (TokenUsage, Vec<String>)) -> Step {
    let mut alone = Joined::new(interface);
    let step = alone.read(text);
    if let Some(answer) = alone.finish() {
        let tokens = usage(interface, &answer);
        if !tokens.is_empty() {
            late.0 = tokens;
        }
        let room = LATE_REASONS.saturating_sub(late.1.len());
        let reasons = finish_reasons(interface, &answer).into_iter();
        let short = reasons.filter(|reason| reason.len() <= LATE_REASON_BYTES);
        late.1.extend(short.take(room));
    }
    step
}

fn add_text(joined: &mut Joined, text: Option<&[u8]>) {
    if let Some(text) = text {
        joined.read(text);
    }
}

/// The answer of a body that came whole, and its text as it came. A list is a stream of Gemini's
/// without events.
fn whole(interface: Interface, bytes: &[u8], received: usize) -> (Option<Value>, Option<Json>) {
    if bytes.is_empty() {
        return (None, None);
    }
    if bytes.len() < received {
        return (None, Some(cut(bytes, received)));
    }
    match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Array(parts)) if interface == Interface::GeminiGenerate => {
            let mut joined = Joined::new(interface);
            for part in parts {
                joined.add(part);
            }
            (joined.finish(), None)
        }
        Ok(answer) => (Some(answer), Some(kept(bytes, usize::MAX))),
        Err(_) => (None, Some(kept(bytes, usize::MAX))),
    }
}

/// A body as JSON: as it came if it is JSON, else as text, and cut with a mark beyond the limit.
fn kept(bytes: &[u8], limit: usize) -> Json {
    if let Some(head) = bytes.get(..limit).filter(|head| head.len() < bytes.len()) {
        return cut(head, bytes.len());
    }
    let text = String::from_utf8_lossy(bytes);
    Json::from_text(text.as_ref()).unwrap_or_else(|_| Json::string(&text))
}

fn cut(head: &[u8], of_bytes: usize) -> Json {
    let text = String::from_utf8_lossy(head);
    Json::string(&format!("{text}… [{} of {of_bytes} bytes]", head.len()))
}
