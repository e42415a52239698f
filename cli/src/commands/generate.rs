use spanlite_generate::Workload;

use crate::args::GenerateArgs;
use crate::error::{CliError, Outcome};
use crate::render::{Line, Role, object, units};
use crate::session::Session;

/// Traces that are stored together.
const BATCH: usize = 256;

/// Fills a store with made-up traces.
pub(super) fn run(args: &GenerateArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = session.store_to_write(true)?;
    let mut progress = session.progress("making traces");
    let mut traces = Workload::new(args.profile, args.seed, args.traces).into_iter();
    let (mut count, mut spans) = (0_u64, 0_u64);
    loop {
        let batch: Vec<_> = traces.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        let report = store.write(&batch)?;
        count += report.traces;
        spans += report.spans;
        progress.tell(|| units::plural(count, "trace"));
    }
    drop(progress);
    store.close()?;
    let text = format!(
        "{}, {}",
        units::plural(count, "trace"),
        units::plural(spans, "span")
    );
    let item = object([("traces", count.into()), ("spans", spans.into())]);
    session.out.done(Line::of(Role::Plain, &text), &item)?;
    Ok(Outcome::Done)
}
