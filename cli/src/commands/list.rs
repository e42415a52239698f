use crate::args::ListArgs;
use crate::ask;
use crate::error::{CliError, Outcome};
use crate::render::{trace_list, units};
use crate::session::{Session, id_digits};

/// Lists traces, newest first.
pub(super) fn run(args: &ListArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = session.store()?;
    let snapshot = store.snapshot()?;
    let range = session.range(&args.select);
    let limit = session.limit(&args.select);
    let query = args
        .query
        .as_deref()
        .map(|text| ask::read(text, &store))
        .transpose()?;
    let now = session.settings.now_unix_nano;
    let mut traces = Vec::new();
    let mut more = false;
    for found in ask::matches(&snapshot, query.as_ref(), range, now)? {
        let trace = found?.trace;
        if traces.len() == limit {
            more = true;
            break;
        }
        let digits = id_digits(&snapshot, trace.trace_id)?;
        traces.push((trace, digits));
    }
    let mut listing = trace_list(&traces, session.out.look(), session.settings.now_unix_nano);
    listing.complete = session.warn_of_damage(&snapshot);
    session.out.list(&listing)?;

    let shown = units::count(listing.len() as u64);
    let total = units::plural(snapshot.count_traces()? as u64, "trace");
    let mut hint = match (listing.len(), &query) {
        (0, Some(_)) => format!("no match in {total}"),
        _ => format!("{shown} of {total}"),
    };
    if more {
        hint.push_str(" · -n 0 for all");
    }
    if let Some((first, digits)) = traces.first() {
        let id: String = first.trace_id.to_hex().chars().take(*digits).collect();
        hint.push_str(" · spanlite show ");
        hint.push_str(&id);
    }
    session.out.hint(&hint);
    Ok(Outcome::Done)
}
