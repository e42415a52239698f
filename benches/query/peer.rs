//! The same spans in `SQLite`, and as lines for `DuckDB`.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};
use spanlite_model::{Json, Span, SpanId, Trace, Value};

/// An empty database.
pub(crate) fn create(path: &Path) -> rusqlite::Result<Connection> {
    let peer = Connection::open(path)?;
    peer.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
         CREATE TABLE traces (trace INTEGER PRIMARY KEY, start INTEGER, duration INTEGER, name TEXT, spans INTEGER, errors INTEGER);
         CREATE TABLE spans (trace INTEGER, number INTEGER, parent INTEGER, name TEXT, status INTEGER, type TEXT, start INTEGER,
            duration INTEGER, service TEXT, model TEXT, output_tokens INTEGER, PRIMARY KEY (trace, number)) WITHOUT ROWID;
         CREATE TABLE attributes (trace INTEGER, number INTEGER, key TEXT, value);
         CREATE VIRTUAL TABLE inputs USING fts5(input, trace UNINDEXED);",
    )?;
    Ok(peer)
}

/// Opens a filled database with 256 MiB of page cache.
pub(crate) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let peer = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    peer.execute_batch("PRAGMA cache_size = -262144; PRAGMA mmap_size = 4294967296;")?;
    Ok(peer)
}

fn place(id: SpanId) -> i64 {
    i64::from_be_bytes(id.to_bytes())
}

/// Adds traces, numbered from `first`.
pub(crate) fn insert(peer: &mut Connection, first: u64, traces: &[Trace]) -> rusqlite::Result<()> {
    let txn = peer.transaction()?;
    {
        let mut spans =
            txn.prepare_cached("INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
        let mut attributes = txn.prepare_cached("INSERT INTO attributes VALUES (?, ?, ?, ?)")?;
        let mut inputs = txn.prepare_cached("INSERT INTO inputs (input, trace) VALUES (?, ?)")?;
        for (trace, number) in traces.iter().zip(first as i64..) {
            let errors = trace.spans.iter().filter(|span| span.is_error()).count();
            txn.prepare_cached("INSERT INTO traces VALUES (?, ?, ?, ?, ?, ?)")?
                .execute(params![
                    number,
                    trace.start_time_unix_nano().unwrap_or(0) as i64,
                    trace.duration_nanos() as i64,
                    trace.name(),
                    trace.spans.len() as i64,
                    errors as i64
                ])?;
            for span in &trace.spans {
                let here = place(span.span_id);
                spans.execute(params![
                    number,
                    here,
                    span.parent_span_id.map(place),
                    span.name,
                    span.status.code as i64,
                    span.span_type.as_str(),
                    span.start_time_unix_nano as i64,
                    span.duration_nanos().map(|nanos| nanos as i64),
                    span.service_name(),
                    span.attributes.get_str("gen_ai.request.model"),
                    output_tokens(span),
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

fn output_tokens(span: &Span) -> Option<i64> {
    match span.attributes.get("gen_ai.usage.output_tokens") {
        Some(Value::Int(tokens)) => Some(*tokens),
        _ => None,
    }
}

/// Makes the indexes and what the planner of `SQLite` knows of them.
pub(crate) fn index(peer: &Connection) -> rusqlite::Result<()> {
    peer.execute_batch(
        "CREATE INDEX by_status ON spans (status, trace); CREATE INDEX by_name ON spans (name, duration, trace);
         CREATE INDEX by_service ON spans (service, status, trace); CREATE INDEX by_duration ON traces (duration);
         CREATE INDEX by_type ON spans (type, model, duration, output_tokens, trace);
         CREATE INDEX by_attribute ON attributes (key, value, trace); ANALYZE;
         PRAGMA wal_checkpoint(TRUNCATE);",
    )
}

/// How many rows a query gives, all of them read; `None` if that takes longer than `limit`.
pub(crate) fn count(
    peer: &Connection,
    sql: &str,
    limit: Duration,
) -> rusqlite::Result<Option<usize>> {
    let handle = peer.get_interrupt_handle();
    let (done, waits) = std::sync::mpsc::channel::<()>();
    let guard = std::thread::spawn(move || {
        if waits.recv_timeout(limit).is_err() {
            handle.interrupt();
        }
    });
    let rows = read_all(peer, sql);
    // The guard may be gone.
    done.send(()).ok();
    drop(guard.join());
    match rows {
        Ok(rows) => Ok(Some(rows)),
        Err(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn read_all(peer: &Connection, sql: &str) -> rusqlite::Result<usize> {
    let mut statement = peer.prepare_cached(sql)?;
    let n_columns = statement.column_count();
    let mut rows = statement.query([])?;
    let mut n = 0;
    while let Some(row) = rows.next()? {
        for column in 0..n_columns {
            std::hint::black_box(row.get_ref(column)?);
        }
        n += 1;
    }
    Ok(n)
}

/// A span as a line of values between tabs; what it has not is empty.
pub(crate) fn line(trace: u64, span: &Span) -> String {
    let mut line = format!(
        "{trace}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
        place(span.span_id),
        span.parent_span_id.map_or(0, place),
        span.name,
        span.span_type.as_str(),
        span.status.code as u8,
        span.start_time_unix_nano,
        span.duration_nanos().unwrap_or(0),
        span.service_name().unwrap_or_default(),
    );
    for key in [
        "gen_ai.request.model",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "tool.name",
        "retries",
        "user.id",
        "temperature",
        "stream",
        "shard",
    ] {
        line.push('\t');
        match span.attributes.get(key) {
            Some(Value::String(text)) => line += text,
            Some(other) => line += &other.to_json_text(),
            None => {}
        }
    }
    for json in [&span.inputs, &span.outputs] {
        let text = json.as_ref().and_then(Json::as_str).unwrap_or_default();
        line.push('\t');
        line += &text;
    }
    line
}
