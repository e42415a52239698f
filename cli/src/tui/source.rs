use std::sync::Arc;
use std::time::{Duration, Instant};

use spanlite_model::{PriceTable, Trace, TraceId};
use spanlite_query::{Query, RunError, RunOptions, TraceHeader};
use spanlite_store::Store;

use crate::ask;
use crate::error::CliError;

/// A live filter stops looking after this, and shows what it has found.
const PATIENCE: Duration = Duration::from_millis(200);

/// What a filter found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) entries: Vec<TraceHeader>,
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
    began: Instant,
}

impl Source {
    pub(super) fn new(store: Store, prices: Arc<PriceTable>, began_unix_nano: u64) -> Self {
        Self {
            store,
            prices,
            began_unix_nano,
            began: Instant::now(),
        }
    }

    /// The present in Unix nanoseconds.
    pub(super) fn now_unix_nano(&self) -> u64 {
        let since = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.began_unix_nano.saturating_add(since)
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
        let matches: Box<dyn Iterator<Item = Result<TraceHeader, RunError>>> = match query {
            // Without payloads, which may be large.
            None => Box::new(ask::parse("{ }")?.headers(&snapshot, self.options(limit))?),
            Some(query) => match query.run(&snapshot, self.options(limit)) {
                Ok(rows) => Box::new(rows.map(|row| Ok(TraceHeader::from(&row?.trace)))),
                Err(error) => Box::new(std::iter::once(Err(error))),
            },
        };
        for header in matches {
            match header {
                Ok(header) => found.entries.push(header),
                Err(RunError::DeadlinePassed) => found.more = true,
                Err(error) => return Err(error.into()),
            }
        }
        found.more |= found.entries.len() > limit;
        found.entries.truncate(limit);
        found.elapsed = began.elapsed();
        Ok(found)
    }

    fn options(&self, limit: usize) -> RunOptions {
        let mut options = RunOptions::default();
        options.now_unix_nano = self.now_unix_nano();
        options.limit = Some(limit as u64 + 1);
        options.deadline = Some(Instant::now() + PATIENCE);
        options.prices = Some(Arc::clone(&self.prices));
        options
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
