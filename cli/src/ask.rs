//! Asks the store in the query language.

use spanlite_query::{Query, RunOptions, SpanMatch, SpanSet, TraceMatch};
use spanlite_store::{Snapshot, Store, TimeRange};

use crate::error::CliError;
use crate::render::json;

/// Where saved queries lie in the store.
pub(crate) const SAVED: &str = "query";

/// Reads a query; `@name` is a saved one.
pub(crate) fn read(text: &str, store: &Store) -> Result<Query, CliError> {
    match text.trim().strip_prefix('@') {
        None => parse(text),
        Some(name) => {
            let saved = store.state().get(SAVED, name.as_bytes())?;
            let saved = saved.ok_or_else(|| CliError::NoSavedQuery {
                name: name.chars().take(80).collect(),
            })?;
            parse(&String::from_utf8_lossy(&saved.bytes))
        }
    }
}

/// Reads a query as it is written.
pub(crate) fn parse(text: &str) -> Result<Query, CliError> {
    Query::parse(text).map_err(|error| CliError::Query {
        drawn: error.render(text),
        source: Box::new(error),
    })
}

type Matches<'s> = Box<dyn Iterator<Item = Result<TraceMatch, CliError>> + 's>;

/// The traces that began in a range and fit a query, newest first unless it says otherwise, with
/// the spans that fit. Without a query every trace fits, and every span of it.
pub(crate) fn matches<'s>(
    snapshot: &'s Snapshot,
    query: Option<&Query>,
    range: TimeRange,
    now_unix_nano: u64,
) -> Result<Matches<'s>, CliError> {
    let Some(query) = query else {
        let traces = snapshot.traces(range);
        return Ok(Box::new(traces.map(|trace| {
            let trace = trace?;
            let spans = 0..trace.spans.len();
            let spans = spans.map(|index| SpanMatch {
                index,
                selected: Vec::new(),
            });
            let set = SpanSet {
                spans: spans.collect(),
                group: Vec::new(),
                aggregates: Vec::new(),
            };
            Ok(TraceMatch {
                trace,
                span_sets: vec![set],
                entered: Vec::new(),
            })
        })));
    };
    let options = RunOptions {
        now_unix_nano,
        ..RunOptions::default()
    };
    if range == TimeRange::default() {
        let rows = query.run(snapshot, options)?;
        return Ok(Box::new(rows.map(|row| Ok(row?))));
    }
    // The bound goes into the query, which then reads no more than it must. Where another stage
    // may not follow, all is read and the rest thrown away here.
    let since = json::time(range.start_unix_nano);
    let bounded = Query::parse(&format!("{} | since \"{since}\"", query.source()));
    let rows = bounded.as_ref().unwrap_or(query).run(snapshot, options)?;
    let in_range = move |found: &TraceMatch| {
        let start = found.trace.start_time_unix_nano().unwrap_or(0);
        range.contains(start)
    };
    Ok(Box::new(
        rows.map(|row| Ok(row?))
            .filter(move |row| row.as_ref().map_or(true, &in_range)),
    ))
}
