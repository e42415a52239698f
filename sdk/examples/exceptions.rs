//! Failures: an `Err` and a panic become the event `exception` and the error status.

use spanlite::trace;

#[derive(Debug)]
struct NoSuchTool {
    source: std::num::ParseIntError,
}

impl std::fmt::Display for NoSuchTool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("there is no such tool")
    }
}

impl std::error::Error for NoSuchTool {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

#[trace]
fn call_tool(number: &str) -> Result<u8, NoSuchTool> {
    spanlite::current_span().set_attribute("tried", true);
    number.parse().map_err(|source| NoSuchTool { source })
}

#[trace]
fn agent() -> Result<u8, NoSuchTool> {
    call_tool("7")?;
    call_tool("seven")
}

pub(crate) fn run() {
    assert!(agent().is_err());
}

fn main() -> Result<(), spanlite::InitError> {
    let _tracing = spanlite::builder().init()?;
    run();
    Ok(())
}
