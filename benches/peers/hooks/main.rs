//! What the hooks cost: the `tracing` layer beside tracing-opentelemetry, the tower layer and the
//! proxy beside bare calls, and how many spans `receive` takes.
//!
//! `cargo bench -p spanlite-peers --bench hooks [-- layer|calls|receive]`

mod calls;
mod layer;
mod receive;
mod upstream;

type Fault = Box<dyn std::error::Error>;
/// Runs and prints one part.
type Part = fn() -> Result<(), Fault>;

fn main() -> Result<(), Fault> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let parts: [(&str, Part); 3] = [
        ("layer", layer::measure),
        ("calls", calls::measure),
        ("receive", receive::measure),
    ];
    let any = parts
        .iter()
        .any(|(name, _)| asked.iter().any(|one| one == name));
    for (name, measure) in parts {
        if !any || asked.iter().any(|one| one == name) {
            measure()?;
        }
    }
    Ok(())
}
