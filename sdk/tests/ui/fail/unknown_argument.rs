#[spanlite::trace(span_kind = "TOOL")]
fn f() {}

fn main() {}
