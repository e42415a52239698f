use std::io::BufRead as _;

use spanlite_model::{Span, Trace};
use spanlite_query::{Cell, MetricOptions, Query, RunOptions, SpanSet, TraceMatch, Verdict};
use spanlite_store::Snapshot;

use crate::args::{Format, QueryArgs};
use crate::ask::{self, Ask};
use crate::commands::metrics;
use crate::error::{CliError, Outcome};
use crate::render::{
    Column, Line, Listing, Look, Node, Role, error_text, json, object, state_mark, units,
};
use crate::session::{Ids, Session};

/// Asks for traces and spans.
pub(super) fn run(args: &QueryArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    if args.check {
        return check(session);
    }
    let text = args.query.as_deref().unwrap_or_default();
    let store = session.store()?;
    let query = ask::read(text, &store)?;
    for warning in query.warnings() {
        session.out.warn_drawn(&warning.render(query.source()));
    }
    let snapshot = store.snapshot()?;
    let asked = session.ask_page(&store, &args.page)?;
    if query.is_metrics() {
        return measure(&query, args, &asked, &snapshot, session);
    }
    if args.explain {
        return explain(&query, &snapshot, asked.options(), session);
    }
    let mut progress = Some(session.progress("asking"));
    let began = std::time::Instant::now();
    let limit = session.limit(args.page.select.limit);
    let mut matches = ask::matches(&snapshot, Some(&query), asked)?;
    let (mut traces, mut spans) = (0_u64, 0_u64);
    let (mut more, mut next) = (false, None);
    let style = session.out.json_style();
    let mut ids = None;
    let mut listing = Listing::new(columns());
    while let Some(found) = matches.next().transpose()? {
        if traces == limit as u64 {
            more = true;
            break;
        }
        // What was found is written at once.
        progress = None;
        next = matches.cursor();
        traces += 1;
        spans += found.matched_spans().count() as u64;
        match session.settings.format {
            Some(Format::Ndjson) => {
                let mut style = style;
                style.pretty = false;
                json::write(session.out.data(), &item(&found, args.spans), style)?;
            }
            Some(Format::Json | Format::Csv | Format::Md) => {
                listing.push(cells(&found, session.out.look()), item(&found, args.spans));
            }
            None | Some(Format::Table | Format::Tree) => {
                let ids = match &ids {
                    Some(ids) => ids,
                    None => ids.insert(Ids::read(&snapshot)?),
                };
                let digits = ids.digits(found.trace.trace_id);
                page(session, &found, digits, args.spans)?;
            }
        }
    }
    let elapsed = began.elapsed();
    drop(progress);
    listing.complete = session.warn_of_damage(&snapshot);
    listing.next = next.filter(|_| more);
    if matches!(
        session.settings.format,
        Some(Format::Json | Format::Csv | Format::Md)
    ) {
        session.out.list(&listing)?;
    }
    session.out.hint(&format!(
        "{}, {} matched in {}",
        units::plural(traces, "trace"),
        units::plural(spans, "span"),
        units::duration(elapsed.as_nanos() as u64),
    ));
    if more {
        session.out.hint("there are more: -n 0 for all");
    }
    if traces == 0 && limit > 0 {
        ask::say_why_nothing(&query, &snapshot, session)?;
    }
    Ok(Outcome::Done)
}

/// Shows the numbers of a query for metrics.
fn measure(
    query: &Query,
    args: &QueryArgs,
    asked: &Ask,
    snapshot: &Snapshot,
    session: &mut Session<'_>,
) -> Result<Outcome, CliError> {
    let options = MetricOptions {
        run: asked.options(),
        step_nanos: args.step,
        range: asked.range,
    };
    metrics::run(query, &options, snapshot, session)?;
    Ok(Outcome::Done)
}

/// Runs a query and says how it was answered, and what was read for it.
fn explain(
    query: &Query,
    snapshot: &Snapshot,
    options: RunOptions,
    session: &mut Session<'_>,
) -> Result<Outcome, CliError> {
    let mut rows = query.run(snapshot, options)?;
    for row in rows.by_ref() {
        row?;
    }
    if matches!(session.settings.format, Some(Format::Json | Format::Ndjson)) {
        let style = session.out.json_style();
        json::write(session.out.data(), rows.explain(), style)?;
        return Ok(Outcome::Done);
    }
    let mut sheet = session.out.sheet();
    sheet.text(Role::Strong, &query.canonical())?;
    for line in rows.explain().to_string().lines() {
        sheet.text(Role::Plain, line)?;
    }
    Ok(Outcome::Done)
}

/// Reads queries from stdin, one JSON string a line, and prints a verdict on each.
fn check(session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let style = json::JsonStyle::default();
    for line in std::io::stdin().lock().lines() {
        let text: String = serde_json::from_str(&line?).map_err(CliError::CheckInput)?;
        json::write(session.out.data(), &Verdict::of(&text), style)?;
    }
    Ok(Outcome::Done)
}

fn columns() -> Vec<Column> {
    vec![
        Column::left("TRACE"),
        Column::left("STARTED"),
        Column::left("NAME"),
        Column::right("DUR"),
        Column::right("MATCHED"),
    ]
}

fn cells(found: &TraceMatch, look: &Look) -> Vec<(Role, String)> {
    let trace = &found.trace;
    let start = trace.start_time_unix_nano().unwrap_or(0);
    [
        trace.trace_id.to_string(),
        look.date_time(start),
        trace.name().unwrap_or_default().to_owned(),
        units::duration(trace.duration_nanos()),
        units::count(found.matched_spans().count() as u64),
    ]
    .map(|text| (Role::Plain, text))
    .to_vec()
}

