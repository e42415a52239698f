use spanlite_model::TraceId;
use spanlite_query::{Query, RunOptions};
use spanlite_store::{Snapshot, TimeRange};

use super::{ExportError, now_unix_nano};
use crate::job::ExportJob;

/// Which traces a job is about.
#[derive(Debug)]
pub(super) enum Selection {
    All,
    Query(Box<Query>),
}

impl Selection {
    pub(super) fn of(job: &ExportJob) -> Result<Self, ExportError> {
        match job.query.as_deref().map(str::trim) {
            None | Some("") => Ok(Self::All),
            Some(text) => match Query::parse(text) {
                Ok(query) => Ok(Self::Query(Box::new(query))),
                Err(source) => Err(ExportError::Query {
                    query: text.to_owned(),
                    source: Box::new(source),
                }),
            },
        }
    }

    /// The ids of the selected traces that begin at a time or later. They are all that is held of
    /// a selection: 16 bytes a trace.
    pub(super) fn ids(
        &self,
        snapshot: &Snapshot,
        since_unix_nano: Option<u64>,
    ) -> Result<Vec<TraceId>, ExportError> {
        let range = TimeRange {
            start_unix_nano: since_unix_nano.unwrap_or(0),
            ..TimeRange::default()
        };
        let query = match self {
            Self::All => return Ok(snapshot.trace_ids(range)?),
            Self::Query(query) => query,
        };
        if since_unix_nano.is_some() {
            return matching(query, snapshot, range);
        }
        let failed = |error| ExportError::Select(Box::new(error));
        let found = query.run(snapshot, RunOptions::default());
        found
            .map_err(failed)?
            .map(|found| Ok(found.map_err(failed)?.trace.trace_id))
            .collect()
    }
}

/// The traces of a stretch of time that fit; the query's order and limit do not count.
fn matching(
    query: &Query,
    snapshot: &Snapshot,
    range: TimeRange,
) -> Result<Vec<TraceId>, ExportError> {
    let now = now_unix_nano();
    let mut ids = Vec::new();
    for trace in snapshot.traces(range) {
        let trace = trace?;
        let fits = query.evaluate(&trace, now);
        if !fits
            .map_err(|error| ExportError::Evaluate(Box::new(error)))?
            .is_empty()
        {
            ids.push(trace.trace_id);
        }
    }
    Ok(ids)
}
