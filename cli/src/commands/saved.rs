//! Queries that are kept in the store, and checks of what they find.

use crate::args::{CheckArgs, QueriesCommand};
use crate::ask::{self, SAVED};
use crate::error::{CliError, Outcome};
use crate::render::{Column, Line, Listing, Node, Role, object, units};
use crate::session::Session;

/// Keeps, lists and forgets queries.
pub(super) fn queries(
    command: &QueriesCommand,
    session: &mut Session<'_>,
) -> Result<Outcome, CliError> {
    match command {
        QueriesCommand::Add { name, query } => {
            // Only what can be asked is kept.
            let name = name.trim_start_matches('@');
            ask::parse(query)?;
            let store = session.store_to_write(false)?;
            let state = store.state();
            let mut change = state.change();
            change.put(SAVED, name.as_bytes(), query.as_bytes());
            change.commit()?;
            store.close()?;
            let line = Line::of(Role::Plain, &format!("saved; ask @{name}"));
            let item = object([("name", name.into()), ("query", query.as_str().into())]);
            session.out.done(line, &item)?;
        }
        QueriesCommand::List => {
            let store = session.store_to_look()?;
            let mut listing = Listing::new(vec![
                Column::left("NAME"),
                Column::left("QUERY").shrinks_to(20),
            ]);
            for (name, saved) in store.state().list(SAVED, b"")? {
                let name = String::from_utf8_lossy(&name).into_owned();
                let query = String::from_utf8_lossy(&saved.bytes).into_owned();
                listing.push(
                    vec![
                        (Role::Key, format!("@{name}")),
                        (Role::Plain, query.clone()),
                    ],
                    object([("name", name.into()), ("query", query.into())]),
                );
            }
            session.out.list(&listing)?;
        }
        QueriesCommand::Rm { name } => {
            let name = name.trim_start_matches('@');
            let store = session.store_to_write(false)?;
            let state = store.state();
            if state.get(SAVED, name.as_bytes())?.is_none() {
                return Err(ask::no_saved(name, &store)?);
            }
            let mut change = state.change();
            change.remove(SAVED, name.as_bytes());
            change.commit()?;
            store.close()?;
            let line = Line::of(Role::Plain, &format!("forgot @{name}"));
            let item = object([("name", name.into()), ("removed", true.into())]);
            session.out.done(line, &item)?;
        }
    }
    Ok(Outcome::Done)
}

/// Counts the traces that fit a query and compares with bounds.
pub(super) fn check(args: &CheckArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    if let (Some(min), Some(max)) = (args.min, args.max)
        && min > max
    {
        return Err(CliError::Bounds { min, max });
    }
    let store = session.store()?;
    let query = ask::read(&args.query, &store)?;
    let snapshot = store.snapshot()?;
    let asked = session.ask(&store, &args.since)?;
    let mut found = 0_u64;
    let mut first = Vec::new();
    for one in ask::matches(&snapshot, Some(&query), asked)? {
        let one = one?;
        found += if args.spans {
            one.matched_spans().count() as u64
        } else {
            1
        };
        if first.len() < 3 {
            first.push(one.trace.trace_id.to_string());
        }
    }
    let complete = session.warn_of_damage(&snapshot);
    // Without a bound none may be found.
    let max = args.max.or_else(|| args.min.is_none().then_some(0));
    let held = args.min.is_none_or(|min| found >= min) && max.is_none_or(|max| found <= max);
    // What could not be read may hold what was asked for.
    let outcome = match (held, complete) {
        (false, _) => Outcome::CheckFailed,
        (true, false) => Outcome::DamageFound,
        (true, true) => Outcome::Done,
    };
    let unit = if args.spans { "span" } else { "trace" };
    if session.out.wants_json() {
        let first = first.into_iter().map(Node::from);
        session.out.object(&object([
            ("ok", held.into()),
            ("found", found.into()),
            ("unit", unit.into()),
            ("min", args.min.into()),
            ("max", max.into()),
            ("complete", complete.into()),
            ("first", Node::List(first.collect())),
        ]))?;
        return Ok(outcome);
    }
    let bounds = [
        args.min.map(|min| format!("at least {min}")),
        max.map(|max| format!("at most {max}")),
    ];
    let bounds: Vec<String> = bounds.into_iter().flatten().collect();
    let mut line = Line::new();
    let (role, sign) = if held {
        (Role::Ok, "✓ ")
    } else {
        (Role::Error, "✗ ")
    };
    line.sign(role, sign)
        .text(Role::Plain, &units::plural(found, unit));
    line.text(Role::Dim, &format!(", {} allowed", bounds.join(" and ")));
    if !held && !first.is_empty() {
        line.text(Role::Dim, &format!(": {}", first.join(" ")));
    }
    session.out.sheet().line(&line)?;
    Ok(outcome)
}
