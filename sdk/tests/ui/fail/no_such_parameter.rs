#[spanlite::trace(skip(secret))]
fn f(public: u8) -> u8 {
    public
}

fn main() {}
