use crate::args::ListArgs;
use crate::ask;
use crate::error::{CliError, Outcome};
use crate::render::{trace_list, units};
use crate::session::{Ids, Session};

/// Lists traces, newest first.
pub(super) fn run(args: &ListArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = session.store()?;
    let snapshot = store.snapshot()?;
    let limit = session.limit(args.page.select.limit);
    let query = ask::filter(args.query.as_deref(), &store)?;
    let asked = session.ask_page(&store, &args.page)?;
    let progress = session.progress("looking");
    let ids = Ids::read(&snapshot)?;
    let mut found = ask::matches(&snapshot, query.as_ref(), asked)?;
    let mut traces = Vec::new();
    let (mut more, mut next) = (false, None);
    while let Some(trace) = found.next().transpose()? {
        let trace = trace.trace;
        if traces.len() == limit {
            more = true;
            break;
        }
        next = found.cursor();
        let digits = ids.digits(trace.trace_id);
        traces.push((trace, digits));
    }
    drop(progress);
    let mut listing = trace_list(&traces, session.out.look(), session.settings.now_unix_nano);
    listing.complete = session.warn_of_damage(&snapshot);
    listing.next = next.filter(|_| more);
    session.out.list(&listing)?;

    let shown = units::count(listing.len() as u64);
    let total = units::plural(ids.len() as u64, "trace");
    let mut hint = match (listing.len(), &query) {
        (0, _) if ids.len() == 0 && listing.complete => "the store is empty".to_owned(),
        (0, _) if ids.len() == 0 => "no trace could be read".to_owned(),
        (0, Some(_)) => format!("no match in {total}"),
        _ => format!("{shown} of {total}"),
    };
    if more {
        hint.push_str(" · -n 0 for all");
    }
    if let Some((first, digits)) = traces.first() {
        let id = units::short_id(first.trace_id, *digits);
        hint.push_str(" · spanlite show ");
        hint.push_str(&id);
    }
    session.out.hint(&hint);
    if let (0, Some(query)) = (listing.len(), &query) {
        ask::say_why_nothing(query, &snapshot, session)?;
    }
    Ok(Outcome::Done)
}
