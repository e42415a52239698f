use std::fs::File;
use std::path::{Path, PathBuf};

use spanlite_benches::workload::Workload;
use spanlite_export::ParquetWriter;

use super::Failure;

/// The peer for size: the same traces as one Parquet file with zstd. It is written once, not
/// durably, and nothing is asked of it.
pub(crate) fn write(folder: &Path, workload: &Workload, n_traces: u64) -> Result<PathBuf, Failure> {
    let path = folder.join("traces.parquet");
    let mut writer = ParquetWriter::new(File::create(&path)?)?;
    for number in 0..n_traces {
        writer.write(&workload.trace(number))?;
    }
    writer.finish()?;
    Ok(path)
}
