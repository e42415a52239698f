use crate::args::DiffArgs;
use crate::error::{CliError, Outcome};
use crate::render::TraceDiff;
use crate::session::{Session, id_digits};

/// Compares two traces.
pub(super) fn run(args: &DiffArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = session.store()?;
    let snapshot = store.snapshot()?;
    let a = session.trace(&store, &snapshot, &args.a)?;
    let b = session.trace(&store, &snapshot, &args.b)?;
    let diff = TraceDiff::of(&a, &b);
    session.warn_of_damage(&snapshot);
    if session.out.wants_json() {
        session.out.object(&diff.item())?;
    } else {
        let digits = id_digits(&snapshot, a.trace_id)?.max(id_digits(&snapshot, b.trace_id)?);
        session
            .out
            .page(|sheet| diff.write(sheet, args.io, digits))?;
    }
    if !args.io {
        session.out.hint("--io shows how inputs and outputs differ");
    }
    Ok(Outcome::Done)
}
