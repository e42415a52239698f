use std::io;
use std::sync::Arc;

use spanlite_model::{Forest, Span, TokenUsage, Trace};

use super::critical::critical_path;
use super::line::{Line, Sheet};
use super::look::{Role, is_running, state_mark};
use super::outline::{Fold, Outline};
use super::summary::TraceSummary;
use super::tree::Layout;
use super::units;

/// How a trace is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ShowOptions {
    /// What of the tree is folded.
    pub(crate) fold: Fold,
    /// The present in Unix nanoseconds, up to which the bars of a running trace reach.
    pub(crate) now_unix_nano: u64,
    /// Hex digits of a trace id that tell it from the others.
    pub(crate) id_digits: usize,
}

/// Steps of the critical path that are named, at most.
const PATH_STEPS: usize = 6;
/// Failed spans that are listed below the tree, at most.
const LISTED_ERRORS: usize = 8;

/// Writes a trace for people: what is said of the whole, the tree beside the waterfall, the
/// errors once more.
pub(crate) fn show(
    sheet: &mut Sheet<'_>,
    trace: &Arc<Trace>,
    options: ShowOptions,
) -> io::Result<()> {
    let outline = Outline::of(Arc::clone(trace), options.fold);
    let summary = TraceSummary::of(trace);
    head(sheet, trace, &summary)?;
    path(sheet, &outline)?;
    sheet.blank()?;
    let layout = Layout::of(&outline, sheet.look, options.now_unix_nano);
    sheet.line(&layout.header())?;
    for row in &outline.rows {
        let line = layout.row(&outline, row);
        sheet.line(&line)?;
    }
    errors(sheet, &outline, &summary, options.id_digits)
}

/// Adds parts to lines, separated, and begins another line where one is full.
struct Facts<'s, 'o> {
    sheet: &'s mut Sheet<'o>,
    line: Line,
}

impl Facts<'_, '_> {
    fn add(&mut self, part: Line) -> io::Result<()> {
        if self.line.width() > 0 && self.line.width() + 3 + part.width() > self.sheet.look.width {
            self.end()?;
        }
        if self.line.width() > 0 {
            self.line.sign(Role::Dim, " · ");
        }
        self.line.append(part);
        Ok(())
    }

    fn plain(&mut self, text: &str) -> io::Result<()> {
        self.add(Line::of(Role::Plain, text))
    }

    fn named(&mut self, name: &str, value: &str) -> io::Result<()> {
        let mut part = Line::of(Role::Dim, name);
        part.pad(1).fitted(Role::Plain, value, 60);
        self.add(part)
    }

    fn end(&mut self) -> io::Result<()> {
        if self.line.width() == 0 {
            return Ok(());
        }
        self.sheet.line(&std::mem::take(&mut self.line))
    }
}

fn head(sheet: &mut Sheet<'_>, trace: &Trace, summary: &TraceSummary) -> io::Result<()> {
    let width = sheet.look.width;
    let (role, sign, word) = state_mark(trace);
    let mut title = Line::new();
    let name = trace.name().unwrap_or("(no name)");
    title.fitted(Role::Strong, name, width.saturating_sub(60).max(20));
    let link = sheet.look.trace_link(trace.trace_id);
    title
        .pad(2)
        .linked(Role::Id, &trace.trace_id.to_string(), link.as_deref());
    title.pad(2).sign(role, sign);
    title.pad(1).text(role, word);
    let start = trace.start_time_unix_nano().unwrap_or(0);
    let date = sheet.look.date_time(start);
    if title.width() + 2 + date.len() <= width {
        title.pad(2).text(Role::Dim, &date);
    }
    sheet.line(&title)?;

    let mut facts = Facts {
        sheet,
        line: Line::new(),
    };
    let plus = if is_running(trace) { "+" } else { "" };
    facts.plain(&format!(
        "{}{plus}",
        units::duration(trace.duration_nanos())
    ))?;
    facts.plain(&units::plural(summary.n_spans, "span"))?;
    if summary.n_errors > 0 {
        let text = units::plural(summary.n_errors, "error");
        facts.add(Line::of(Role::Error, &text))?;
    }
    if summary.n_model_calls > 0 {
        let mut text = units::plural(summary.n_model_calls, "LLM call");
        if summary.model_nanos > 0 {
            text = format!("{text} {}", units::duration(summary.model_nanos));
        }
        facts.plain(&text)?;
    }
    if summary.tool_nanos > 0 {
        facts.plain(&format!("tools {}", units::duration(summary.tool_nanos)))?;
    }
    if let Some(tokens) = tokens(summary.usage, units::count) {
        facts.plain(&format!("{tokens} tokens"))?;
    }
    if let Some(cost) = summary.cost.total_cost {
        facts.plain(&units::dollars(cost))?;
    }
    if !summary.services.is_empty() {
        facts.named("service", &summary.services.join(", "))?;
    }
    let info = &trace.info;
    for (name, value) in [
        ("session", &info.session),
        ("user", &info.user),
        ("request", &info.client_request_id),
    ] {
        if let Some(value) = value {
            facts.named(name, value)?;
        }
    }
    if info.pinned {
        facts.plain("pinned")?;
    }
    facts.end()?;
    for (key, value) in &info.tags {
        if !key.starts_with("mlflow.") {
            facts.named(key, value)?;
        }
    }
    for assessment in info.assessments.iter().filter(|one| one.valid) {
        facts.add(super::span::assessment_line(assessment, width))?;
    }
    facts.end()
}

