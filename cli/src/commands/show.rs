use std::sync::Arc;

use crate::args::ShowArgs;
use crate::error::{CliError, Outcome};
use crate::render::{Fold, ShowOptions, conversation, error_origins, json, show, units};
use crate::session::{Session, id_digits};

/// Shows one trace.
pub(super) fn run(args: &ShowArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = session.store()?;
    let snapshot = store.snapshot()?;
    let trace = Arc::new(session.trace(&store, &snapshot, &args.trace)?);
    session.warn_of_damage(&snapshot);
    if session.out.wants_json() {
        // What was recorded, without what was computed for people.
        let mut trace = Arc::unwrap_or_clone(trace);
        crate::prices::forget(&mut trace);
        let document = spanlite_formats::mlflow_json(&trace)?;
        let style = session.out.json_style();
        json::write(session.out.data(), &document, style)?;
        return Ok(Outcome::Done);
    }
    let id_digits = id_digits(&snapshot, trace.trace_id)?;
    let options = ShowOptions {
        fold: Fold {
            fold: !args.all,
            depth: args.depth,
            number_repeats: args.number_repeats,
        },
        now_unix_nano: session.settings.now_unix_nano,
        id_digits,
    };
    session.out.page(|sheet| {
        show(sheet, &trace, options)?;
        if args.io {
            sheet.blank()?;
            conversation(sheet, &trace, args.full)?;
        }
        Ok(())
    })?;
    let id = units::short_id(trace.trace_id, id_digits);
    let origins = error_origins(&trace, &trace.forest());
    if let Some(span) = origins.first().copied().or_else(|| trace.root()) {
        session.out.hint(&format!(
            "--all to unfold · spanlite span {id}/{} for one span",
            span.span_id
        ));
    }
    Ok(Outcome::Done)
}
