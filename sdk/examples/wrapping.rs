//! Functions of others, traced without changing them.

use spanlite::{trace, traced, try_traced};

#[trace]
fn invocation(x: f64) -> f64 {
    let power = traced("pow", f64::powi);
    let parse = try_traced("parse", str::parse::<f64>);
    let raised = power(x, 2);
    parse("0.5").map_or(raised, |half| raised * half)
}

pub(crate) fn run() {
    assert!((invocation(4.0) - 8.0).abs() < f64::EPSILON);
}

fn main() -> Result<(), spanlite::InitError> {
    let _tracing = spanlite::builder().init()?;
    run();
    Ok(())
}
