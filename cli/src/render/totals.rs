use std::io;

use spanlite_model::Trace;

use super::line::{Align, Line, Sheet};
use super::look::Role;
use super::summary::TraceSummary;
use super::units;

/// Writes the sums of two traces beside each other.
pub(super) fn totals(sheet: &mut Sheet<'_>, a: &Trace, b: &Trace, digits: usize) -> io::Result<()> {
    let id = |trace: &Trace| units::short_id(trace.trace_id, digits);
    let mut header = Line::new();
    let columns = (digits + 2).max(10);
    header
        .pad(14)
        .cell(
            Role::Heading,
            &format!("A {}", id(a)),
            columns,
            Align::Right,
        )
        .pad(2)
        .cell(
            Role::Heading,
            &format!("B {}", id(b)),
            columns,
            Align::Right,
        )
        .pad(2)
        .cell(Role::Heading, "Δ", 8, Align::Right);
    sheet.line(&header)?;
    for total in rows(a, b) {
        if total.a.is_none() && total.b.is_none() {
            continue;
        }
        let (delta, sign) = total.delta();
        let mut line = Line::new();
        line.cell(Role::Plain, total.name, 14, Align::Left)
            .cell(Role::Plain, &total.shown.0, columns, Align::Right)
            .pad(2)
            .cell(Role::Plain, &total.shown.1, columns, Align::Right)
            .pad(2)
            .cell(Role::Strong, &delta, 8, Align::Right)
            .pad(1)
            .text(Role::Changed, sign);
        sheet.line(&line)?;
    }
    Ok(())
}

struct Total {
    name: &'static str,
    a: Option<f64>,
    b: Option<f64>,
    shown: (String, String),
}

/// The rows of the totals.
fn rows(a: &Trace, b: &Trace) -> [Total; 7] {
    let (a_nanos, b_nanos) = (a.duration_nanos(), b.duration_nanos());
    let (a, b) = (TraceSummary::of(a), TraceSummary::of(b));
    [
        Total::count("duration", (a_nanos, b_nanos), units::duration),
        Total::count("spans", (a.n_spans, b.n_spans), units::count),
        Total::count("errors", (a.n_errors, b.n_errors), units::count),
        Total::count(
            "llm calls",
            (a.n_model_calls, b.n_model_calls),
            units::count,
        ),
        Total::tokens("tokens in", a.usage.input_tokens, b.usage.input_tokens),
        Total::tokens("tokens out", a.usage.output_tokens, b.usage.output_tokens),
        Total {
            name: "cost",
            a: a.cost.total_cost,
            b: b.cost.total_cost,
            shown: (
                a.cost.total_cost.map(units::dollars).unwrap_or_default(),
                b.cost.total_cost.map(units::dollars).unwrap_or_default(),
            ),
        },
    ]
}

impl Total {
    fn count(name: &'static str, (a, b): (u64, u64), show: fn(u64) -> String) -> Self {
        Self {
            name,
            a: Some(a as f64),
            b: Some(b as f64),
            shown: (show(a), show(b)),
        }
    }

    fn tokens(name: &'static str, a: Option<u64>, b: Option<u64>) -> Self {
        let shown = |count: Option<u64>| count.map(units::short_count).unwrap_or_default();
        Self {
            name,
            a: a.map(|a| a as f64),
            b: b.map(|b| b as f64),
            shown: (shown(a), shown(b)),
        }
    }

    /// How much more B is, and its sign.
    fn delta(&self) -> (String, &'static str) {
        let (Some(a), Some(b)) = (self.a, self.b) else {
            return ("–".to_owned(), "");
        };
        let sign = match b.total_cmp(&a) {
            std::cmp::Ordering::Greater => "▲",
            std::cmp::Ordering::Equal => return ("=".to_owned(), ""),
            std::cmp::Ordering::Less => "▼",
        };
        let small = a.abs() < 20.0 && b.abs() < 20.0 && a.fract() == 0.0 && b.fract() == 0.0;
        let text = if small || a == 0.0 {
            format!("{:+}", b - a)
        } else if b / a >= 10.0 {
            format!("×{:.0}", b / a)
        } else {
            format!("{:+.0}%", (b / a - 1.0) * 100.0)
        };
        (text, sign)
    }
}
