use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use spanlite_model::{PriceTable, Trace, TraceId, TraceState};
use spanlite_query::{Query, RunError, RunOptions};
use spanlite_store::{Snapshot, Store, TimeRange};

use crate::error::CliError;

/// A live filter stops looking after this, and shows what it has found.
const PATIENCE: Duration = Duration::from_millis(200);

/// What the list shows of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) trace_id: TraceId,
    pub(super) name: String,
    pub(super) state: TraceState,
    pub(super) start_time_unix_nano: u64,
    pub(super) nanos: u64,
}

/// What a filter found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) entries: Vec<Entry>,
    /// Whether there may be more.
    pub(super) more: bool,
    pub(super) total: usize,
    pub(super) elapsed: Duration,
}

/// Reads the store for the screen.
pub(super) struct Source {
    store: Store,
    prices: Arc<PriceTable>,
    /// When the program began; the present is counted on from there.
    began_unix_nano: u64,
}

impl Source {
    pub(super) fn new(store: Store, prices: Arc<PriceTable>, began_unix_nano: u64) -> Self {
        Self {
            store,
            prices,
            began_unix_nano,
        }
    }

    /// The present in Unix nanoseconds.
    pub(super) fn now_unix_nano(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(self.began_unix_nano, |since| since.as_nanos() as u64)
    }

    /// The path of the store.
    pub(super) fn path(&self) -> String {
        self.store.path().display().to_string()
    }

    /// The newest traces that fit a query, at most `limit`.
    pub(super) fn find(&self, query: Option<&Query>, limit: usize) -> Result<Found, CliError> {
        let began = Instant::now();
        let snapshot = self.store.snapshot()?;
        let mut found = Found {
            total: snapshot.count_traces()?,
            ..Found::default()
        };
        match query {
            None => {
                for trace in snapshot.traces(TimeRange::default()).take(limit + 1) {
                    found.entries.push(entry(&trace?));
                    if began.elapsed() > PATIENCE {
                        found.more = true;
                        break;
                    }
                }
            }
            Some(query) => self.ask(query, limit, &snapshot, &mut found)?,
        }
        found.more |= found.entries.len() > limit;
        found.entries.truncate(limit);
        found.elapsed = began.elapsed();
        Ok(found)
    }

    fn ask(
        &self,
        query: &Query,
        limit: usize,
        snapshot: &Snapshot,
        found: &mut Found,
    ) -> Result<(), CliError> {
        let options = RunOptions {
            now_unix_nano: self.now_unix_nano(),
            limit: Some(limit as u64 + 1),
            deadline: Some(Instant::now() + PATIENCE),
            prices: Some(Arc::clone(&self.prices)),
            ..RunOptions::default()
        };
        let rows = match query.run(snapshot, options) {
            Err(RunError::DeadlinePassed) => {
                found.more = true;
                return Ok(());
            }
            rows => rows?,
        };
        for row in rows {
            match row {
                Ok(row) => found.entries.push(entry(&row.trace)),
                Err(RunError::DeadlinePassed) => found.more = true,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// A trace as it is at this moment.
    pub(super) fn trace(&self, trace_id: TraceId) -> Result<Option<Arc<Trace>>, CliError> {
        let trace = self.store.snapshot()?.trace(trace_id)?;
        Ok(trace.map(|mut trace| {
            self.prices.apply(&mut trace);
            Arc::new(trace)
        }))
    }
}

fn entry(trace: &Trace) -> Entry {
    const NAME_CHARS: usize = 200;
    let name = trace.name().unwrap_or("(no name)");
    Entry {
        trace_id: trace.trace_id,
        name: name.chars().take(NAME_CHARS).collect(),
        state: trace.state(),
        start_time_unix_nano: trace.start_time_unix_nano().unwrap_or(0),
        nanos: trace.duration_nanos(),
    }
}
