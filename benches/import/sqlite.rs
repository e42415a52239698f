use std::path::Path;

use rusqlite::{Connection, params};
use spanlite_model::{Attributes, Span, SpanId, Trace};

use super::Fault;

/// Opens a database as a careful author would set it up.
pub(crate) fn open(path: &Path) -> Result<Connection, rusqlite::Error> {
    let database = Connection::open(path)?;
    database.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
         CREATE TABLE span (
             trace_id BLOB, span_id BLOB, parent_span_id BLOB, name TEXT, type TEXT, status INTEGER,
             message TEXT, start INTEGER, end INTEGER, attributes TEXT, inputs TEXT, outputs TEXT,
             events TEXT, resource TEXT, PRIMARY KEY (trace_id, span_id)) WITHOUT ROWID;
         CREATE TABLE trace (trace_id BLOB PRIMARY KEY, start INTEGER, info TEXT) WITHOUT ROWID;
         CREATE INDEX trace_start ON trace (start);
         CREATE TABLE term (field TEXT, value TEXT, start INTEGER, trace_id BLOB,
             PRIMARY KEY (field, value, start, trace_id)) WITHOUT ROWID;",
    )?;
    Ok(database)
}

/// Stores traces in one transaction.
pub(crate) fn insert(database: &mut Connection, traces: &[Trace]) -> Result<(), rusqlite::Error> {
    let transaction = database.transaction()?;
    {
        let mut trace_row =
            transaction.prepare_cached("INSERT OR REPLACE INTO trace VALUES (?, ?, ?)")?;
        let mut span_row = transaction.prepare_cached(
            "INSERT OR REPLACE INTO span VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        let mut term_row =
            transaction.prepare_cached("INSERT OR IGNORE INTO term VALUES (?, ?, ?, ?)")?;
        for trace in traces {
            let id = trace.trace_id.to_bytes();
            let start = trace.start_time_unix_nano().unwrap_or(0) as i64;
            let tags = serde_json::to_string(&trace.info.tags).unwrap_or_default();
            trace_row.execute(params![id, start, tags])?;
            let mut term = |field: &str, value: &str| {
                term_row.execute(params![field, value, start, id]).map(drop)
            };
            for (key, value) in &trace.info.tags {
                term(key, value)?;
            }
            for span in &trace.spans {
                term("name", &span.name)?;
                term("type", span.span_type.as_str())?;
                if span.is_error() {
                    term("status", "error")?;
                }
                insert_span(&mut span_row, span)?;
            }
        }
    }
    transaction.commit()
}

fn insert_span(row: &mut rusqlite::Statement<'_>, span: &Span) -> Result<(), rusqlite::Error> {
    let text = |value: &Attributes| serde_json::to_string(value).unwrap_or_default();
    row.execute(params![
        span.trace_id.to_bytes(),
        span.span_id.to_bytes(),
        span.parent_span_id.map(SpanId::to_bytes),
        span.name,
        span.span_type.as_str(),
        span.status.code as i64,
        span.status.message,
        span.start_time_unix_nano as i64,
        span.end_time_unix_nano.map(|end| end as i64),
        text(&span.attributes),
        span.inputs.as_ref().map(|json| json.as_text().to_owned()),
        span.outputs.as_ref().map(|json| json.as_text().to_owned()),
        span.events
            .iter()
            .map(|event| text(&event.attributes))
            .collect::<String>(),
        text(&span.resource.attributes),
    ])?;
    Ok(())
}

/// Puts the log into the database and closes it.
pub(crate) fn close(database: Connection) -> Result<(), Fault> {
    database.execute_batch("PRAGMA wal_checkpoint(TRUNCATE);")?;
    database.close().map_err(|(_, error)| error.into())
}
