use std::collections::HashSet;

use spanlite_export::{Redaction, RedactionCounts};
use spanlite_model::TraceId;
use spanlite_store::Held;

use crate::args::RedactArgs;
use crate::ask;
use crate::error::{CliError, Outcome};
use crate::jobs::redaction_of;
use crate::render::{Align, Line, Node, Role, object, units};
use crate::session::{Session, id_digits, limit_or_all};

/// Traces that are named before it is asked.
const SHOWN: usize = 10;

/// What the rules found.
#[derive(Default)]
struct Found {
    trace_ids: HashSet<TraceId>,
    counts: RedactionCounts,
    looked_at: u64,
    /// The first few, with how many values each.
    first: Vec<(String, String, u64)>,
}

/// Takes secrets out of stored traces for good: says first what would go, and asks.
pub(super) fn run(args: &RedactArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let rules = if args.rules.is_empty() {
        vec!["default".to_owned()]
    } else {
        args.rules.clone()
    };
    let redaction = redaction_of(&rules)?
        .compile()
        .map_err(CliError::RedactionPattern)?;
    let found = find(args, &redaction, session)?;
    let only_looks = args.dry_run || found.trace_ids.is_empty();
    if only_looks || !args.yes {
        said(&found, false, session)?;
    }
    if only_looks {
        return Ok(Outcome::Done);
    }
    if !args.yes && !session.confirm("take them out for good? [y/N] ")? {
        return Ok(Outcome::Done);
    }
    let store = session.store_to_write(false)?;
    let mut progress = session.progress("rewriting");
    let mut n_rewritten = 0;
    let report = store.rewrite(&found.trace_ids, |trace| {
        redaction.apply(trace);
        n_rewritten += 1;
        progress.tell(|| format!("{} rewritten", units::plural(n_rewritten, "trace")));
    })?;
    store.close()?;
    drop(progress);
    if args.yes {
        said(&found, true, session)?;
    }
    for (segment, held) in &report.held {
        let why = match held {
            Held::Damaged => "something in it is damaged",
            _ => "a running program has not stored everything elsewhere",
        };
        session.out.warn(&format!(
            "{} still holds the old values: {why}",
            segment.path.display()
        ));
    }
    if report.live_writers > 0 {
        session
            .out
            .warn("programs that write now may hold old values in their journals until they end");
    }
    Ok(if report.held.is_empty() {
        Outcome::Done
    } else {
        Outcome::PartlyDone
    })
}

fn find(
    args: &RedactArgs,
    redaction: &Redaction,
    session: &mut Session<'_>,
) -> Result<Found, CliError> {
    let store = session.store()?;
    let snapshot = store.snapshot()?;
    let query = ask::filter(args.filter.as_deref(), &store)?;
    let asked = session.ask(&store, &args.select.since)?;
    let mut progress = session.progress("looking for secrets");
    let mut found = Found::default();
    let traces = ask::matches(&snapshot, query.as_ref(), asked)?;
    for one in traces.take(limit_or_all(args.select.limit)) {
        let mut trace = one?.trace;
        found.looked_at += 1;
        let name = trace.name().unwrap_or_default().to_owned();
        let before = found.counts.total();
        redaction.apply_counted(&mut trace, &mut found.counts);
        let values = found.counts.total() - before;
        if values > 0 {
            found.trace_ids.insert(trace.trace_id);
            if found.first.len() < SHOWN {
                let digits = id_digits(&snapshot, trace.trace_id)?;
                let id = units::short_id(trace.trace_id, digits);
                found.first.push((id, name, values));
            }
        }
        progress.tell(|| units::plural(found.looked_at, "trace"));
    }
    drop(progress);
    session.warn_of_damage(&snapshot);
    Ok(found)
}

fn said(found: &Found, done: bool, session: &mut Session<'_>) -> Result<(), CliError> {
    if session.out.wants_json() {
        let by_rule = found.counts.by_rule();
        let by_rule = by_rule.map(|(rule, count)| (rule.to_owned(), count.into()));
        let item = object([
            ("done", done.into()),
            ("traces", found.trace_ids.len().into()),
            ("values", found.counts.total().into()),
            ("by_rule", Node::Object(by_rule.collect())),
            ("looked_at", found.looked_at.into()),
        ]);
        return session.out.object(&item);
    }
    let mut sheet = session.out.plain_sheet();
    for (id, name, values) in &found.first {
        let mut line = Line::of(Role::Id, id);
        line.pad(2)
            .text(Role::Plain, &units::plural(*values, "value"))
            .pad(2)
            .fitted(Role::Dim, name, 60);
        sheet.line(&line)?;
    }
    let more = found.trace_ids.len().saturating_sub(found.first.len());
    if more > 0 {
        sheet.text(
            Role::Dim,
            &format!("and {} more", units::plural(more as u64, "trace")),
        )?;
    }
    if found.trace_ids.is_empty() {
        let looked_at = units::plural(found.looked_at, "trace");
        sheet.text(Role::Plain, &format!("nothing to take out of {looked_at}"))?;
        return Ok(());
    }
    let verb = if done { "took" } else { "would take" };
    let text = format!(
        "{verb} {} out of {}; {} looked at",
        units::plural(found.counts.total(), "value"),
        units::plural(found.trace_ids.len() as u64, "trace"),
        units::count(found.looked_at)
    );
    sheet.text(Role::Plain, &text)?;
    for (rule, count) in found.counts.by_rule() {
        let mut line = Line::new();
        line.pad(2)
            .cell(Role::Plain, &units::count(count), 7, Align::Right)
            .pad(2)
            .text(Role::Key, rule);
        sheet.line(&line)?;
    }
    Ok(())
}
