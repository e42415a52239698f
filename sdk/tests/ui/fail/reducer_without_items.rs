#[spanlite::trace(output_reducer = |items| items.len())]
fn f() -> Vec<u8> {
    Vec::new()
}

fn main() {}
