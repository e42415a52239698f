#[spanlite::trace(attributes("n" = missing))]
fn f(present: u8) -> u8 {
    present
}

fn main() {}
