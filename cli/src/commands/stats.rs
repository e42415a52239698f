use std::collections::BTreeSet;
use std::slice;

use spanlite_model::{Cost, Trace};

use crate::args::{SessionsArgs, StatsArgs, ValuesArgs};
use crate::ask;
use crate::columns;
use crate::error::{CliError, Outcome};
use crate::group::{Field, Group, GroupKey, Groups};
use crate::near::near;
use crate::render::{Column, Listing, Node, Role, json, object, sparkline, units};
use crate::session::Session;

/// Counts spans by fields: errors, durations, tokens, cost.
pub(super) fn stats(args: &StatsArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let fields: Vec<Field> = args.by.iter().map(|text| Field::parse(text)).collect();
    // Our own fields are headed like other columns, keys of attributes as they are written.
    let mut columns: Vec<Column> = args
        .by
        .iter()
        .map(|text| {
            let is_key = text.contains('.');
            Column::left(if is_key {
                text.clone()
            } else {
                text.to_uppercase()
            })
        })
        .map(|column| column.shrinks_to(16))
        .collect();
    columns.extend([
        Column::right("CALLS"),
        Column::right("ERR"),
        Column::right("P50"),
        Column::right("P95"),
        Column::right("P99").dropped(2),
        Column::right("IN"),
        Column::right("OUT"),
        Column::right("CACHED").dropped(3),
        Column::right("COST"),
        Column::left("TREND").dropped(1),
    ]);
    let collected = collect(&fields, &args.scope, session)?;
    let range = collected.range.unwrap_or((0, 0));
    let mut listing = Listing::new(columns);
    listing.complete = collected.complete;
    let (mut calls, mut without_cost) = (0, 0);
    let count = collected.groups.len();
    let limit = session.limit(args.scope.rows.limit);
    for (key, group) in &collected.groups {
        calls += group.spans;
        without_cost += group.without_cost;
        if listing.has_room(limit) {
            listing.push(
                stats_cells(key, group, range),
                stats_item(&args.by, key, group),
            );
        }
    }
    session.out.list(&listing)?;
    let mut hint = format!(
        "{} in {}",
        units::plural(calls, "span"),
        units::plural(count as u64, "group")
    );
    if without_cost > 0 {
        let calls = units::plural(without_cost, "model call");
        hint = format!("{hint} · {calls} without a known cost: spanlite prices missing");
    }
    if count > listing.len() {
        hint.push_str(" · -n 0 for all");
    }
    session.out.hint(&hint);
    say_missing(&args.by, &collected.groups, session)?;
    Ok(Outcome::Done)
}

struct Collected {
    groups: Vec<(GroupKey, Group)>,
    range: Option<(u64, u64)>,
    complete: bool,
}

fn collect(
    fields: &[Field],
    scope: &crate::args::ScopeArgs,
    session: &mut Session<'_>,
) -> Result<Collected, CliError> {
    let store = session.store()?;
    let snapshot = store.snapshot()?;
    let mut groups = Groups::new(fields.to_vec());
    let mut progress = session.progress("counting");
    let query = ask::filter(scope.query.as_deref(), &store)?;
    let asked = session.ask(&store, &scope.rows.since)?;
    if query.is_none() && columns::tell(fields) {
        columns::count(&snapshot, &asked, fields, &mut groups)?;
        drop(progress);
        return Ok(Collected {
            range: groups.range,
            groups: groups.finish(),
            complete: session.warn_of_damage(&snapshot),
        });
    }
    for (count, found) in ask::matches(&snapshot, query.as_ref(), asked)?.enumerate() {
        let found = found?;
        let mut wanted = vec![false; found.trace.spans.len()];
        for span in found.span_sets.iter().flat_map(|set| &set.spans) {
            wanted[span.index] = true;
        }
        groups.add(&found.trace, |index| wanted[index]);
        progress.tell(|| units::plural(count as u64 + 1, "trace"));
    }
    drop(progress);
    Ok(Collected {
        range: groups.range,
        groups: groups.finish(),
        complete: session.warn_of_damage(&snapshot),
    })
}

fn shown(value: Option<&String>) -> (Role, String) {
    match value {
        Some(text) => (Role::Plain, text.clone()),
        None => (Role::Dim, "–".to_owned()),
    }
}

