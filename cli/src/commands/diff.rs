use crate::args::{DiffArgs, Format};
use crate::error::{CliError, Outcome};
use crate::render::{TraceDiff, json};
use crate::session::{Session, id_digits};

/// Compares two traces.
pub(super) fn run(args: &DiffArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = session.store()?;
    let snapshot = store.snapshot()?;
    let a = session.trace(&store, &snapshot, &args.a)?;
    let b = session.trace(&store, &snapshot, &args.b)?;
    let diff = TraceDiff::of(&a, &b);
    session.warn_of_damage(&snapshot);
    match session.settings.format.unwrap_or(Format::Tree) {
        Format::Json | Format::Ndjson => {
            let style = session.out.json_style();
            json::write(session.out.data(), &diff.item(), style)?;
        }
        Format::Tree | Format::Table => {
            let digits = id_digits(&snapshot, a.trace_id)?.max(id_digits(&snapshot, b.trace_id)?);
            diff.write(&mut session.out.sheet(), args.io, digits)?;
        }
        format => {
            return Err(CliError::NoSuchForm {
                command: "diff",
                format,
                forms: "tree, json and ndjson",
            });
        }
    }
    if !args.io {
        session.out.hint("--io shows how inputs and outputs differ");
    }
    Ok(Outcome::Done)
}
