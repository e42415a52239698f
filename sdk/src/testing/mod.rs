//! For tests of programs that are traced: spans captured in memory, a clock and ids that are the
//! same in every run, and a trace drawn as a tree for snapshots.
//!
//! ```
//! let capture = spanlite::testing::capture();
//! spanlite::in_span("answer", |span| {
//!     span.set_inputs([6, 7]);
//!     spanlite::in_span("multiply", |span| span.set_outputs(42));
//! });
//! assert_eq!(
//!     capture.tree(),
//!     "answer\n│ inputs: [6,7]\n└─ multiply\n     outputs: 42\n"
//! );
//! ```

mod tree;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use spanlite_model::{Span, Trace, TraceId};
use spanlite_store::record::{Origin, Record, decode_record};

use crate::config::Builder;
use crate::context::{Attached, Context};
use crate::tracer::{self, Sink, Source, Tracer};
pub use tree::draw;

/// Captures the spans of the calling thread, and of what its context is carried to, in memory,
/// until it is dropped. Other threads, and so other tests, are not affected.
#[derive(Debug)]
pub struct Capture {
    index: Option<u16>,
    tracer: Arc<Tracer>,
    _attached: Attached,
}

/// Nanoseconds of the first time that a capture sees: 2026-01-01.
const FIRST_NANOS: u64 = 1_767_225_600_000_000_000;
/// How far its clock moves each time somebody looks at it.
const STEP_NANOS: u64 = 1_000_000;

/// Begins to capture, by a clock that moves one millisecond each time it is read, and ids that
/// count from 1.
pub fn capture() -> Capture {
    capture_with(&crate::builder())
}

/// Begins to capture with settings: sampling, redaction, limits. The environment is not read.
pub fn capture_with(settings: &Builder) -> Capture {
    let source = Source::Counted {
        next_nanos: AtomicU64::new(FIRST_NANOS),
        step_nanos: STEP_NANOS,
        next_id: AtomicU64::new(1),
    };
    let sink = Sink::Memory(Mutex::default());
    let tracer = Arc::new(Tracer::new(sink, settings.rules(), source));
    crate::panics::install();
    let index = tracer::add(Arc::clone(&tracer));
    let context = Context::NONE.with_tracer(index.unwrap_or(0));
    Capture {
        index,
        tracer,
        _attached: context.attach(),
    }
}

impl Capture {
    /// What was recorded until this moment: spans that ended, by trace, with what was said of the
    /// whole.
    pub fn traces(&self) -> Vec<Trace> {
        let Sink::Memory(records) = &self.tracer.sink else {
            return Vec::new();
        };
        let records = records.lock().unwrap_or_else(PoisonError::into_inner);
        let mut traces: BTreeMap<TraceId, Trace> = BTreeMap::new();
        for record in records.iter() {
            // The encoder wrote it a moment ago; what it cannot read would be its own mistake.
            let Ok(Some(record)) = decode_record(record, &Origin::default()) else {
                continue;
            };
            match record {
                Record::Span(span) => {
                    let trace = entry(&mut traces, span.trace_id);
                    trace.spans.push(*span);
                }
                Record::Update(update) => {
                    entry(&mut traces, update.trace_id)
                        .info
                        .apply(update.change);
                }
            }
        }
        traces.into_values().collect()
    }

    /// The spans that ended, in the order they ended.
    pub fn spans(&self) -> Vec<Span> {
        self.traces()
            .into_iter()
            .flat_map(|trace| trace.spans)
            .collect()
    }

    /// The traces, drawn one below the other.
    pub fn tree(&self) -> String {
        self.traces().iter().map(draw).collect()
    }
}

fn entry(traces: &mut BTreeMap<TraceId, Trace>, trace_id: TraceId) -> &mut Trace {
    traces
        .entry(trace_id)
        .or_insert_with(|| Trace::new(trace_id, Vec::new()))
}

impl Drop for Capture {
    fn drop(&mut self) {
        if let Some(index) = self.index {
            tracer::set(index, None);
        }
    }
}
