use std::time::Instant;

use spanlite::{Context, Span, SpanKind};
use spanlite_llm::{End, Endpoint, Interface, Limits, LlmExchange, Recording};

use crate::calls;

/// A call of a model that is being recorded. Dropping it ends it as given up.
#[derive(Debug)]
pub(super) struct Call {
    /// What was seen so far; nothing once it has ended.
    recording: Option<Recording>,
    target: Target,
    begun: Instant,
    #[cfg(feature = "async-openai")]
    attempts: u32,
    /// What stands behind the `?` of the address, which errors must not repeat.
    query: Option<String>,
}

/// The span that the call is recorded in.
#[derive(Debug)]
enum Target {
    /// One of its own.
    Own(Box<Span>),
    /// That of another hook, which records the same call.
    Other(Context),
}

impl Call {
    /// Begins a call at a place in a trace, if the address is one of a model.
    pub(super) fn begin(place: Context, request: &reqwest::Request) -> Option<Self> {
        let endpoint = Endpoint::of(request.method().as_str(), request.url().as_str())?;
        let body = request.body().and_then(reqwest::Body::as_bytes);
        let recording = endpoint.begin(body.unwrap_or(b"null"), Limits::default());
        let target = if calls::is_open(place) {
            Target::Other(place)
        } else {
            let name = recording.name();
            let span = spanlite::span(&name)
                .parent(place)
                .kind(SpanKind::Client)
                .span_type(recording.span_type().as_str())
                .inputs(recording.inputs());
            Target::Own(Box::new(span.start_detached()))
        };
        Some(Self {
            recording: Some(recording),
            target,
            begun: Instant::now(),
            #[cfg(feature = "async-openai")]
            attempts: 1,
            query: request.url().query().map(str::to_owned),
        })
    }

    /// Takes note that the request is sent once more.
    #[cfg(feature = "async-openai")]
    pub(super) fn retry(&mut self) {
        self.attempts += 1;
        let number = [("attempt", spanlite::Value::from(self.attempts))];
        match &mut self.target {
            Target::Own(span) => span.add_event("retry", number),
            Target::Other(place) => {
                place.run(|| spanlite::current_span().add_event("retry", number));
            }
        }
    }

    /// Takes the head of the response.
    pub(super) fn respond(&mut self, response: &reqwest::Response) {
        let kind = response.headers().get(reqwest::header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if let Some(recording) = &mut self.recording {
            recording.respond(response.status().as_u16(), kind);
        }
    }

    /// Takes bytes of the response, and ends the call with the event that ends the answer.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let Some(recording) = &mut self.recording else {
            return;
        };
        recording.feed(bytes, || {
            u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
        });
        // Gemini says that it is done before it says how many tokens it took.
        let more = recording.endpoint().interface() == Interface::GeminiGenerate;
        if recording.is_complete() && !more {
            self.end(End::Complete);
        }
    }

    /// Ends the call because of an error of the client.
    pub(super) fn fail(&mut self, class: &str, message: &str) {
        let message = match &self.query {
            Some(query) if !query.is_empty() => message.replace(query, "…"),
            _ => message.to_owned(),
        };
        self.end(End::Failed {
            class: class.to_owned(),
            message,
        });
    }

    /// Ends the call, unless it has ended.
    pub(super) fn end(&mut self, end: End) {
        let Some(recording) = self.recording.take() else {
            return;
        };
        let exchange = recording.finish(end);
        match &mut self.target {
            Target::Own(span) => {
                write_own(span, &exchange);
                std::mem::take(span.as_mut()).end();
            }
            Target::Other(place) => place.run(|| write_other(&exchange)),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(End::Dropped);
    }
}

/// Writes what is known at the end; type and inputs were written at the start.
fn write_own(span: &mut Span, exchange: &LlmExchange) {
    for (key, value) in exchange.attributes() {
        span.set_attribute(&key, value);
    }
    if let Some(outputs) = &exchange.outputs {
        span.set_outputs(outputs);
    }
    if let Some(error) = &exchange.error {
        span.record_exception(&error.class, &error.message, "");
    }
}

/// Adds what the other hook may not have seen.
fn write_other(exchange: &LlmExchange) {
    let span = spanlite::current_span();
    for (key, value) in exchange.attributes() {
        span.set_attribute(&key, value);
    }
    span.set_inputs(&exchange.inputs);
    if let Some(outputs) = &exchange.outputs {
        span.set_outputs(outputs);
    }
    if let Some(error) = &exchange.error {
        span.record_exception(&error.class, &error.message, "");
    }
}

/// The class of an error of `reqwest`, by what went wrong.
pub(super) fn class_of(error: &reqwest::Error) -> &'static str {
    match error {
        _ if error.is_timeout() => "Timeout",
        _ if error.is_connect() => "ConnectError",
        _ if error.is_body() || error.is_decode() => "BodyError",
        _ => "RequestError",
    }
}
