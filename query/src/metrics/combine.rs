use std::collections::HashMap;

use super::Series;
use crate::resolve::{Measure, Narrow};
use crate::syntax::ast::BinaryOp;
use crate::syntax::fold::{compare, float_arithmetic};

/// Rows, or one number that stands for every row.
pub(super) enum Table {
    Series(Vec<Series>),
    Number(f64),
}

impl Table {
    pub(super) fn into_series(self) -> Vec<Series> {
        match self {
            Self::Series(series) => series,
            Self::Number(_) => Vec::new(),
        }
    }
}

/// Works the expression out; `tables` are those of its series, in the order they are written.
pub(super) fn evaluate(
    measure: &Measure,
    tables: &mut dyn Iterator<Item = Table>,
    n_steps: usize,
) -> Table {
    match measure {
        Measure::Series(_) => tables.next().unwrap_or(Table::Series(Vec::new())),
        Measure::Number(number) => Table::Number(*number),
        Measure::Binary { op, left, right } => {
            let left = evaluate(left, tables, n_steps);
            let right = evaluate(right, tables, n_steps);
            arithmetic(*op, left, right)
        }
        Measure::Second { inner, second } => {
            let inner = evaluate(inner, tables, n_steps);
            match inner {
                Table::Series(series) => Table::Series(narrow(series, second, n_steps)),
                number @ Table::Number(_) => number,
            }
        }
    }
}

/// Division by zero is no number.
fn apply(op: BinaryOp, left: f64, right: f64) -> f64 {
    if op == BinaryOp::Divide && right == 0.0 {
        return f64::NAN;
    }
    float_arithmetic(op, left, right).unwrap_or(f64::NAN)
}

/// Rows with equal labels go together; a row without labels goes with every row.
fn arithmetic(op: BinaryOp, left: Table, right: Table) -> Table {
    match (left, right) {
        (Table::Number(left), Table::Number(right)) => Table::Number(apply(op, left, right)),
        (Table::Series(series), Table::Number(number)) => {
            Table::Series(map(series, |_, point| apply(op, point, number)))
        }
        (Table::Number(number), Table::Series(series)) => {
            Table::Series(map(series, |_, point| apply(op, number, point)))
        }
        (Table::Series(left), Table::Series(right)) => {
            let whole = |series: &[Series]| match series {
                [one] if one.labels.is_empty() => Some(one.points.clone()),
                _ => None,
            };
            let at = |points: &[f64], step: usize| points.get(step).copied().unwrap_or(f64::NAN);
            if let Some(points) = whole(&right) {
                return Table::Series(map(left, |step, point| apply(op, point, at(&points, step))));
            }
            if let Some(points) = whole(&left) {
                return Table::Series(map(right, |step, point| {
                    apply(op, at(&points, step), point)
                }));
            }
            let mut partners: HashMap<String, Series> = right
                .into_iter()
                .map(|series| (series.key(), series))
                .collect();
            let pairs = left.into_iter().filter_map(|series| {
                let partner = partners.remove(&series.key())?;
                map(vec![series], |step, point| {
                    apply(op, point, at(&partner.points, step))
                })
                .pop()
            });
            Table::Series(pairs.collect())
        }
    }
}

fn map(mut series: Vec<Series>, of: impl Fn(usize, f64) -> f64) -> Vec<Series> {
    for one in &mut series {
        for (step, point) in one.points.iter_mut().enumerate() {
            *point = of(step, *point);
        }
    }
    series
}

/// Takes points away; a row without points disappears.
fn narrow(mut series: Vec<Series>, second: &Narrow, n_steps: usize) -> Vec<Series> {
    match second {
        Narrow::Compare(op, limit) => {
            for point in series.iter_mut().flat_map(|one| &mut one.points) {
                let ordering = (*point).partial_cmp(limit);
                if !ordering
                    .and_then(|ordering| compare(*op, ordering))
                    .unwrap_or(false)
                {
                    *point = f64::NAN;
                }
            }
        }
        Narrow::Top(k) | Narrow::Bottom(k) => {
            for step in 0..n_steps {
                let point = |one: &Series| one.points.get(step).copied().unwrap_or(f64::NAN);
                let mut ranked: Vec<usize> = (0..series.len())
                    .filter(|&row| !point(&series[row]).is_nan())
                    .collect();
                ranked.sort_by(|&a, &b| {
                    let ordering = point(&series[a]).total_cmp(&point(&series[b]));
                    let best_first = match second {
                        Narrow::Top(_) => ordering.reverse(),
                        _ => ordering,
                    };
                    best_first.then(a.cmp(&b))
                });
                for &row in ranked.iter().skip(*k) {
                    if let Some(point) = series[row].points.get_mut(step) {
                        *point = f64::NAN;
                    }
                }
            }
        }
    }
    series.retain(|one| one.points.iter().any(|point| !point.is_nan()));
    series
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Cell;

    fn series(label: &str, points: &[f64]) -> Series {
        let labels = match label {
            "" => Vec::new(),
            label => vec![("x".to_owned(), Cell::Text(label.to_owned()))],
        };
        Series {
            labels,
            points: points.to_vec(),
        }
    }

    fn divided(left: Vec<Series>, right: Vec<Series>) -> Vec<String> {
        let table = arithmetic(BinaryOp::Divide, Table::Series(left), Table::Series(right));
        let rows = table.into_series().into_iter();
        rows.map(|one| {
            format!(
                "{:?} {:?}",
                one.labels.first().map(|(_, v)| v.to_string()),
                one.points
            )
        })
        .collect()
    }

    #[test]
    fn rows_pair_by_labels_and_an_unlabelled_row_goes_with_all() {
        let both = || vec![series("a", &[4.0, 1.0]), series("b", &[6.0, 1.0])];
        assert_eq!(
            divided(both(), vec![series("b", &[2.0, 0.0])]),
            ["Some(\"b\") [3.0, NaN]"]
        );
        assert_eq!(
            divided(both(), vec![series("", &[2.0, 1.0])]),
            ["Some(\"a\") [2.0, 1.0]", "Some(\"b\") [3.0, 1.0]"]
        );
        assert_eq!(
            divided(vec![series("", &[f64::NAN])], vec![series("", &[1.0])]),
            ["None [NaN]"]
        );
    }

    #[test]
    fn top_is_chosen_at_each_step_and_empty_rows_disappear() {
        let rows = vec![
            series("a", &[1.0, 9.0]),
            series("b", &[5.0, f64::NAN]),
            series("c", &[0.0, 1.0]),
        ];
        let kept = narrow(rows.clone(), &Narrow::Top(1), 2);
        let kept: Vec<String> = kept.iter().map(|one| format!("{:?}", one.points)).collect();
        assert_eq!(kept, ["[NaN, 9.0]", "[5.0, NaN]"]);
        assert_eq!(
            narrow(rows, &Narrow::Compare(BinaryOp::Greater, 100.0), 2),
            []
        );
    }
}