fn cell(value: &Cell) -> Node {
    match value {
        Cell::Text(text) => text.as_str().into(),
        other => Node::Raw(
            spanlite_model::Json::serialize(other)
                .unwrap_or_else(|_no_json| spanlite_model::Json::from_trusted_text("null")),
        ),
    }
}

fn pairs(values: &[(String, Cell)]) -> Node {
    Node::Object(
        values
            .iter()
            .map(|(key, value)| (key.clone(), cell(value)))
            .collect(),
    )
}

/// A result as machines get it.
fn item(found: &TraceMatch, most_spans: usize) -> Node {
    let trace = &found.trace;
    let sets = found
        .span_sets
        .iter()
        .map(|set| set_item(trace, set, most_spans));
    object([
        ("trace_id", trace.trace_id.to_string().into()),
        ("name", trace.name().into()),
        ("state", trace.state().as_str().into()),
        ("start", trace.start_time_unix_nano().map(json::time).into()),
        ("duration_ns", trace.duration_nanos().into()),
        ("span_sets", Node::List(sets.collect())),
    ])
}

fn set_item(trace: &Trace, set: &SpanSet, most_spans: usize) -> Node {
    let spans = set.spans.iter().take(most_spans).filter_map(|found| {
        let span = trace.spans.get(found.index)?;
        let mut fields = vec![
            ("span_id".to_owned(), span.span_id.to_string().into()),
            ("name".to_owned(), span.name.as_str().into()),
            ("type".to_owned(), span.span_type.as_str().into()),
            ("status".to_owned(), span.status.code.as_str().into()),
            (
                "start".to_owned(),
                json::time(span.start_time_unix_nano).into(),
            ),
            ("duration_ns".to_owned(), span.duration_nanos().into()),
        ];
        if span.is_error() {
            fields.push(("error".to_owned(), span.error_message().into()));
        }
        if !found.selected.is_empty() {
            fields.push(("selected".to_owned(), pairs(&found.selected)));
        }
        Some(Node::Object(fields))
    });
    let spans = Node::List(spans.collect());
    let group = if set.group.is_empty() {
        Node::Null
    } else {
        pairs(&set.group)
    };
    let mut fields = vec![
        ("matched".to_owned(), set.spans.len().into()),
        ("group".to_owned(), group),
        ("spans".to_owned(), spans),
    ];
    if !set.aggregates.is_empty() {
        fields.insert(2, ("aggregates".to_owned(), pairs(&set.aggregates)));
    }
    Node::Object(fields)
}

/// A result as people get it: the trace, then what of it fits.
fn page(
    session: &mut Session<'_>,
    found: &TraceMatch,
    digits: usize,
    most_spans: usize,
) -> Result<(), CliError> {
    let trace = &found.trace;
    let (role, sign, _) = state_mark(trace);
    let mut sheet = session.out.sheet();
    let mut line = Line::new();
    line.sign(role, sign).pad(2);
    let hex = units::short_id(trace.trace_id, digits);
    let link = sheet.look.trace_link(trace.trace_id);
    line.linked(Role::Id, &hex, link.as_deref()).pad(2);
    let start = trace.start_time_unix_nano().unwrap_or(0);
    line.text(Role::Dim, &sheet.look.date_time(start)).pad(2);
    line.fitted(Role::Strong, trace.name().unwrap_or("(no name)"), 40)
        .pad(2);
    line.text(Role::Plain, &units::duration(trace.duration_nanos()));
    sheet.line(&line)?;
    for set in &found.span_sets {
        let named = set.group.iter().chain(&set.aggregates);
        let named: Vec<String> = named
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        if !named.is_empty() {
            let mut line = Line::new();
            line.pad(3).fitted(Role::Key, &named.join(", "), 120);
            line.text(
                Role::Dim,
                &format!("  {}", units::plural(set.spans.len() as u64, "span")),
            );
            sheet.line(&line)?;
        }
        for found in set.spans.iter().take(most_spans) {
            let Some(span) = trace.spans.get(found.index) else {
                continue;
            };
            let line = span_line(span, &found.selected, sheet.look.width);
            sheet.line(&line)?;
        }
        if set.spans.len() > most_spans {
            let more = units::count((set.spans.len() - most_spans) as u64);
            let mut line = Line::new();
            line.pad(5).text(
                Role::Dim,
                &format!("and {more} more, --spans all lists them"),
            );
            sheet.line(&line)?;
        }
    }
    Ok(())
}

fn span_line(span: &Span, selected: &[(String, Cell)], width: usize) -> Line {
    let mut line = Line::new();
    line.pad(5).text(Role::Id, &span.span_id.to_string()).pad(2);
    if span.span_type != spanlite_model::SpanType::Unknown {
        line.span_type(&span.span_type).pad(1);
    }
    line.fitted(Role::Plain, &span.name, 40);
    if let Some(nanos) = span.duration_nanos() {
        line.pad(2).text(Role::Plain, &units::duration(nanos));
    }
    for (name, value) in selected {
        line.pad(2).text(Role::Key, name).text(Role::Dim, "=");
        line.fitted(Role::Plain, &value.to_string(), 60);
    }
    if span.is_error() {
        let rest = width.saturating_sub(line.width() + 4);
        line.text(Role::Error, "  ! ")
            .fitted(Role::Error, &error_text(span), rest);
    }
    line
}
