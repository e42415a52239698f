//! The table of `FORMATS.md` that says which of the real trace files are read.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use spanlite_formats::read;

use crate::files::folder;

/// What became of the files of a folder.
#[derive(Default)]
struct Outcome {
    files: usize,
    traces: usize,
    spans: usize,
    /// How many files were refused, by the reason of their first document.
    refused: BTreeMap<String, usize>,
}

impl Outcome {
    fn take(&mut self, file: &Path) {
        self.files += 1;
        let source = fs::File::open(file).unwrap();
        match read(source, "file") {
            Ok(parsed) if parsed.traces.is_empty() => {
                let first = parsed.skipped.first().unwrap();
                *self.refused.entry(first.reason.to_string()).or_default() += 1;
            }
            Ok(parsed) => {
                assert!(parsed.skipped.is_empty(), "{}: half read", file.display());
                self.traces += parsed.traces.len();
                let spans = parsed.traces.iter().map(|trace| trace.spans.len());
                self.spans += spans.sum::<usize>();
            }
            Err(error) => {
                *self.refused.entry(error.reason.to_string()).or_default() += 1;
            }
        }
    }

    fn row(&self, folder: &str) -> String {
        let refused = self.refused.iter();
        let refused: Vec<String> = refused
            .map(|(reason, count)| format!("{count}: {}", reason.replace('|', "\\|")))
            .collect();
        format!(
            "| {folder} | {} | {} | {} | {} |",
            self.files,
            self.traces,
            self.spans,
            refused.join("; ")
        )
    }
}

fn rows(folder: &Path) -> Vec<String> {
    let mut outcomes: BTreeMap<String, Outcome> = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if !entry.file_type().unwrap().is_dir() || name == "LICENSES" {
            continue;
        }
        let outcome = outcomes.entry(name).or_default();
        for file in fs::read_dir(entry.path()).unwrap() {
            outcome.take(&file.unwrap().path());
        }
    }
    let outcomes = outcomes.iter();
    outcomes.map(|(name, outcome)| outcome.row(name)).collect()
}

#[test]
fn the_table_of_real_files_is_true() {
    let Some(folder) = folder() else {
        return;
    };
    let document = include_str!("../../FORMATS.md");
    let section = document.split("## Real files").nth(1).unwrap();
    let table: Vec<&str> = section
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .collect();
    let rows = rows(&folder);
    assert_eq!(table, rows, "\n{}", rows.join("\n"));
}
