//! The trace event format of Chrome, which Perfetto and speedscope open. For looking only: what it
//! has no place for stands in `args`, and nothing reads it back.
//!
//! A trace is a process that begins at 0; spans that overlap without one being in the other lie on
//! different threads, because the format nests events of one thread by their times.

use std::io::Write;

use serde::Serialize;
use spanlite_model::{Attributes, Event, Json, Span, Trace};

use crate::error::WriteError;

/// Writes one document of trace events, trace by trace.
#[derive(Debug)]
pub struct ChromeTraceWriter<W> {
    out: W,
    traces: u64,
}

#[derive(Serialize)]
struct TraceEvent<'t, A> {
    name: &'t str,
    cat: &'t str,
    /// `X` has a duration, `B` did not end, `i` is an instant, `M` names a process.
    ph: &'static str,
    /// Microseconds since the trace began, with nanoseconds behind the point.
    ts: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    pid: u64,
    tid: usize,
    /// An instant belongs to its thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'static str>,
    args: A,
}

#[derive(Serialize)]
struct ProcessName {
    name: String,
}

#[derive(Serialize)]
struct SpanArgs<'t> {
    span_id: String,
    status: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'t str,
    #[serde(skip_serializing_if = "Option::is_none")]
    inputs: Option<&'t Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<&'t Json>,
    #[serde(skip_serializing_if = "Attributes::is_empty")]
    attributes: &'t Attributes,
}

impl<W: Write> ChromeTraceWriter<W> {
    /// Writes to `out`, which should be buffered.
    pub fn new(out: W) -> Self {
        Self { out, traces: 0 }
    }

    /// Adds a trace to the document.
    pub fn write(&mut self, trace: &Trace) -> Result<(), WriteError> {
        self.out.write_all(if self.traces == 0 {
            b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"
        } else {
            b",\n"
        })?;
        self.traces += 1;
        let pid = self.traces;
        let name = format!("{} {}", trace.name().unwrap_or_default(), trace.trace_id);
        self.event(&TraceEvent {
            name: "process_name",
            cat: "",
            ph: "M",
            ts: 0.0,
            dur: None,
            pid,
            tid: 0,
            s: None,
            args: ProcessName { name },
        })?;
        let began = trace.start_time_unix_nano().unwrap_or(0);
        for (span, tid) in on_threads(trace) {
            self.out.write_all(b",\n")?;
            self.event(&span_event(span, began, pid, tid))?;
            for event in &span.events {
                self.out.write_all(b",\n")?;
                self.event(&instant(event, began, pid, tid))?;
            }
        }
        Ok(())
    }

    fn event(&mut self, event: &TraceEvent<'_, impl Serialize>) -> Result<(), WriteError> {
        Ok(serde_json::to_writer(&mut self.out, event)?)
    }

    /// Ends the document and gives the destination back, flushed.
    pub fn finish(mut self) -> Result<W, WriteError> {
        if self.traces == 0 {
            self.out.write_all(b"{\"traceEvents\":[")?;
        }
        self.out.write_all(b"\n]}\n")?;
        self.out.flush()?;
        Ok(self.out)
    }
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1_000.0
}

fn span_event(span: &Span, began: u64, pid: u64, tid: usize) -> TraceEvent<'_, SpanArgs<'_>> {
    TraceEvent {
        name: &span.name,
        cat: span.span_type.as_str(),
        ph: if span.end_time_unix_nano.is_some() {
            "X"
        } else {
            "B"
        },
        ts: micros(span.start_time_unix_nano.saturating_sub(began)),
        dur: span.duration_nanos().map(micros),
        pid,
        tid,
        s: None,
        args: SpanArgs {
            span_id: span.span_id.to_string(),
            status: span.status.code.as_str(),
            message: &span.status.message,
            inputs: span.inputs.as_ref(),
            outputs: span.outputs.as_ref(),
            attributes: &span.attributes,
        },
    }
}

fn instant(event: &Event, began: u64, pid: u64, tid: usize) -> TraceEvent<'_, &Attributes> {
    TraceEvent {
        name: &event.name,
        cat: "event",
        ph: "i",
        ts: micros(event.time_unix_nano.saturating_sub(began)),
        dur: None,
        pid,
        tid,
        s: Some("t"),
        args: &event.attributes,
    }
}

/// The spans by start, each with the first thread on which it lies beside or inside what is there.
fn on_threads(trace: &Trace) -> Vec<(&Span, usize)> {
    let end = |span: &Span| span.end_time_unix_nano.unwrap_or(u64::MAX);
    let forest = trace.forest();
    // In pre-order, so that of two spans of one time the parent comes first.
    let mut spans: Vec<&Span> = forest
        .nodes()
        .iter()
        .map(|node| &trace.spans[node.span])
        .collect();
    spans.sort_by_key(|span| (span.start_time_unix_nano, std::cmp::Reverse(end(span))));
    // The ends of what is open on each thread, the innermost last.
    let mut threads: Vec<Vec<u64>> = Vec::new();
    let mut placed = Vec::with_capacity(spans.len());
    for span in spans {
        for open in &mut threads {
            while open
                .last()
                .is_some_and(|&until| until <= span.start_time_unix_nano)
            {
                open.pop();
            }
        }
        let fits = |open: &Vec<u64>| open.last().is_none_or(|&until| end(span) <= until);
        let tid = threads.iter().position(fits).unwrap_or_else(|| {
            threads.push(Vec::new());
            threads.len() - 1
        });
        threads[tid].push(end(span));
        placed.push((span, tid));
    }
    placed
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use spanlite_model::{SpanId, TraceId};

    use super::*;

    fn span(id: u8, start: u64, end: Option<u64>) -> Span {
        let mut span = Span::new(
            TraceId::from_bytes([1; 16]),
            SpanId::from_bytes([id; 8]),
            "s",
        );
        span.start_time_unix_nano = start;
        span.end_time_unix_nano = end;
        span
    }

    fn events(traces: &[Trace]) -> Vec<Value> {
        let mut writer = ChromeTraceWriter::new(Vec::new());
        for trace in traces {
            writer.write(trace).unwrap();
        }
        let bytes = writer.finish().unwrap();
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        document["traceEvents"].as_array().unwrap().clone()
    }

    #[test]
    fn spans_that_overlap_are_on_threads_of_their_own() {
        let trace = Trace::new(
            TraceId::from_bytes([1; 16]),
            vec![
                span(1, 1_000, Some(9_500)),
                span(2, 2_000, Some(5_000)),
                span(3, 3_000, Some(6_000)),
                span(4, 6_000, Some(9_000)),
                span(5, 8_000, None),
            ],
        );
        let events = events(&[trace.clone(), trace]);
        assert_eq!(events.len(), 12);
        assert_eq!(
            (&events[0]["ph"], &events[6]["pid"]),
            (&"M".into(), &2.into())
        );
        let seen = events[1..6].iter().map(|event| {
            let number = |key: &str| event[key].as_f64();
            (
                event["tid"].as_u64().unwrap(),
                number("ts").unwrap(),
                number("dur"),
            )
        });
        assert_eq!(
            seen.collect::<Vec<_>>(),
            [
                (0, 0.0, Some(8.5)),
                (0, 1.0, Some(3.0)),
                (1, 2.0, Some(3.0)),
                (0, 5.0, Some(3.0)),
                (1, 7.0, None),
            ]
        );
        assert_eq!(events[5]["ph"], "B");
    }

    #[test]
    fn nothing_is_a_document_too() {
        assert!(events(&[]).is_empty());
    }
}
