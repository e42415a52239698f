//! Deletes chosen traces for good.

use std::collections::BTreeMap;

use spanlite_model::{Trace, TraceId};
use spanlite_store::{ReclaimReport, Store};

use crate::args::{DeleteArgs, SinceArgs};
use crate::ask;
use crate::error::{CliError, Outcome};
use crate::render::{Line, Role, object, units};
use crate::session::{Ids, Session};

/// How many of the chosen traces are named before the question.
const NAMED: usize = 5;

/// What is known of the traces that were chosen.
struct Chosen {
    ids: Vec<TraceId>,
    spans: u64,
    named: Vec<String>,
}

/// Says what would go, asks, deletes, and takes the bytes off the disk.
pub(super) fn run(args: &DeleteArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = session.store_to_write(false)?;
    let progress = session.progress("looking");
    let chosen = choose(args, &store, session)?;
    drop(progress);
    if args.dry_run || chosen.ids.is_empty() {
        return said(&chosen, None, session);
    }
    if !args.yes {
        said(&chosen, None, session)?;
        if !session.confirm("delete them for good? [y/N] ")? {
            return Ok(Outcome::Done);
        }
    }
    let progress = session.progress("deleting");
    store.delete(&chosen.ids)?;
    let freed = store.reclaim()?;
    store.close()?;
    drop(progress);
    said(&chosen, Some(freed), session)
}

fn choose(args: &DeleteArgs, store: &Store, session: &Session<'_>) -> Result<Chosen, CliError> {
    let snapshot = store.snapshot()?;
    let ids = Ids::read(&snapshot)?;
    // By id, so that one that is named twice is counted once.
    let mut found: BTreeMap<TraceId, (u64, String)> = BTreeMap::new();
    let mut add = |trace: &Trace| {
        let name: String = trace.name().unwrap_or_default().chars().take(60).collect();
        let digits = ids.digits(trace.trace_id);
        let id = units::short_id(trace.trace_id, digits);
        let line = format!("{id} {name}");
        found.insert(trace.trace_id, (trace.spans.len() as u64, line));
    };
    for reference in &args.traces {
        add(&session.trace(store, &snapshot, reference)?);
    }
    if let Some(query) = &args.query {
        let query = ask::read(query, store)?;
        let asked = session.ask(store, &SinceArgs::default())?;
        for found in ask::matches(&snapshot, Some(&query), asked)? {
            add(&found?.trace);
        }
    }
    Ok(Chosen {
        ids: found.keys().copied().collect(),
        spans: found.values().map(|(spans, _)| spans).sum(),
        named: found
            .into_values()
            .take(NAMED)
            .map(|(_, line)| line)
            .collect(),
    })
}

fn said(
    chosen: &Chosen,
    freed: Option<ReclaimReport>,
    session: &mut Session<'_>,
) -> Result<Outcome, CliError> {
    let done = freed.is_some();
    let freed = freed.unwrap_or_default();
    let traces = chosen.ids.len() as u64;
    if session.out.wants_json() {
        let item = object([
            ("done", done.into()),
            ("traces", traces.into()),
            ("spans", chosen.spans.into()),
            ("segments", freed.segments.into()),
            ("bytes", freed.bytes.into()),
        ]);
        session.out.object(&item)?;
        return Ok(Outcome::Done);
    }
    let what = if done { "deleted" } else { "would delete" };
    let mut text = format!(
        "{what} {} with {}",
        units::plural(traces, "trace"),
        units::plural(chosen.spans, "span")
    );
    if done {
        text = format!("{text}, freed {}", units::bytes(freed.bytes));
    }
    let mut sheet = session.out.sheet();
    sheet.text(Role::Plain, &text)?;
    if !done {
        for named in &chosen.named {
            let mut line = Line::new();
            line.pad(2).text(Role::Dim, named);
            sheet.line(&line)?;
        }
        if traces > NAMED as u64 {
            let more = format!("  and {} more", units::count(traces - NAMED as u64));
            sheet.text(Role::Dim, &more)?;
        }
    }
    Ok(Outcome::Done)
}
