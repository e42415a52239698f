use crate::args::CheckArgs;
use crate::ask;
use crate::error::{CliError, Outcome};
use crate::render::{Line, Node, Role, object, units};
use crate::session::Session;

/// Counts the traces that fit a query and compares with bounds.
pub(super) fn run(args: &CheckArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    if let (Some(min), Some(max)) = (args.min, args.max)
        && min > max
    {
        return Err(CliError::Bounds { min, max });
    }
    let store = session.store()?;
    let query = ask::read(&args.query, &store)?;
    let snapshot = store.snapshot()?;
    let asked = session.ask(&store, &args.since)?;
    let progress = session.progress("asking");
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
    drop(progress);
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
    line.text(Role::Dim, &format!(", {} wanted", bounds.join(" and ")));
    if !held && !first.is_empty() {
        line.text(Role::Dim, &format!(": {}", first.join(" ")));
    }
    session.out.sheet().line(&line)?;
    Ok(outcome)
}
