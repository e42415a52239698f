//! How the questions' cost grows with the store.

use std::path::Path;

use spanlite_benches::print_table;
use spanlite_benches::workload::{SPANS_PER_TRACE, Workload};

use super::spanlite::Spanlite;
use super::{Answers, Contender as _, Failure, ask};

/// Asks two stores of small spans, one of them larger, and prints how much longer that takes.
pub(crate) fn compare(folder: &Path, sizes: [u64; 2]) -> Result<(), Failure> {
    let mut all = Vec::new();
    for n_traces in sizes {
        let folder = folder.join(n_traces.to_string());
        std::fs::create_dir(&folder)?;
        let workload = Workload::new(n_traces, false);
        let mut store = Spanlite::new(&folder);
        store.write(&workload, n_traces)?;
        store.open()?;
        all.push(ask(&store, &workload, n_traces)?);
    }
    let line = |name: &str, of: fn(&Answers) -> f64| {
        let figures: Vec<f64> = all.iter().map(of).collect();
        let mut row = vec![name.to_owned()];
        row.extend(figures.iter().map(|figure| format!("{figure:.0}")));
        row.push(format!("{:.2}", figures[1] / figures[0]));
        row
    };
    let spans = sizes.map(|size| format!("{} spans", size * SPANS_PER_TRACE as u64));
    print_table(
        "growth of a store of small spans, us of CPU",
        &["", &spans[0], &spans[1], "ratio"],
        &[
            line("by id", |answers| answers.by_id),
            line("rare value", |answers| answers.rare),
            line("latest 100 failed", |answers| answers.failed),
            line("scan", |answers| answers.scan),
        ],
    );
    Ok(())
}