fn stats_cells(key: &[Option<String>], group: &Group, range: (u64, u64)) -> Vec<(Role, String)> {
    let plain = |text: String| (Role::Plain, text);
    let duration = |percent| {
        let nanos = group.percentile(percent);
        plain(nanos.map(units::duration).unwrap_or_default())
    };
    let tokens = |count: Option<u64>| plain(count.map(units::short_count).unwrap_or_default());
    let cached = group
        .usage
        .cache_read_input_tokens
        .filter(|&cached| cached > 0);
    let input = group.usage.input_tokens.unwrap_or(0);
    let error_role = if group.errors > 0 {
        Role::Error
    } else {
        Role::Dim
    };
    let mut cells: Vec<_> = key.iter().map(|value| shown(value.as_ref())).collect();
    cells.extend([
        plain(units::count(group.spans)),
        (error_role, units::percent(group.errors, group.spans)),
        duration(50),
        duration(95),
        duration(99),
        tokens(group.usage.input_tokens),
        tokens(group.usage.output_tokens),
        plain(
            cached
                .map(|cached| units::percent(cached, input))
                .unwrap_or_default(),
        ),
        plain(group.cost.map(units::dollars).unwrap_or_default()),
        (Role::Dim, sparkline(&group.trend(range))),
    ]);
    cells
}

fn stats_item(by: &[String], key: &[Option<String>], group: &Group) -> Node {
    let keys = by.iter().zip(key);
    let keys = keys.map(|(name, value)| (name.clone(), value.clone().into()));
    object([
        ("by", Node::Object(keys.collect())),
        ("count", group.spans.into()),
        ("errors", group.errors.into()),
        ("p50_ns", group.percentile(50).into()),
        ("p95_ns", group.percentile(95).into()),
        ("p99_ns", group.percentile(99).into()),
        ("input_tokens", group.usage.input_tokens.into()),
        ("output_tokens", group.usage.output_tokens.into()),
        (
            "cached_input_tokens",
            group.usage.cache_read_input_tokens.into(),
        ),
        ("cost_usd", group.cost.into()),
        ("without_cost", group.without_cost.into()),
    ])
}

/// Lists the values of a field with how often they come.
pub(super) fn values(args: &ValuesArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let collected = collect(&[Field::parse(&args.field)], &args.scope, session)?;
    let total: u64 = collected.groups.iter().map(|(_, group)| group.spans).sum();
    let mut listing = Listing::new(vec![
        Column::right("SPANS"),
        Column::right("SHARE"),
        Column::left("VALUE").shrinks_to(16),
    ]);
    listing.complete = collected.complete;
    let limit = session.limit(args.scope.rows.limit);
    for (key, group) in &collected.groups {
        let value = key.first().and_then(Option::as_ref);
        let count = group.spans;
        if value.is_none() || !listing.has_room(limit) {
            continue;
        }
        listing.push(
            vec![
                (Role::Plain, units::count(count)),
                (Role::Dim, units::percent(count, total)),
                shown(value),
            ],
            object([("value", value.cloned().into()), ("spans", count.into())]),
        );
    }
    session.out.list(&listing)?;
    say_missing(slice::from_ref(&args.field), &collected.groups, session)?;
    Ok(Outcome::Done)
}

/// Says which fields nothing has, and which may have been meant.
fn say_missing(
    names: &[String],
    groups: &[(GroupKey, Group)],
    session: &mut Session<'_>,
) -> Result<(), CliError> {
    for (place, name) in names.iter().enumerate() {
        let has_it = |(key, _): &(GroupKey, Group)| key[place].is_some();
        if groups.is_empty() || groups.iter().any(has_it) {
            continue;
        }
        let near = near_fields(name, session)?;
        let near = match near.as_slice() {
            [] => String::new(),
            names => format!("; near names: {}", names.join(", ")),
        };
        session.out.hint(&format!("no span has {name}{near}"));
    }
    Ok(())
}

/// The fields that are spelled most alike: ours, and the attributes and tags of the newest traces.
fn near_fields(wanted: &str, session: &Session<'_>) -> Result<Vec<String>, CliError> {
    const TRACES: usize = 200;
    let snapshot = session.store()?.snapshot()?;
    let mut names: BTreeSet<String> = Field::NAMES.map(ToOwned::to_owned).into();
    for trace in snapshot
        .traces(spanlite_store::TimeRange::default())
        .take(TRACES)
    {
        let trace = trace?;
        names.extend(trace.info.tags.keys().map(|key| format!("tag.{key}")));
        for span in &trace.spans {
            names.extend(span.attributes.iter().map(|(key, _)| key.to_owned()));
        }
    }
    names.remove(wanted);
    Ok(near(wanted.trim_start_matches("span."), names))
}

