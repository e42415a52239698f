use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use spanlite_model::{Trace, TraceId};

/// The folder of recordings that are read in place: `SPANLITE_TRACES`, else beside the repository.
pub(crate) fn folder() -> Option<PathBuf> {
    let named = std::env::var_os("SPANLITE_TRACES").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces");
    let folder = named.unwrap_or_else(beside);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: there are no recordings at {}", folder.display());
    None
}

fn files(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.insert(path);
        }
    }
}

/// Every trace of the recordings that imports. Of an id that comes twice the first counts.
pub(crate) fn traces() -> Option<Vec<Trace>> {
    let mut paths = BTreeSet::new();
    files(&folder()?, &mut paths);
    let mut seen: BTreeSet<TraceId> = BTreeSet::new();
    let mut traces = Vec::new();
    for path in paths {
        let file = fs::File::open(&path).expect("a recording");
        let Ok(parsed) = spanlite_formats::read(file, &path.to_string_lossy()) else {
            continue;
        };
        let new = parsed.traces.into_iter();
        traces.extend(new.filter(|trace| seen.insert(trace.trace_id)));
    }
    assert!(traces.len() > 50, "{} recordings import", traces.len());
    Some(traces)
}
