#[spanlite::trace(name = "")]
fn f() {}

fn main() {}
