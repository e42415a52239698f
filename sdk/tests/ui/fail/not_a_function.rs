#[spanlite::trace]
struct S;

fn main() {}
