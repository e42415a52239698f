use spanlite_model::{Trace, TraceId, TraceState};
use spanlite_store::Snapshot;

use crate::eval::View;
use crate::plan::{Candidates, Explain};
use crate::query::Query;
use crate::resolve::{Body, Stage};
use crate::row;
use crate::run::{RunError, RunOptions, time_range};

/// What a list shows of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceHeader {
    /// Its id.
    pub trace_id: TraceId,
    /// The name given to it, else its root span's.
    pub name: Option<Box<str>>,
    /// The first start of a span, in Unix nanoseconds.
    pub start_time_unix_nano: u64,
    /// From the first start to the last end of a span.
    pub duration_nanos: u64,
    /// Its state.
    pub state: TraceState,
    /// How many spans it has.
    pub n_spans: u32,
    /// How many of them failed.
    pub n_errors: u32,
}

impl From<&Trace> for TraceHeader {
    fn from(trace: &Trace) -> Self {
        let errors = trace.spans.iter().filter(|span| span.is_error());
        Self {
            trace_id: trace.trace_id,
            name: trace.name().map(Into::into),
            start_time_unix_nano: trace.start_time_unix_nano().unwrap_or(0),
            duration_nanos: trace.duration_nanos(),
            state: trace.state(),
            n_spans: trace.spans.len() as u32,
            n_errors: errors.count() as u32,
        }
    }
}

/// The headers of the traces that fit a query, newest first.
///
/// Order, limit and offset of the query do not count: [`Query::run`] orders.
#[derive(Debug)]
pub struct Headers<'s> {
    candidates: Candidates<'s>,
    stages: Vec<Stage>,
    options: RunOptions,
    left: u64,
}

impl Query {
    /// Runs the query for the headers of traces alone: whole traces are read only where columns
    /// leave a doubt.
    pub fn headers<'s>(
        &self,
        snapshot: &'s Snapshot,
        options: RunOptions,
    ) -> Result<Headers<'s>, RunError> {
        let Body::Search(stages) = &self.resolved()?.body else {
            return Err(RunError::YieldsMetrics);
        };
        let range = time_range(stages, &options);
        let candidates = self.candidates(stages, snapshot, range, &options)?;
        Ok(Headers {
            candidates: candidates.with_headers(),
            stages: stages.clone(),
            left: options.limit.unwrap_or(u64::MAX),
            options,
        })
    }
}

impl Headers<'_> {
    /// How the query has been answered so far.
    pub fn explain(&self) -> &Explain {
        &self.candidates.counts
    }

    fn find(&mut self) -> Result<Option<TraceHeader>, RunError> {
        while self.left > 0 {
            self.options.check()?;
            let Some(mut candidate) = self.candidates.next_candidate()? else {
                return Ok(None);
            };
            let told = candidate.header.take().filter(|_| candidate.is_certain);
            let header = match told {
                Some(header) => *header,
                None => match self.candidates.trace(&candidate)? {
                    Some(trace) => {
                        let view = View::new(&trace, self.options.now_unix_nano);
                        if !row::fits(&self.stages, &view) {
                            continue;
                        }
                        TraceHeader::from(&trace)
                    }
                    None => continue,
                },
            };
            self.left -= 1;
            self.candidates.counts.traces_matched += 1;
            return Ok(Some(header));
        }
        Ok(None)
    }
}

impl Iterator for Headers<'_> {
    type Item = Result<TraceHeader, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.find();
        if found.is_err() {
            self.left = 0;
        }
        found.transpose()
    }
}