/// `input→output`, what is unknown left out.
pub(crate) fn tokens(usage: TokenUsage, number: fn(u64) -> String) -> Option<String> {
    match (usage.input_tokens, usage.output_tokens) {
        (None, None) => usage.total_tokens.map(number),
        (input, output) => {
            let side = |count: Option<u64>| count.map_or_else(|| "–".to_owned(), number);
            Some(format!("{}→{}", side(input), side(output)))
        }
    }
}

/// The steps of the critical path that matter, as many as fit.
fn path(sheet: &mut Sheet<'_>, outline: &Outline) -> io::Result<()> {
    let steps = named_steps(outline);
    if steps.is_empty() || outline.forest.len() < 2 {
        return Ok(());
    }
    let width = sheet.look.width;
    let lines = (1..=PATH_STEPS).rev().map(|count| path_line(&steps, count));
    let fitting = lines.into_iter().find(|line| line.width() <= width);
    sheet.line(&fitting.unwrap_or_else(|| path_line(&steps, 1)))
}

/// Neighbours of one name on the critical path.
struct PathStep<'t> {
    name: &'t str,
    times: usize,
    nanos: u64,
}

fn named_steps(outline: &Outline) -> Vec<PathStep<'_>> {
    let mut merged: Vec<PathStep<'_>> = Vec::new();
    let mut last_number = None;
    let steps = critical_path(&outline.trace, &outline.forest);
    let total: u64 = steps.iter().map(|step| step.nanos).sum();
    if total < outline.trace.duration_nanos() / 2 {
        // The root only began what went on without it: nothing that ended with it was waited for.
        return Vec::new();
    }
    // What takes less than a thousandth is no step, and does not part its neighbours.
    for step in steps.iter().filter(|step| step.nanos > total / 1_000) {
        let name = outline.span(step.number as u32).name.as_str();
        match merged.last_mut() {
            Some(last) if last.name == name => {
                last.nanos += step.nanos;
                last.times += usize::from(last_number != Some(step.number));
            }
            _ => merged.push(PathStep {
                name,
                times: 1,
                nanos: step.nanos,
            }),
        }
        last_number = Some(step.number);
    }
    merged
}

