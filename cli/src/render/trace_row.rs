use spanlite_model::{Span, Trace, TraceState};

use super::json;
use super::listing::{Column, Listing};
use super::look::{Look, Role, is_running, state_mark};
use super::node::{Node, object};
use super::show::{error_text, tokens};
use super::summary::TraceSummary;
use super::units;

/// How the start of traces is written: as shortly as the oldest of them allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimeForm {
    OfDay,
    MonthDay,
    Full,
}

/// The column of the list that holds the id.
const ID_COLUMN: usize = 1;

/// A list of traces, for people and machines.
pub(crate) fn trace_list(traces: &[(Trace, usize)], look: &Look, now_unix_nano: u64) -> Listing {
    let mut listing = Listing::new(vec![
        Column::left(" "),
        Column::left("TRACE"),
        Column::left("STARTED"),
        Column::left("NAME").shrinks_to(16),
        Column::right("DUR"),
        Column::right("SPANS").dropped(4),
        Column::right("LLM").dropped(3),
        Column::right("TOKENS").dropped(5),
        Column::right("COST").dropped(2),
        Column::left("SESSION").shrinks_to(8).dropped(1),
        Column::left("MARKS"),
        Column::left("STATE").shrinks_to(14),
    ]);
    let starts = traces
        .iter()
        .filter_map(|(trace, _)| trace.start_time_unix_nano());
    let form = time_form(starts, look, now_unix_nano);
    for (trace, digits) in traces {
        let summary = TraceSummary::of(trace);
        listing.push(
            cells(trace, &summary, *digits, (form, look)),
            trace_item(trace, &summary),
        );
        listing.link(ID_COLUMN, look.trace_link(trace.trace_id));
    }
    listing
}

fn time_form(starts: impl Iterator<Item = u64>, look: &Look, now: u64) -> TimeForm {
    let today = look.date(now);
    let year = today.get(..4).unwrap_or_default();
    let mut form = TimeForm::OfDay;
    for start in starts {
        let date = look.date(start);
        if !date.starts_with(year) {
            return TimeForm::Full;
        }
        if date != today {
            form = TimeForm::MonthDay;
        }
    }
    form
}

fn cells(
    trace: &Trace,
    summary: &TraceSummary,
    digits: usize,
    (form, look): (TimeForm, &Look),
) -> Vec<(Role, String)> {
    let (role, sign, _) = state_mark(trace);
    let plus = if is_running(trace) { "+" } else { "" };
    let start = trace.start_time_unix_nano().unwrap_or(0);
    let started = match form {
        TimeForm::OfDay => look.time_of_day(start),
        TimeForm::MonthDay => look.month_day_time(start),
        TimeForm::Full => look.date_time(start),
    };
    let plain = |text: String| (Role::Plain, text);
    let some = |count: u64| {
        if count == 0 {
            String::new()
        } else {
            units::count(count)
        }
    };
    vec![
        (role, sign.to_owned()),
        (Role::Id, units::short_id(trace.trace_id, digits)),
        (Role::Dim, started),
        plain(trace.name().unwrap_or("(no name)").to_owned()),
        plain(format!("{}{plus}", units::duration(trace.duration_nanos()))),
        plain(units::count(summary.n_spans)),
        plain(some(summary.n_model_calls)),
        plain(tokens(summary.usage, units::short_count).unwrap_or_default()),
        plain(
            summary
                .cost
                .total_cost
                .map(units::dollars)
                .unwrap_or_default(),
        ),
        plain(trace.info.session.clone().unwrap_or_default()),
        (Role::Key, marks(trace)),
        (role, state_text(trace, summary)),
    ]
}

fn state_text(trace: &Trace, summary: &TraceSummary) -> String {
    let state = trace.state();
    let (_, _, word) = state_mark(trace);
    let mut text = word.to_owned();
    if state == TraceState::Error {
        let failed = trace.root().filter(|root| root.is_error());
        let failed = failed.or_else(|| trace.spans.iter().find(|span| span.is_error()));
        if let Some(message) = failed
            .and_then(Span::error_message)
            .filter(|message| !message.is_empty())
            .or_else(|| failed?.error_type())
        {
            text = format!("error: {}", message.lines().next().unwrap_or_default());
        } else if let Some(failed) = failed {
            text = format!("error: {}", error_text(failed));
        }
    } else if summary.n_errors > 0 {
        text = format!("{text}, {}", units::plural(summary.n_errors, "error"));
    }
    text
}

/// What people said of a trace: how many judgements, and that it is kept.
fn marks(trace: &Trace) -> String {
    let assessments = trace.info.assessments.iter();
    let judged = assessments.filter(|one| one.valid).count() as u64;
    let judged = (judged > 0).then(|| format!("★ {judged}"));
    let pinned = trace.info.pinned.then(|| "pinned".to_owned());
    let marks: Vec<String> = judged.into_iter().chain(pinned).collect();
    marks.join(" ")
}

/// A trace as machines get it, without its spans.
#[cfg(feature = "mcp")]
pub(crate) fn trace_item_of(trace: &Trace) -> Node {
    trace_item(trace, &TraceSummary::of(trace))
}

/// A trace as machines get it in a list.
pub(crate) fn trace_item(trace: &Trace, summary: &TraceSummary) -> Node {
    let info = &trace.info;
    let tags = info
        .tags
        .iter()
        .map(|(key, value)| (key.clone(), value.as_str().into()));
    let failed = trace.root().filter(|root| root.is_error());
    let failed = failed.or_else(|| trace.spans.iter().find(|span| span.is_error()));
    object([
        ("trace_id", trace.trace_id.to_string().into()),
        ("name", trace.name().into()),
        ("state", trace.state().as_str().into()),
        ("start", trace.start_time_unix_nano().map(json::time).into()),
        ("duration_ns", trace.duration_nanos().into()),
        ("spans", summary.n_spans.into()),
        ("errors", summary.n_errors.into()),
        ("llm_calls", summary.n_model_calls.into()),
        ("input_tokens", summary.usage.input_tokens.into()),
        ("output_tokens", summary.usage.output_tokens.into()),
        ("cost_usd", summary.cost.total_cost.into()),
        ("session", info.session.as_deref().into()),
        ("user", info.user.as_deref().into()),
        ("error", failed.and_then(Span::error_message).into()),
        ("assessments", info.assessments.len().into()),
        ("pinned", info.pinned.into()),
        ("tags", Node::Object(tags.collect())),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn traces_are_listed_at_every_width() {
        let traces = [(samples::agent(), 8), (samples::hostile(), 10)];
        for width in [60, 80, 120, 200] {
            let shown = samples::drawn(width, false, false, |sheet| {
                let listing = trace_list(&traces, sheet.look, samples::START);
                listing.write_table(sheet)
            });
            insta::assert_snapshot!(format!("list_{width}"), shown);
        }
    }
}
