use spanlite_query::{MetricOptions, MetricTable, Query, Series};
use spanlite_store::Snapshot;

use crate::error::CliError;
use crate::render::{Column, Listing, Node, Role, json, object, sparkline, units};
use crate::session::Session;

/// Shows the numbers that a query for metrics yields: a row for each combination of labels.
pub(super) fn run(
    query: &Query,
    options: &MetricOptions,
    snapshot: &Snapshot,
    session: &mut Session<'_>,
) -> Result<(), CliError> {
    let table = query.measure(snapshot, options)?;
    let mut names: Vec<String> = Vec::new();
    for (name, _) in table.series.iter().flat_map(|series| &series.labels) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let labels = names
        .iter()
        .map(|name| Column::left(name.clone()).shrinks_to(8));
    let mut columns: Vec<Column> = labels.collect();
    columns.push(Column::right(if table.n_steps == 1 {
        "VALUE"
    } else {
        "LAST"
    }));
    if table.n_steps > 1 {
        columns.push(Column::right("MOST"));
        columns.push(Column::left("TREND"));
    }
    let mut listing = Listing::new(columns);
    for series in &table.series {
        listing.push(cells(&names, series), item(&table, series));
    }
    listing.complete = session.warn_of_damage(snapshot);
    session.out.list(&listing)?;
    if table.n_steps == 1 {
        return Ok(());
    }
    let steps = units::plural(table.n_steps as u64, "step");
    let length = units::duration(table.step_nanos);
    let from = session.out.look().date_time(table.start_unix_nano);
    session
        .out
        .hint(&format!("{steps} of {length} from {from}"));
    Ok(())
}

fn cells(names: &[String], series: &Series) -> Vec<(Role, String)> {
    let mut cells: Vec<(Role, String)> = names
        .iter()
        .map(|name| {
            let found = series.labels.iter().find(|(label, _)| label == name);
            let text = found
                .map(|(_, value)| value.to_string())
                .unwrap_or_default();
            if text.is_empty() {
                (Role::Dim, "–".to_owned())
            } else {
                (Role::Plain, text)
            }
        })
        .collect();
    let known = || {
        series
            .points
            .iter()
            .copied()
            .filter(|point| point.is_finite())
    };
    let number = |value: Option<f64>| (Role::Plain, value.map(shown).unwrap_or_default());
    cells.push(number(known().next_back()));
    cells.push(number(known().reduce(f64::max)));
    // The blocks count in thousandths of the largest value, so that shares are seen too.
    let most = known().fold(0.0, f64::max);
    let scaled = |point: &f64| {
        if most > 0.0 {
            (point.max(0.0) / most * 1_000.0) as u64
        } else {
            0
        }
    };
    let width = series.points.len().div_ceil(48);
    let points: Vec<u64> = series.points.iter().map(scaled).collect();
    let parts: Vec<u64> = points
        .chunks(width)
        .filter_map(|part| part.iter().max().copied())
        .collect();
    cells.push((Role::Dim, sparkline(&parts)));
    cells
}

/// A number with four digits that count.
fn shown(value: f64) -> String {
    if value == 0.0 || (value.fract() == 0.0 && value.abs() < 1e15) {
        return format!("{value:.0}");
    }
    let decimals = (3 - value.abs().log10().floor() as i64).clamp(0, 12) as usize;
    format!("{value:.decimals$}")
}

fn item(table: &MetricTable, series: &Series) -> Node {
    let labels = series.labels.iter().map(|(name, value)| {
        let json = spanlite_model::Json::serialize(value);
        (name.clone(), json.map_or(Node::Null, Node::Raw))
    });
    let points = series.points.iter().map(|point| Node::from(*point));
    object([
        ("labels", Node::Object(labels.collect())),
        ("start", json::time(table.start_unix_nano).into()),
        ("step_ns", table.step_nanos.into()),
        ("points", Node::List(points.collect())),
    ])
}