/// The longest `count` steps in order of time, and how many more there are.
fn path_line(steps: &[PathStep<'_>], count: usize) -> Line {
    let mut by_length: Vec<usize> = (0..steps.len()).collect();
    by_length.sort_by_key(|&index| std::cmp::Reverse(steps[index].nanos));
    by_length.truncate(count);
    by_length.sort_unstable();
    let mut line = Line::of(Role::Dim, "critical path:");
    for (place, &index) in by_length.iter().enumerate() {
        if let Some(before) = place.checked_sub(1) {
            let is_next = by_length[before] + 1 == index;
            line.sign(Role::Dim, if is_next { " →" } else { " → … →" });
        }
        let step = &steps[index];
        line.pad(1).fitted(Role::Plain, step.name, 28);
        if step.times > 1 {
            line.text(Role::Dim, &format!(" ×{}", step.times));
        }
        line.pad(1).text(Role::Number, &units::duration(step.nanos));
    }
    let more = steps.len() - by_length.len();
    if more > 0 {
        line.text(Role::Dim, &format!(" (+{more} more)"));
    }
    line
}

/// Why a span failed, with every line of the message.
pub(crate) fn error_text_whole(span: &Span) -> String {
    reason(span, span.error_message().unwrap_or_default().trim(), "")
}

/// Why a span failed, in one line.
pub(crate) fn error_text(span: &Span) -> String {
    let message = span.error_message().unwrap_or_default().trim();
    let first = message.lines().next().unwrap_or_default();
    let more = if first.len() < message.len() {
        " …"
    } else {
        ""
    };
    reason(span, first, more)
}

/// What is shown of a message behind the type of the error, unless it names that.
fn reason(span: &Span, shown: &str, more: &str) -> String {
    match span.error_type().map(short_type) {
        Some(kind) if shown.is_empty() => kind,
        Some(kind) if !shown.contains(&kind) => format!("{kind}: {shown}{more}"),
        _ if shown.is_empty() => "failed, without a message".to_owned(),
        _ => format!("{shown}{more}"),
    }
}

/// The name of a Rust type without the paths of it and of its parameters.
fn short_type(name: &str) -> String {
    let mut short = String::with_capacity(name.len());
    for piece in name.split_inclusive(|c: char| !(c.is_alphanumeric() || "_:".contains(c))) {
        short.push_str(piece.rsplit("::").next().unwrap_or(piece));
    }
    short
}

/// The failed spans in which errors began, in pre-order: those without a failed span below them.
pub(crate) fn error_origins<'t>(trace: &'t Trace, forest: &Forest) -> Vec<&'t Span> {
    let span = |number: usize| &trace.spans[forest.node(number).span];
    let mut origins = Vec::new();
    // From the last span up, so that everything below a span was seen before it.
    let mut first_failed = usize::MAX;
    for number in (0..forest.len()).rev() {
        if span(number).is_error() {
            if first_failed >= forest.node(number).end as usize {
                origins.push(span(number));
            }
            first_failed = number;
        }
    }
    origins.reverse();
    origins
}

