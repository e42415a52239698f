use std::collections::BTreeMap;

use crate::{Assessment, Forest, Json, Span, StatusCode, TraceId, TraceState};

/// All spans of one id, and what belongs to the whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Its id.
    pub trace_id: TraceId,
    /// What belongs to the whole.
    pub info: TraceInfo,
    /// Its spans, in no promised order; [`Forest`] gives the tree.
    pub spans: Vec<Span>,
}

/// What belongs to a whole trace. All of it was said by somebody: what follows from the spans is
/// computed by [`Trace`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TraceInfo {
    /// A name given to the trace, where it is not its root span's.
    pub name: Option<String>,
    /// Mutable keys and values.
    pub tags: BTreeMap<String, String>,
    /// Keys and values that MLflow calls fixed.
    pub metadata: BTreeMap<String, String>,
    /// The session it belongs to.
    pub session: Option<String>,
    /// Whose trace it is.
    pub user: Option<String>,
    /// The program's own id of the request.
    pub client_request_id: Option<String>,
    /// The short form of what went in.
    pub request_preview: Option<String>,
    /// The short form of what came out.
    pub response_preview: Option<String>,
    /// A state that was set, whatever the spans say.
    pub state: Option<TraceState>,
    /// A time that was set, in Unix nanoseconds.
    pub request_time_unix_nano: Option<u64>,
    /// A length that was set, in nanoseconds.
    pub execution_duration_nanos: Option<u64>,
    /// What was thought of it, oldest first.
    pub assessments: Vec<Assessment>,
    /// Whether retention must leave it alone.
    pub pinned: bool,
    /// Fields of foreign formats that have no place of their own.
    pub extra: BTreeMap<String, Json>,
}

impl Trace {
    /// A trace of these spans, with nothing said about the whole.
    pub fn new(trace_id: TraceId, spans: Vec<Span>) -> Self {
        Self {
            trace_id,
            info: TraceInfo::default(),
            spans,
        }
    }

    /// The tree of the spans.
    pub fn forest(&self) -> Forest {
        Forest::of(&self.spans)
    }

    /// The span the trace begins with: of those without a parent the earliest, else of those
    /// whose parent is missing.
    pub fn root(&self) -> Option<&Span> {
        let by_start = |span: &&Span| (span.start_time_unix_nano, span.span_id);
        self.spans
            .iter()
            .filter(|span| span.parent_span_id.is_none())
            .min_by_key(by_start)
            .or_else(|| {
                let forest = self.forest();
                let index = forest.roots().next()?;
                self.spans.get(forest.node(index).span)
            })
    }

    /// The name that was given to the trace, else its root span's.
    pub fn name(&self) -> Option<&str> {
        self.info
            .name
            .as_deref()
            .or_else(|| self.root().map(|span| span.name.as_str()))
    }

    /// The first start of a span in Unix nanoseconds, else the request time that was set.
    pub fn start_time_unix_nano(&self) -> Option<u64> {
        let spans = self
            .spans
            .iter()
            .map(|span| span.start_time_unix_nano)
            .min();
        spans.or(self.info.request_time_unix_nano)
    }

    /// The last end of a span in Unix nanoseconds; open spans do not count.
    pub fn end_time_unix_nano(&self) -> Option<u64> {
        self.spans
            .iter()
            .filter_map(|span| span.end_time_unix_nano)
            .max()
    }

    /// Last end minus first start in nanoseconds.
    pub fn duration_nanos(&self) -> u64 {
        match (self.start_time_unix_nano(), self.end_time_unix_nano()) {
            (Some(start), Some(end)) => end.saturating_sub(start),
            _ => self.info.execution_duration_nanos.unwrap_or(0),
        }
    }

    /// The state that was set, else the one the root span tells: `ERROR` if it failed, `OK` if it
    /// ended, `IN_PROGRESS` while a span is open or no root has come.
    ///
    /// Whether an open trace is running or was interrupted is known to the store alone, which
    /// sets [`TraceInfo::state`] for it.
    pub fn state(&self) -> TraceState {
        if let Some(state) = self.info.state {
            return state;
        }
        let root = self
            .spans
            .iter()
            .filter(|span| span.parent_span_id.is_none());
        let root = root.min_by_key(|span| (span.start_time_unix_nano, span.span_id));
        match root {
            Some(root) if root.end_time_unix_nano.is_none() => TraceState::InProgress,
            Some(root) if root.status.code == StatusCode::Error => TraceState::Error,
            Some(_) => TraceState::Ok,
            None if self.spans.is_empty() => TraceState::Unspecified,
            None => TraceState::InProgress,
        }
    }
}
