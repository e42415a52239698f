use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use spanlite_benches::workload::Workload;
use spanlite_store::record::{Origin, Record, encode_record};

use super::{Failure, TRACES_PER_COMMIT};

/// The limit of writing: the same records, appended to a file that is synced in the same rhythm.
/// Nothing can be asked of it.
pub(crate) fn write(folder: &Path, workload: &Workload, n_traces: u64) -> Result<PathBuf, Failure> {
    let path = folder.join("records");
    let mut file = File::create(&path)?;
    let origin = Origin {
        resource: Arc::clone(&workload.trace(0).spans[0].resource),
        ..Origin::default()
    };
    let mut buffer = Vec::new();
    for number in 0..n_traces {
        for span in workload.trace(number).spans.into_iter().rev() {
            encode_record(&Record::Span(Box::new(span)), &origin, &mut buffer);
        }
        if (number + 1) % TRACES_PER_COMMIT == 0 {
            file.write_all(&buffer)?;
            file.sync_data()?;
            buffer.clear();
        }
    }
    file.write_all(&buffer)?;
    file.sync_data()?;
    Ok(path)
}
