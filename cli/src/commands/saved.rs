//! Queries that are kept in the store.

use crate::args::QueriesCommand;
use crate::ask::{self, SAVED};
use crate::error::{CliError, Outcome};
use crate::render::{Column, Line, Listing, Role, object};
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
