//! SQLite as a careful author would use it for traces: WAL, prepared statements, one transaction a
//! commit, an index of (field, value) for what is looked up, attributes as JSON.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use rusqlite::{Connection, Statement, params};
use spanlite_model::{Attributes, Json, Span, SpanId, Trace, Value};

type Failure = Box<dyn std::error::Error>;

/// What of the spans is looked up besides names, types and tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indexed {
    /// Nothing.
    Names,
    /// Attributes that are texts, but for this key.
    AttributesBut(&'static str),
}

/// A database of traces.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    indexed: Indexed,
    resources: HashMap<String, i64>,
    /// How many spans have their words indexed; nothing if none are to.
    n_words_indexed: Option<i64>,
}

impl Sqlite {
    /// A new database. `synchronous` is SQLite's setting: `NORMAL` or `FULL`.
    pub fn create(path: &Path, synchronous: &str, indexed: Indexed) -> Result<Self, Failure> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.execute_batch(
            "CREATE TABLE traces (trace_id BLOB PRIMARY KEY, start INTEGER, failed INTEGER,
                 tags TEXT) WITHOUT ROWID;
             CREATE INDEX failed ON traces (failed, start);
             CREATE TABLE resources (number INTEGER PRIMARY KEY, attributes TEXT);
             CREATE TABLE spans (trace_id BLOB, span_id BLOB, parent BLOB, name TEXT, type TEXT,
                 status INTEGER, message TEXT, start INTEGER, end INTEGER, resource INTEGER,
                 attributes TEXT, events TEXT, inputs TEXT, outputs TEXT,
                 PRIMARY KEY (trace_id, span_id)) WITHOUT ROWID;
             CREATE TABLE terms (field TEXT, value TEXT, trace_id BLOB,
                 PRIMARY KEY (field, value, trace_id)) WITHOUT ROWID;",
        )?;
        Ok(Self {
            connection,
            indexed,
            resources: HashMap::new(),
            n_words_indexed: None,
        })
    }

    /// A database that is there, to read and to delete.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        Ok(Self {
            connection: Connection::open(path)?,
            indexed: Indexed::Names,
            resources: HashMap::new(),
            n_words_indexed: None,
        })
    }

    /// Has the words of inputs and outputs indexed from here on, as far as which spans have them.
    pub fn index_words(&mut self) -> Result<(), Failure> {
        self.n_words_indexed = Some(0);
        Ok(self.connection.execute_batch(
            "CREATE VIRTUAL TABLE words USING fts5(inputs, outputs, content='', detail='none');
             CREATE TABLE numbered (number INTEGER PRIMARY KEY, trace_id BLOB, span_id BLOB);",
        )?)
    }

    /// Stores traces in one transaction.
    pub fn insert(&mut self, traces: &[Trace]) -> Result<(), Failure> {
        self.connection.execute_batch("BEGIN")?;
        for trace in traces {
            self.insert_one(trace)?;
        }
        Ok(self.connection.execute_batch("COMMIT")?)
    }

    fn insert_one(&mut self, trace: &Trace) -> Result<(), Failure> {
        let id = trace.trace_id.as_bytes().as_slice();
        let tags = serde_json::to_string(&trace.info.tags)?;
        let failed = trace.spans.iter().any(Span::is_error);
        let start = trace.start_time_unix_nano().unwrap_or(0) as i64;
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO traces VALUES (?, ?, ?, ?)")?
            .execute(params![id, start, failed, tags])?;
        let tags = trace.info.tags.iter();
        let mut terms: BTreeSet<(&str, &str)> = tags
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        for span in &trace.spans {
            let resource = self.resource(&span.resource.attributes)?;
            let mut row = self.connection.prepare_cached(
                "INSERT OR REPLACE INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?;
            insert_span(&mut row, id, span, resource)?;
            if let Some(number) = &mut self.n_words_indexed {
                *number += 1;
                self.connection
                    .prepare_cached("INSERT INTO numbered VALUES (?, ?, ?)")?
                    .execute(params![*number, id, span.span_id.to_bytes()])?;
                let [inputs, outputs] =
                    [&span.inputs, &span.outputs].map(|json| json.as_ref().map(Json::as_text));
                self.connection
                    .prepare_cached("INSERT INTO words (rowid, inputs, outputs) VALUES (?, ?, ?)")?
                    .execute(params![*number, inputs, outputs])?;
            }
            terms.insert(("name", &span.name));
            terms.insert(("type", span.span_type.as_str()));
            if let Indexed::AttributesBut(except) = self.indexed {
                for (key, value) in span.attributes.iter() {
                    if let (Value::String(text), true) = (value, key != except) {
                        terms.insert((key, text));
                    }
                }
            }
        }
        let mut insert = self
            .connection
            .prepare_cached("INSERT OR IGNORE INTO terms VALUES (?, ?, ?)")?;
        for (field, value) in terms {
            insert.execute(params![field, value, id])?;
        }
        Ok(())
    }

    fn resource(&mut self, attributes: &Attributes) -> Result<i64, Failure> {
        let text = serde_json::to_string(attributes)?;
        if let Some(number) = self.resources.get(&text) {
            return Ok(*number);
        }
        let number = self.resources.len() as i64;
        self.connection
            .execute("INSERT INTO resources VALUES (?, ?)", params![number, text])?;
        self.resources.insert(text, number);
        Ok(number)
    }

    /// Reads all columns of the spans of a trace; returns how many there are.
    pub fn spans(&self, trace_id: &[u8]) -> Result<usize, Failure> {
        let mut select = self
            .connection
            .prepare_cached("SELECT * FROM spans WHERE trace_id = ? ORDER BY span_id")?;
        let mut rows = select.query([trace_id])?;
        let mut n_spans = 0;
        while let Some(row) = rows.next()? {
            let _ids: (Vec<u8>, Option<Vec<u8>>) = (row.get(1)?, row.get(2)?);
            let _texts: (String, String, String) = (row.get(3)?, row.get(4)?, row.get(6)?);
            let _numbers: (i64, i64, Option<i64>) = (row.get(5)?, row.get(7)?, row.get(8)?);
            let attributes: String = row.get(10)?;
            let _attributes: serde_json::Value = serde_json::from_str(&attributes)?;
            let _payload: (Option<String>, Option<String>) = (row.get(12)?, row.get(13)?);
            n_spans += 1;
        }
        Ok(n_spans)
    }

    /// Reads the spans of all traces that have a value somewhere; returns how many there are.
    pub fn spans_with(&self, field: &str, value: &str) -> Result<usize, Failure> {
        let mut select = self
            .connection
            .prepare_cached("SELECT trace_id FROM terms WHERE field = ? AND value = ?")?;
        let ids = select.query_map([field, value], |row| row.get::<_, Vec<u8>>(0))?;
        let mut n_spans = 0;
        for id in ids {
            n_spans += self.spans(&id?)?;
        }
        Ok(n_spans)
    }

    /// How many of the latest 100 traces with a failed span there are.
    pub fn latest_failed(&self) -> Result<usize, Failure> {
        let mut select = self.connection.prepare_cached(
            "SELECT trace_id, start FROM traces WHERE failed = 1 ORDER BY start DESC LIMIT 100",
        )?;
        let rows = select.query_map([], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?))
        })?;
        Ok(rows.collect::<Result<Vec<_>, _>>()?.len())
    }

    /// How many spans have `eu` in the attribute `region`, which has no index.
    pub fn count_region_eu(&self) -> Result<usize, Failure> {
        let mut select = self
            .connection
            .prepare_cached("SELECT count(*) FROM spans WHERE attributes ->> '$.region' = 'eu'")?;
        Ok(select.query_row([], |row| row.get::<_, i64>(0))? as usize)
    }

    /// Puts the log into the database.
    pub fn checkpoint(&self) -> Result<(), Failure> {
        Ok(self
            .connection
            .pragma_update(None, "wal_checkpoint", "TRUNCATE")?)
    }

    /// Deletes the traces that began before a time, and gives the space back to the disk.
    pub fn delete_before(&self, start_unix_nano: u64) -> Result<(), Failure> {
        let start = start_unix_nano as i64;
        self.connection.execute_batch("BEGIN")?;
        for table in ["spans", "terms"] {
            self.connection.execute(
                &format!(
                    "DELETE FROM {table} WHERE trace_id IN
                         (SELECT trace_id FROM traces WHERE start < ?)"
                ),
                [start],
            )?;
        }
        self.connection
            .execute("DELETE FROM traces WHERE start < ?", [start])?;
        self.connection.execute_batch("COMMIT; VACUUM")?;
        self.checkpoint()
    }
}

fn insert_span(
    row: &mut Statement<'_>,
    trace_id: &[u8],
    span: &Span,
    resource: i64,
) -> Result<(), Failure> {
    let events = (!span.events.is_empty()).then(|| {
        let events = span.events.iter();
        events
            .map(|event| serde_json::to_string(&event.attributes))
            .collect::<Result<String, _>>()
    });
    row.execute(params![
        trace_id,
        span.span_id.to_bytes(),
        span.parent_span_id.map(SpanId::to_bytes),
        span.name,
        span.span_type.as_str(),
        span.status.code as i64,
        span.status.message,
        span.start_time_unix_nano as i64,
        span.end_time_unix_nano.map(|end| end as i64),
        resource,
        serde_json::to_string(&span.attributes)?,
        events.transpose()?,
        span.inputs.as_ref().map(Json::as_text),
        span.outputs.as_ref().map(Json::as_text),
    ])?;
    Ok(())
}
