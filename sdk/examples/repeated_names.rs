//! Several spans of one name. The store keeps names as they are; numbering them (`step_1`,
//! `step_2`) is a matter of showing and exporting.

use spanlite::{in_span, trace};

#[trace]
fn step(number: u8) -> u8 {
    number
}

pub(crate) fn run() {
    in_span("steps", |_| (0..3).map(step).max());
}

fn main() -> Result<(), spanlite::InitError> {
    let _tracing = spanlite::builder().init()?;
    run();
    Ok(())
}