/// The errors once more, so that they are found at the end of a long tree.
fn errors(
    sheet: &mut Sheet<'_>,
    outline: &Outline,
    summary: &TraceSummary,
    id_digits: usize,
) -> io::Result<()> {
    if summary.n_errors == 0 || outline.rows.len() < 12 {
        return Ok(());
    }
    let origins = error_origins(&outline.trace, &outline.forest);
    sheet.blank()?;
    let digits = units::short_id(outline.trace.trace_id, id_digits);
    for span in origins.iter().take(LISTED_ERRORS) {
        let mut line = Line::new();
        line.sign(Role::Error, "✗ ");
        line.fitted(Role::Strong, &span.name, 32);
        line.pad(2)
            .text(Role::Id, &format!("{digits}/{}", span.span_id));
        line.pad(2);
        let rest = sheet.look.width.saturating_sub(line.width());
        line.fitted(Role::Plain, &error_text(span), rest);
        sheet.line(&line)?;
    }
    if origins.len() > LISTED_ERRORS {
        let more = origins.len() - LISTED_ERRORS;
        sheet.text(Role::Dim, &format!("and {more} more failed spans"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn shown(trace: Trace, width: usize, ascii: bool, color: bool, fold: Fold) -> String {
        let options = ShowOptions {
            fold,
            now_unix_nano: samples::START + 2_000_000_000,
            id_digits: 8,
        };
        let trace = Arc::new(trace);
        samples::drawn(width, ascii, color, |sheet| show(sheet, &trace, options))
    }

    #[test]
    fn an_agent_run_at_every_width() {
        for width in [60, 80, 120, 200] {
            let shown = shown(samples::agent(), width, false, false, Fold::default());
            let widest = shown
                .lines()
                .map(unicode_width::UnicodeWidthStr::width)
                .max();
            assert!(widest <= Some(width), "{shown}");
            insta::assert_snapshot!(format!("agent_{width}"), shown);
        }
    }

    #[test]
    fn an_agent_run_in_ascii_and_colour() {
        let ascii = shown(samples::agent(), 100, true, false, Fold::default());
        assert!(ascii.is_ascii());
        insta::assert_snapshot!("agent_ascii", ascii);
        let color = shown(samples::agent(), 100, false, true, Fold::default());
        insta::assert_snapshot!("agent_color", color.replace('\x1b', "␛"));
    }

    #[test]
    fn a_trace_without_its_root_is_incomplete_and_not_running() {
        let mut trace = samples::agent();
        trace.info.state = None;
        trace.spans.retain(|span| span.parent_span_id.is_some());
        for span in &mut trace.spans {
            span.end_time_unix_nano
                .get_or_insert(span.start_time_unix_nano);
        }
        assert_eq!(trace.state(), spanlite_model::TraceState::InProgress);
        let trace = Arc::new(trace);
        let at = |now_unix_nano| {
            let options = ShowOptions {
                now_unix_nano,
                id_digits: 8,
                ..ShowOptions::default()
            };
            samples::drawn(100, false, false, |sheet| show(sheet, &trace, options))
        };
        let shown = at(samples::START);
        assert!(shown.contains("◌ incomplete"), "{shown}");
        assert_eq!(at(samples::START + 365 * 86_400_000_000_000), shown);
    }

    #[test]
    fn folding_can_be_turned_off() {
        let fold = Fold {
            fold: false,
            number_repeats: true,
            depth: None,
        };
        insta::assert_snapshot!("agent_all", shown(samples::agent(), 80, false, false, fold));
        let fold = Fold {
            depth: Some(2),
            ..Fold::default()
        };
        insta::assert_snapshot!(
            "agent_depth",
            shown(samples::agent(), 80, false, false, fold)
        );
    }

    #[test]
    fn work_that_was_dropped_is_told_from_work_that_was_done() {
        let mut trace = samples::agent();
        trace.spans[1].attributes.set("cancelled", true);
        trace.spans[2].attributes.set("stream.completed", false);
        let shown = shown(trace, 100, false, false, Fold::default());
        let rows = |word| shown.lines().filter(|row| row.contains(word)).count();
        assert_eq!((rows("! cancelled"), rows("! not read to its end")), (1, 1));
    }

    #[test]
    fn a_type_is_named_without_its_paths() {
        for (whole, short) in [
            ("core::num::ParseIntError", "ParseIntError"),
            ("OrderNotFound", "OrderNotFound"),
            (
                "alloc::boxed::Box<dyn core::error::Error + Send + core::marker::Sync>",
                "Box<dyn Error + Send + Sync>",
            ),
            ("a::Of<&'static b::C, [d::E; 2]>", "Of<&'static C, [E; 2]>"),
            ("::", ""),
        ] {
            assert_eq!(short_type(whole), short);
        }
    }

    #[test]
    fn hostile_names_stay_in_their_columns() {
        let shown = shown(samples::hostile(), 80, false, false, Fold::default());
        assert!(!shown.contains(|c: char| c != '\n' && c.is_control()));
        insta::assert_snapshot!("hostile", shown);
    }

    #[test]
    fn a_deep_and_wide_trace_is_drawn_at_once() {
        let mut trace = samples::agent();
        let first = trace.spans[0].clone();
        for number in 0..45_000_u64 {
            let mut span = first.clone();
            span.span_id = spanlite_model::SpanId::from_bytes((number + 1000).to_be_bytes());
            let parent = if number < 5_000 {
                number + 999
            } else {
                1_000 + number % 5_000
            };
            span.parent_span_id = Some(spanlite_model::SpanId::from_bytes(parent.to_be_bytes()));
            trace.spans.push(span);
        }
        let shown = shown(
            trace,
            80,
            false,
            false,
            Fold {
                fold: false,
                ..Fold::default()
            },
        );
        let rows: Vec<&str> = shown.lines().collect();
        assert!(rows.len() > 45_000);
        let widest = rows
            .iter()
            .map(|row| unicode_width::UnicodeWidthStr::width(*row))
            .max();
        assert!(widest <= Some(80));
        assert!(shown.contains("4999… "));
    }
}
