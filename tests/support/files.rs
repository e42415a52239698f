#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "the support of tests fails a test by panicking and says why it skips"
)]

use std::path::{Path, PathBuf};
/// The repository's root.
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The folder of real traces of others: `SPANLITE_TRACES`, else `../shared/traces` beside the
/// repository. Where it is absent the caller prints why it skips.
pub fn real_traces() -> Option<PathBuf> {
    let folder = std::env::var_os("SPANLITE_TRACES")
        .map_or_else(|| repository().join("../shared/traces"), PathBuf::from);
    let there = folder.is_dir();
    if !there {
        eprintln!("skipped: there are no real traces at {}", folder.display());
    }
    there.then_some(folder)
}

/// Every file below `folder` whose name ends in one of `endings`, sorted.
pub fn files_below(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of test data is readable") {
            let path = entry.expect("its entries too").path();
            if path.is_dir() {
                folders.push(path);
            } else if endings
                .iter()
                .any(|ending| path.to_string_lossy().ends_with(ending))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