/// One session: its traces together.
#[derive(Default)]
struct SessionRow {
    traces: u64,
    errors: u64,
    first: u64,
    last: u64,
    nanos: u64,
    usage: spanlite_model::TokenUsage,
    cost: Option<f64>,
    user: Option<String>,
}

impl SessionRow {
    fn add(&mut self, trace: &Trace) {
        let start = trace.start_time_unix_nano().unwrap_or(0);
        self.first = if self.traces == 0 {
            start
        } else {
            self.first.min(start)
        };
        self.last = self.last.max(start.saturating_add(trace.duration_nanos()));
        self.traces += 1;
        self.errors += u64::from(trace.state() == spanlite_model::TraceState::Error);
        self.nanos = self.nanos.saturating_add(trace.duration_nanos());
        self.usage = self.usage.plus(spanlite_model::trace_usage(trace));
        let cost: Cost = spanlite_model::trace_cost(trace);
        if let Some(cost) = cost.total_cost {
            self.cost = Some(self.cost.unwrap_or(0.0) + cost);
        }
        self.user = self.user.take().or_else(|| trace.info.user.clone());
    }
}

/// Lists sessions, the one that was active last first.
pub(super) fn sessions(
    args: &SessionsArgs,
    session: &mut Session<'_>,
) -> Result<Outcome, CliError> {
    let store = session.store()?;
    let snapshot = store.snapshot()?;
    let progress = session.progress("counting");
    let mut rows: std::collections::BTreeMap<String, SessionRow> =
        std::collections::BTreeMap::new();
    let asked = session.ask(&store, &args.rows.since)?;
    for found in ask::matches(&snapshot, None, asked)? {
        let trace = found?.trace;
        if let Some(name) = &trace.info.session {
            rows.entry(name.clone()).or_default().add(&trace);
        }
    }
    drop(progress);
    let mut rows: Vec<(String, SessionRow)> = rows.into_iter().collect();
    rows.sort_by(|(a_name, a), (b_name, b)| b.last.cmp(&a.last).then(a_name.cmp(b_name)));
    let mut listing = Listing::new(vec![
        Column::left("SESSION").shrinks_to(12),
        Column::left("USER").shrinks_to(8).dropped(1),
        Column::left("FIRST"),
        Column::left("LAST").dropped(2),
        Column::right("TRACES"),
        Column::right("ERR"),
        Column::right("BUSY"),
        Column::right("TOKENS").dropped(3),
        Column::right("COST"),
    ]);
    listing.complete &= session.warn_of_damage(&snapshot);
    let look = session.out.look();
    let limit = session.limit(args.rows.limit);
    for (name, row) in &rows {
        if !listing.has_room(limit) {
            break;
        }
        let error_role = if row.errors > 0 {
            Role::Error
        } else {
            Role::Dim
        };
        let tokens = crate::render::tokens(row.usage, units::short_count);
        listing.push(
            vec![
                (Role::Strong, name.clone()),
                (Role::Plain, row.user.clone().unwrap_or_default()),
                (Role::Dim, look.date_time(row.first)),
                (Role::Dim, look.date_time(row.last)),
                (Role::Plain, units::count(row.traces)),
                (error_role, units::count(row.errors)),
                (Role::Plain, units::duration(row.nanos)),
                (Role::Plain, tokens.unwrap_or_default()),
                (
                    Role::Plain,
                    row.cost.map(units::dollars).unwrap_or_default(),
                ),
            ],
            object([
                ("session", name.as_str().into()),
                ("user", row.user.clone().into()),
                ("first", json::time(row.first).into()),
                ("last", json::time(row.last).into()),
                ("traces", row.traces.into()),
                ("errors", row.errors.into()),
                ("duration_ns", row.nanos.into()),
                ("input_tokens", row.usage.input_tokens.into()),
                ("output_tokens", row.usage.output_tokens.into()),
                ("cost_usd", row.cost.into()),
            ]),
        );
    }
    session.out.list(&listing)?;
    Ok(Outcome::Done)
}
