//! Asks the store in the query language.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use spanlite_model::{PriceTable, Trace};
use spanlite_query::{Cursor, Query, Rows, RunError, RunOptions, SpanMatch, SpanSet, TraceMatch};
use spanlite_store::{ReadError, Snapshot, Store, TimeRange};

use crate::error::CliError;
use crate::near::near;
use crate::render::json;
use crate::session::Session;

/// Where saved queries lie in the store.
pub(crate) const SAVED: &str = "query";

/// Reads a query; `@name` is a saved one.
pub(crate) fn read(text: &str, store: &Store) -> Result<Query, CliError> {
    match text.trim().strip_prefix('@') {
        None => parse(text),
        Some(name) => {
            let saved = store.state().get(SAVED, name.as_bytes())?;
            let Some(saved) = saved else {
                return Err(no_saved(name, store)?);
            };
            parse(&String::from_utf8_lossy(&saved.bytes))
        }
    }
}

/// Says that no query is saved under a name, and which may have been meant.
pub(crate) fn no_saved(name: &str, store: &Store) -> Result<CliError, CliError> {
    let saved = store.state().list(SAVED, b"")?.into_iter();
    let names = saved.map(|(name, _)| String::from_utf8_lossy(&name).into_owned());
    Ok(CliError::NoSavedQuery {
        name: name.chars().take(80).collect(),
        near: near(name, names).into_iter().next(),
    })
}

/// Reads the query that narrows a command down, where one was given.
pub(crate) fn filter(text: Option<&str>, store: &Store) -> Result<Option<Query>, CliError> {
    text.map(|text| read(text, store)).transpose()
}

/// Reads a query as it is written.
pub(crate) fn parse(text: &str) -> Result<Query, CliError> {
    Query::parse(text).map_err(|error| CliError::Query {
        drawn: error.render(text),
        source: Box::new(error),
    })
}

/// Says why a query may have found nothing, unless there is nothing.
pub(crate) fn say_why_nothing(
    query: &Query,
    snapshot: &Snapshot,
    session: &mut Session<'_>,
) -> Result<(), CliError> {
    if snapshot.count_traces()? == 0 {
        return Ok(());
    }
    for note in query.notes(snapshot)? {
        session.out.warn_drawn(&note.render(query.source()));
    }
    Ok(())
}

/// What is asked beside the query.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    /// When the traces began.
    pub(crate) range: TimeRange,
    /// What `now()` is.
    pub(crate) now_unix_nano: u64,
    /// What puts costs into the traces.
    pub(crate) prices: Option<Arc<PriceTable>>,
    /// Continues behind this place.
    pub(crate) after: Option<Cursor>,
    /// Whether [`Matches::cursor`] will be asked.
    pub(crate) pages: bool,
    /// Stops once it is true.
    pub(crate) cancel: Option<Arc<AtomicBool>>,
}

impl Ask {
    /// How a query runs for it.
    pub(crate) fn options(&self) -> RunOptions {
        let mut options = RunOptions::default();
        options.now_unix_nano = self.now_unix_nano;
        options.after.clone_from(&self.after);
        options.cancel.clone_from(&self.cancel);
        options.prices.clone_from(&self.prices);
        options
    }

    /// Fails once it is cancelled.
    pub(crate) fn check(&self) -> Result<(), CliError> {
        let cancel = self.cancel.as_ref();
        if cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
            return Err(RunError::Cancelled.into());
        }
        Ok(())
    }
}

/// The traces that fit, one by one.
pub(crate) struct Matches<'s> {
    rows: Source<'s>,
    ask: Ask,
}

enum Source<'s> {
    /// Every trace, and every span of it.
    All(Box<dyn Iterator<Item = Result<Trace, ReadError>> + 's>),
    Query(Box<Rows<'s>>),
}

/// The traces that began in a range and fit a query, newest first unless it says otherwise, with
/// the spans that fit. Without a query every trace fits, and every span of it.
pub(crate) fn matches<'s>(
    snapshot: &'s Snapshot,
    query: Option<&Query>,
    ask: Ask,
) -> Result<Matches<'s>, CliError> {
    let every;
    let query = match query {
        None if ask.pages || ask.after.is_some() => {
            every = parse("{ }")?;
            Some(&every)
        }
        query => query,
    };
    let Some(query) = query else {
        let traces = snapshot.traces(ask.range);
        return Ok(Matches {
            rows: Source::All(Box::new(traces)),
            ask,
        });
    };
    // The bound goes into the query, which then reads no more than it must. Where another stage
    // may not follow, all is read and the rest thrown away here.
    let bounded = (ask.range != TimeRange::default()).then(|| {
        let since = json::time(ask.range.start_unix_nano);
        Query::parse(&format!("{} | since \"{since}\"", query.source()))
    });
    let query = bounded
        .as_ref()
        .and_then(|it| it.as_ref().ok())
        .unwrap_or(query);
    let rows = query.run(snapshot, ask.options())?;
    Ok(Matches {
        rows: Source::Query(Box::new(rows)),
        ask,
    })
}

impl Matches<'_> {
    /// Where the last trace that came stands, where that is known.
    pub(crate) fn cursor(&self) -> Option<String> {
        match &self.rows {
            Source::All(_) => None,
            Source::Query(rows) => rows.cursor().map(ToString::to_string),
        }
    }

    fn find(&mut self) -> Result<Option<TraceMatch>, CliError> {
        match &mut self.rows {
            Source::All(traces) => {
                self.ask.check()?;
                let Some(trace) = traces.next().transpose()? else {
                    return Ok(None);
                };
                Ok(Some(whole(trace, self.ask.prices.as_deref())))
            }
            Source::Query(rows) => loop {
                let Some(found) = rows.next().transpose()? else {
                    return Ok(None);
                };
                let start = found.trace.start_time_unix_nano().unwrap_or(0);
                if self.ask.range.contains(start) {
                    return Ok(Some(found));
                }
            },
        }
    }
}

impl Iterator for Matches<'_> {
    type Item = Result<TraceMatch, CliError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.find().transpose()
    }
}

fn whole(mut trace: Trace, prices: Option<&PriceTable>) -> TraceMatch {
    if let Some(prices) = prices {
        prices.apply(&mut trace);
    }
    let spans = (0..trace.spans.len()).map(|index| SpanMatch {
        index,
        selected: Vec::new(),
    });
    let set = SpanSet {
        spans: spans.collect(),
        group: Vec::new(),
        aggregates: Vec::new(),
    };
    TraceMatch {
        trace,
        span_sets: vec![set],
        entered: Vec::new(),
    }
}
