//! Metrics at the end of a pipeline.

use super::ast::{BinaryOp, Literal, Metric, MetricFn, Metrics, OverTime, Pipeline, Place, Second};
use super::cursor::{Cursor, Parsed};
use super::fold;
use super::names;
use super::pipeline::{braces, fields, number};
use super::token::{Symbol, Token};

/// A metric's function, if one is next.
pub(crate) fn function(cursor: &mut Cursor<'_>) -> Parsed<Option<(MetricFn, Place)>> {
    let Token::Word(word) = *cursor.token() else {
        return Ok(None);
    };
    if *cursor.ahead(1) != Token::Symbol(Symbol::OpenParen) || !NAMES.contains(&word) {
        cursor.note("a metric");
        return Ok(None);
    }
    let start = cursor.advance();
    let open = cursor.expect(Symbol::OpenParen)?;
    let function = match word {
        "rate" => MetricFn::Rate,
        "count_over_time" => MetricFn::Count,
        "compare" => compare(cursor)?,
        _ => {
            let (field, place) = names::field(cursor)?;
            match word {
                "min_over_time" => MetricFn::Over(OverTime::Min, field, place),
                "max_over_time" => MetricFn::Over(OverTime::Max, field, place),
                "avg_over_time" => MetricFn::Over(OverTime::Avg, field, place),
                "sum_over_time" => MetricFn::Over(OverTime::Sum, field, place),
                "histogram_over_time" => MetricFn::Histogram(field, place),
                _ => {
                    let mut quantiles = Vec::new();
                    while quantiles.is_empty() || *cursor.token() == Token::Symbol(Symbol::Comma) {
                        cursor.expect(Symbol::Comma)?;
                        quantiles.push(quantile(cursor)?);
                    }
                    MetricFn::Quantile(field, quantiles, place)
                }
            }
        }
    };
    cursor.close(Symbol::CloseParen, open)?;
    Ok(Some((function, cursor.since(start))))
}

const NAMES: [&str; 9] = [
    "rate",
    "count_over_time",
    "min_over_time",
    "max_over_time",
    "avg_over_time",
    "sum_over_time",
    "quantile_over_time",
    "histogram_over_time",
    "compare",
];

fn quantile(cursor: &mut Cursor<'_>) -> Parsed<f64> {
    let quantile = match *cursor.token() {
        Token::Float(number) => number,
        Token::Int(number) => number as f64,
        _ => {
            cursor.note("a quantile such as .95");
            return Err(cursor.unexpected());
        }
    };
    cursor.advance();
    Ok(quantile)
}

fn compare(cursor: &mut Cursor<'_>) -> Parsed<MetricFn> {
    let open = cursor.expect(Symbol::OpenBrace)?;
    let selection = braces(cursor, open)?;
    let mut numbers = Vec::new();
    while numbers.len() < 3 && cursor.eat(Symbol::Comma).is_some() {
        numbers.push(int(cursor)?);
    }
    let window = match numbers[..] {
        [_, start, end] => Some((start, end)),
        [_, _] => {
            cursor.expect(Symbol::Comma)?;
            None
        }
        _ => None,
    };
    Ok(MetricFn::Compare {
        selection,
        top: numbers.first().copied().unwrap_or(10),
        window,
    })
}

fn int(cursor: &mut Cursor<'_>) -> Parsed<i64> {
    let Token::Int(number) = *cursor.token() else {
        cursor.note("a whole number");
        return Err(cursor.unexpected());
    };
    cursor.advance();
    Ok(number)
}

/// The metric with what groups it.
pub(crate) fn series(
    cursor: &mut Cursor<'_>,
    pipeline: Pipeline,
    (function, place): (MetricFn, Place),
) -> Parsed<Metrics> {
    let grouped = !matches!(function, MetricFn::Compare { .. });
    let by = if grouped && cursor.eat_word("by", false).is_some() {
        fields(cursor)?
    } else {
        Vec::new()
    };
    Ok(Metrics::Series(Metric {
        pipeline,
        function,
        by,
        place,
    }))
}

/// What follows a metric: `> 10`, `| topk(5)`.
pub(crate) fn seconds(cursor: &mut Cursor<'_>, metrics: Metrics, start: Place) -> Parsed<Metrics> {
    let mut metrics = metrics;
    loop {
        let second = if cursor.eat(Symbol::Bar).is_some() {
            top(cursor)?
        } else if let Some(op) = comparison(cursor) {
            Second::Compare(op, constant(cursor)?)
        } else {
            cursor.note("a comparison");
            return Ok(metrics);
        };
        cursor.count_operator()?;
        let place = cursor.since(start);
        metrics = Metrics::Second {
            inner: Box::new(metrics),
            second,
            place,
        };
    }
}

fn top(cursor: &mut Cursor<'_>) -> Parsed<Second> {
    let highest = cursor.eat_word("topk", false).is_some();
    if !highest && cursor.eat_word("bottomk", false).is_none() {
        return Err(cursor.unexpected());
    }
    let open = cursor.expect(Symbol::OpenParen)?;
    let k = int(cursor)?;
    cursor.close(Symbol::CloseParen, open)?;
    Ok(if highest {
        Second::TopK(k)
    } else {
        Second::BottomK(k)
    })
}

fn comparison(cursor: &mut Cursor<'_>) -> Option<BinaryOp> {
    let op = match cursor.token() {
        Token::Symbol(Symbol::Equal) => BinaryOp::Equal,
        Token::Symbol(Symbol::NotEqual) => BinaryOp::NotEqual,
        Token::Symbol(Symbol::Less) => BinaryOp::Less,
        Token::Symbol(Symbol::LessEqual) => BinaryOp::LessEqual,
        Token::Symbol(Symbol::Greater) => BinaryOp::Greater,
        Token::Symbol(Symbol::GreaterEqual) => BinaryOp::GreaterEqual,
        _ => return None,
    };
    cursor.advance();
    Some(op)
}

/// A number, or numbers joined by arithmetic.
fn constant(cursor: &mut Cursor<'_>) -> Parsed<Literal> {
    constant_of_rank(cursor, 1)
}

fn constant_of_rank(cursor: &mut Cursor<'_>, least: u8) -> Parsed<Literal> {
    cursor.enter()?;
    let first = match cursor.eat(Symbol::OpenParen) {
        Some(open) => {
            let inner = constant(cursor)?;
            cursor.close(Symbol::CloseParen, open)?;
            Some(inner)
        }
        None => number(cursor)?,
    };
    cursor.leave();
    let Some(mut left) = first else {
        return Err(cursor.unexpected());
    };
    loop {
        let (op, rank) = match cursor.token() {
            Token::Symbol(Symbol::Plus) => (BinaryOp::Add, 1),
            Token::Symbol(Symbol::Minus) => (BinaryOp::Subtract, 1),
            Token::Symbol(Symbol::Star) => (BinaryOp::Multiply, 2),
            Token::Symbol(Symbol::Slash) => (BinaryOp::Divide, 2),
            _ => return Ok(left),
        };
        if rank < least {
            return Ok(left);
        }
        cursor.advance();
        cursor.count_operator()?;
        let right = constant_of_rank(cursor, rank + 1)?;
        // Whole numbers divided by 0 have no value.
        left = fold::literals(op, &left, &right).unwrap_or(Literal::Float(f64::NAN));
    }
}
