use std::path::Path;

use rusqlite::{Connection, params};
use spanlite_model::{Json, SpanId, Trace, Value};

/// An empty SQLite database, in WAL mode, with 256 MiB of page cache.
pub(crate) fn create(path: &Path) -> rusqlite::Result<Connection> {
    let peer = Connection::open(path)?;
    peer.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -262144; PRAGMA mmap_size = 4294967296;
         CREATE TABLE traces (trace INTEGER PRIMARY KEY, start INTEGER, duration INTEGER);
         CREATE TABLE spans (trace INTEGER, number INTEGER, parent INTEGER, name TEXT, status INTEGER,
            duration INTEGER, service TEXT, PRIMARY KEY (trace, number)) WITHOUT ROWID;
         CREATE TABLE attributes (trace INTEGER, number INTEGER, key TEXT, value);
         CREATE VIRTUAL TABLE inputs USING fts5(input, trace UNINDEXED);",
    )?;
    Ok(peer)
}

/// Adds traces, numbered from `first`.
pub(crate) fn insert(peer: &mut Connection, first: u64, traces: &[Trace]) -> rusqlite::Result<()> {
    let txn = peer.transaction()?;
    {
        let mut spans = txn.prepare_cached("INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?)")?;
        let mut attributes = txn.prepare_cached("INSERT INTO attributes VALUES (?, ?, ?, ?)")?;
        let mut inputs = txn.prepare_cached("INSERT INTO inputs (input, trace) VALUES (?, ?)")?;
        for (trace, number) in traces.iter().zip(first as i64..) {
            txn.prepare_cached("INSERT INTO traces VALUES (?, ?, ?)")?
                .execute(params![
                    number,
                    trace.start_time_unix_nano().unwrap_or(0) as i64,
                    trace.duration_nanos() as i64
                ])?;
            let place = |id: SpanId| i64::from_be_bytes(id.to_bytes());
            for span in &trace.spans {
                let here = place(span.span_id);
                spans.execute(params![
                    number,
                    here,
                    span.parent_span_id.map(place),
                    span.name,
                    span.status.code as i64,
                    span.duration_nanos().map(|nanos| nanos as i64),
                    span.service_name()
                ])?;
                for (key, value) in span.attributes.iter() {
                    match value {
                        Value::String(text) => {
                            attributes.execute(params![number, here, key, text])?
                        }
                        Value::Int(value) => {
                            attributes.execute(params![number, here, key, value])?
                        }
                        Value::Double(value) => {
                            attributes.execute(params![number, here, key, value])?
                        }
                        other => {
                            attributes.execute(params![number, here, key, other.to_json_text()])?
                        }
                    };
                }
                if let Some(input) = span.inputs.as_ref().and_then(Json::as_str) {
                    inputs.execute(params![input, number])?;
                }
            }
        }
    }
    txn.commit()
}

/// Makes the indexes and what the planner of SQLite knows of them.
pub(crate) fn index(peer: &Connection) -> rusqlite::Result<()> {
    peer.execute_batch(
        "CREATE INDEX by_status ON spans (status, trace); CREATE INDEX by_name ON spans (name, duration, trace);
         CREATE INDEX by_service ON spans (service, status, trace); CREATE INDEX by_duration ON traces (duration);
         CREATE INDEX by_attribute ON attributes (key, value, trace); ANALYZE;",
    )
}

/// How many rows a query gives, all of them read.
pub(crate) fn count(peer: &Connection, sql: &str) -> rusqlite::Result<usize> {
    let mut statement = peer.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut n = 0;
    while let Some(row) = rows.next()? {
        std::hint::black_box(row.get::<_, i64>(0)?);
        n += 1;
    }
    Ok(n)
}
