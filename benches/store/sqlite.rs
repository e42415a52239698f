use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::{Connection, params};
use spanlite_benches::workload::Workload;
use spanlite_model::{Json, Trace, TraceId, Value};

use super::{Contender, Failure, TRACES_PER_COMMIT};

/// SQLite as somebody would use it for this: WAL, prepared statements, one transaction a commit,
/// an index of (field, value) for what is looked up, attributes as JSON.
pub(crate) struct Sqlite {
    connection: Connection,
    name: &'static str,
}

impl Sqlite {
    pub(crate) fn new(folder: &Path, synchronous: &str) -> Result<Self, Failure> {
        let connection = Connection::open(folder.join("traces.sqlite"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.execute_batch(
            "CREATE TABLE traces (trace_id BLOB PRIMARY KEY, start INTEGER, failed INTEGER, tags TEXT)
                 WITHOUT ROWID;
             CREATE INDEX failed ON traces (failed, start);
             CREATE TABLE spans (trace_id BLOB, span_id BLOB, parent BLOB, name TEXT, type TEXT,
                 status INTEGER, message TEXT, start INTEGER, end INTEGER, attributes TEXT,
                 inputs TEXT, outputs TEXT, PRIMARY KEY (trace_id, span_id)) WITHOUT ROWID;
             CREATE TABLE terms (field TEXT, value TEXT, trace_id BLOB,
                 PRIMARY KEY (field, value, trace_id)) WITHOUT ROWID;",
        )?;
        let name = match synchronous {
            "FULL" => "SQLite, WAL, full",
            _ => "SQLite, WAL, normal",
        };
        Ok(Self { connection, name })
    }

    fn insert(&self, trace: &Trace) -> Result<(), Failure> {
        let id = trace.trace_id.as_bytes().as_slice();
        let tags = serde_json::to_string(&trace.info.tags)?;
        let failed = trace.spans.iter().any(spanlite_model::Span::is_error);
        let start = trace.start_time_unix_nano().unwrap_or(0) as i64;
        self.connection
            .prepare_cached("INSERT INTO traces VALUES (?, ?, ?, ?)")?
            .execute(params![id, start, failed, tags])?;
        let mut spans = self
            .connection
            .prepare_cached("INSERT INTO spans VALUES (?,?,?,?,?,?,?,?,?,?,?,?)")?;
        let mut terms: BTreeSet<(&str, &str)> = BTreeSet::new();
        terms.extend(
            trace
                .info
                .tags
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str())),
        );
        for span in &trace.spans {
            terms.insert(("name", &span.name));
            terms.insert(("type", span.span_type.as_str()));
            for (key, value) in span.attributes.iter() {
                if let (Value::String(text), true) = (value, key != "region") {
                    terms.insert((key, text));
                }
            }
            spans.execute(params![
                id,
                span.span_id.as_bytes().as_slice(),
                span.parent_span_id.map(|parent| parent.to_bytes().to_vec()),
                span.name,
                span.span_type.as_str(),
                span.status.code as i64,
                span.status.message,
                span.start_time_unix_nano as i64,
                span.end_time_unix_nano.map(|end| end as i64),
                serde_json::to_string(&span.attributes)?,
                span.inputs.as_ref().map(Json::as_text),
                span.outputs.as_ref().map(Json::as_text),
            ])?;
        }
        let mut insert = self
            .connection
            .prepare_cached("INSERT INTO terms VALUES (?, ?, ?)")?;
        for (field, value) in terms {
            insert.execute(params![field, value, id])?;
        }
        Ok(())
    }

    /// Reads all columns of the spans of a trace.
    fn spans(&self, id: &[u8]) -> Result<usize, Failure> {
        let mut select = self
            .connection
            .prepare_cached("SELECT * FROM spans WHERE trace_id = ? ORDER BY span_id")?;
        let mut rows = select.query([id])?;
        let mut n_spans = 0;
        while let Some(row) = rows.next()? {
            let _ids: (Vec<u8>, Option<Vec<u8>>) = (row.get(1)?, row.get(2)?);
            let _texts: (String, String, String) = (row.get(3)?, row.get(4)?, row.get(6)?);
            let _numbers: (i64, i64, Option<i64>) = (row.get(5)?, row.get(7)?, row.get(8)?);
            let attributes: String = row.get(9)?;
            let _attributes: serde_json::Value = serde_json::from_str(&attributes)?;
            let _payload: (Option<String>, Option<String>) = (row.get(10)?, row.get(11)?);
            n_spans += 1;
        }
        Ok(n_spans)
    }
}

impl Contender for Sqlite {
    fn name(&self) -> &'static str {
        self.name
    }

    fn write(&mut self, workload: &Workload, n_traces: u64) -> Result<(), Failure> {
        let mut number = 0;
        while number < n_traces {
            self.connection.execute_batch("BEGIN")?;
            for _ in 0..TRACES_PER_COMMIT.min(n_traces - number) {
                self.insert(&workload.trace(number))?;
                number += 1;
            }
            self.connection.execute_batch("COMMIT")?;
        }
        self.connection
            .pragma_update(None, "wal_checkpoint", "TRUNCATE")?;
        Ok(())
    }

    fn open(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn trace(&self, trace_id: TraceId) -> Result<usize, Failure> {
        self.spans(trace_id.as_bytes())
    }

    fn incident(&self) -> Result<usize, Failure> {
        let mut select = self.connection.prepare_cached(
            "SELECT trace_id FROM terms WHERE field = 'incident' AND value = 'INC-77'",
        )?;
        let ids = select.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
        let mut n_spans = 0;
        for id in ids {
            n_spans += self.spans(&id?)?;
        }
        Ok(n_spans)
    }

    fn failed(&self) -> Result<usize, Failure> {
        let mut select = self.connection.prepare_cached(
            "SELECT trace_id, start FROM traces WHERE failed = 1 ORDER BY start DESC LIMIT 100",
        )?;
        let rows = select.query_map([], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?))
        })?;
        Ok(rows.collect::<Result<Vec<_>, _>>()?.len())
    }

    fn scan(&self) -> Result<usize, Failure> {
        let mut select = self
            .connection
            .prepare_cached("SELECT count(*) FROM spans WHERE attributes ->> '$.region' = 'eu'")?;
        Ok(select.query_row([], |row| row.get::<_, i64>(0))? as usize)
    }
}
