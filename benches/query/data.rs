//! What is searched, built once and kept under `target/` until the workload or the format change.

use std::error::Error;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use spanlite_benches::workload::Words;
use spanlite_model::{Json, Trace};
use spanlite_store::{OpenOptions, Store};

use super::peer;
use super::traces::{Kind, trace};

const TRACES_PER_BLOCK: u64 = 250;

/// A store, and the same spans for its peers.
pub(crate) struct Data {
    pub(crate) store: Store,
    pub(crate) folder: PathBuf,
    pub(crate) n_spans: u64,
    /// Bytes of inputs, as texts.
    pub(crate) input_bytes: u64,
    /// How long building took, if it was built in this run.
    pub(crate) built_seconds: Option<f64>,
}

impl Data {
    pub(crate) fn sqlite(&self) -> PathBuf {
        self.folder.join("peer.sqlite")
    }

    /// Opens the data, after building it if it is not there whole.
    pub(crate) fn open(target: &Path, kind: Kind, n_traces: u64) -> Result<Self, Box<dyn Error>> {
        let folder = target.join(format!(
            "bench-query/{}-{n_traces}-{:016x}",
            kind.name(),
            fingerprint()
        ));
        let facts = folder.join("whole");
        let mut built_seconds = None;
        if !facts.try_exists()? {
            drop(fs::remove_dir_all(&folder));
            fs::create_dir_all(&folder)?;
            let (built, cost) = spanlite_benches::measure(|| build(&folder, kind, n_traces));
            let (n_spans, input_bytes) = built?;
            fs::write(&facts, format!("{n_spans} {input_bytes}"))?;
            built_seconds = Some(cost.wall.as_secs_f64());
        }
        let written = fs::read_to_string(&facts)?;
        let (n_spans, input_bytes) = written.split_once(' ').ok_or("the data is not whole")?;
        Ok(Self {
            store: Store::open(folder.join("traces.spans"), OpenOptions::read_only())?,
            n_spans: n_spans.parse()?,
            input_bytes: input_bytes.parse()?,
            folder,
            built_seconds,
        })
    }
}

/// What the data depends on: the workload as it is written here, and the format of stores.
fn fingerprint() -> u64 {
    let mut hasher = DefaultHasher::new();
    [
        include_str!("data.rs"),
        include_str!("traces.rs"),
        include_str!("peer.rs"),
        include_str!("../src/workload.rs"),
    ]
    .hash(&mut hasher);
    spanlite_store::FORMAT_VERSION.hash(&mut hasher);
    hasher.finish()
}

fn build(folder: &Path, kind: Kind, n_traces: u64) -> Result<(u64, u64), Box<dyn Error>> {
    let store = Store::open(folder.join("traces.spans"), OpenOptions::default())?;
    let mut peer = peer::create(&folder.join("peer.sqlite"))?;
    let mut table = BufWriter::new(fs::File::create(folder.join("spans.tsv"))?);
    let words = Words::default();
    let (mut n_spans, mut input_bytes) = (0, 0);
    let mut first = 0;
    while first < n_traces {
        let end = (first + TRACES_PER_BLOCK).min(n_traces);
        let traces: Vec<Trace> = (first..end)
            .map(|number| trace(kind, number, &words))
            .collect();
        store.write(&traces)?;
        store.seal()?;
        if kind == Kind::Small {
            peer::insert(&mut peer, first, &traces)?;
        }
        for (number, trace) in (first..).zip(&traces) {
            for span in &trace.spans {
                let input = span.inputs.as_ref().and_then(Json::as_str);
                n_spans += 1;
                input_bytes += input.as_ref().map_or(0, |input| input.len() as u64);
                if kind == Kind::Small {
                    writeln!(table, "{}", peer::line(number, span))?;
                }
            }
        }
        first = end;
    }
    if kind == Kind::Small {
        peer::index(&peer)?;
    }
    table.flush()?;
    store.close()?;
    Ok((n_spans, input_bytes))
}
