use std::path::Path;

use spanlite_benches::sqlite::{Indexed, Sqlite};
use spanlite_benches::workload::Workload;
use spanlite_model::{Trace, TraceId};

use super::{Contender, Failure, TRACES_PER_COMMIT};

/// The peer with one of its settings of durability.
pub(crate) struct Peer {
    database: Sqlite,
    name: &'static str,
}

impl Peer {
    pub(crate) fn new(folder: &Path, synchronous: &str) -> Result<Self, Failure> {
        let path = folder.join("traces.sqlite");
        let database = Sqlite::create(&path, synchronous, Indexed::AttributesBut("region"))?;
        let name = match synchronous {
            "FULL" => "SQLite, WAL, full",
            _ => "SQLite, WAL, normal",
        };
        Ok(Self { database, name })
    }

    /// The peer with full durability and the words of texts indexed, as the store has them.
    pub(crate) fn with_words(folder: &Path) -> Result<Self, Failure> {
        let mut peer = Self::new(folder, "FULL")?;
        peer.database.index_words()?;
        peer.name = "SQLite, WAL, full, FTS5";
        Ok(peer)
    }
}

impl Contender for Peer {
    fn name(&self) -> &'static str {
        self.name
    }

    fn write(&mut self, workload: &Workload, n_traces: u64) -> Result<(), Failure> {
        let mut number = 0;
        while number < n_traces {
            let end = (number + TRACES_PER_COMMIT).min(n_traces);
            let traces: Vec<Trace> = (number..end).map(|one| workload.trace(one)).collect();
            self.database.insert(&traces)?;
            number = end;
        }
        self.database.checkpoint()
    }

    fn open(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn trace(&self, trace_id: TraceId) -> Result<usize, Failure> {
        self.database.spans(trace_id.as_bytes())
    }

    fn incident(&self) -> Result<usize, Failure> {
        self.database.spans_with("incident", "INC-77")
    }

    fn failed(&self) -> Result<usize, Failure> {
        self.database.latest_failed()
    }

    fn scan(&self) -> Result<usize, Failure> {
        self.database.count_region_eu()
    }
}
