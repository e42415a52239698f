#[spanlite::trace]
fn f(x: u8) -> u8 {
    x.len()
}

fn main() {}
