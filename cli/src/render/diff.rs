use std::borrow::Cow;
use std::io;

use similar::{Algorithm, ChangeTag, DiffOp, TextDiff, capture_diff_slices};
use spanlite_model::{Span, SpanType, Trace};

use super::line::{Align, Line, Sheet};
use super::look::Role;
use super::node::{Node, object};
use super::show::{error_text, tokens};
use super::summary::TraceSummary;
use super::totals::totals;
use super::units;

/// A pair of equal spans is marked when one lasted this many times as long as the other ...
const SLOWER_TIMES: f64 = 1.5;
/// ... and at least this much longer.
const SLOWER_NANOS: u64 = 50_000_000;
/// Columns for type and name of a span.
const LABEL_COLUMNS: usize = 48;
/// A name is cut to no less.
const MIN_NAME_COLUMNS: usize = 4;
/// Lines of a payload's difference that are shown.
const TEXT_LINES: usize = 40;

/// Two traces side by side.
pub(crate) struct TraceDiff<'t> {
    a: &'t Trace,
    b: &'t Trace,
    rows: Vec<Pair<'t>>,
}

/// Spans of both traces that stand for each other, or one without a partner.
struct Pair<'t> {
    depth: u32,
    leaf: bool,
    a: Option<&'t Span>,
    b: Option<&'t Span>,
}

/// How a pair compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Same,
    Changed,
    Removed,
    Added,
}

impl Pair<'_> {
    fn mark(&self) -> Mark {
        match (self.a, self.b) {
            (Some(a), Some(b)) if is_changed(a, b) => Mark::Changed,
            (Some(_), Some(_)) => Mark::Same,
            (Some(_), None) => Mark::Removed,
            (None, _) => Mark::Added,
        }
    }

    fn span(&self) -> Option<&Span> {
        self.b.or(self.a)
    }

    /// Whether the two runs part here. How a span with others below it ends follows from those;
    /// what goes into it does not.
    fn diverges(&self) -> bool {
        match (self.a, self.b) {
            (Some(a), Some(b)) if !self.leaf => a.inputs != b.inputs,
            _ => self.mark() != Mark::Same,
        }
    }
}

fn is_changed(a: &Span, b: &Span) -> bool {
    let (short, long) = match (a.duration_nanos(), b.duration_nanos()) {
        (Some(a), Some(b)) => (a.min(b), a.max(b)),
        (a, b) => return a != b,
    };
    let slower = long as f64 > short as f64 * SLOWER_TIMES && long - short > SLOWER_NANOS;
    let payloads = a.inputs != b.inputs || a.outputs != b.outputs;
    slower || payloads || a.is_error() != b.is_error()
}

/// What makes two spans the same step of two runs. The depth does not count: a step that moved
/// below a new one is still the same. Nor does the model that the name of a call holds.
type Key<'t> = (&'t SpanType, Cow<'t, str>);

fn key(span: &Span) -> Key<'_> {
    let name = match span.model() {
        Some(model) if !model.is_empty() && span.name.contains(model) => {
            Cow::Owned(span.name.replace(model, ""))
        }
        _ => Cow::Borrowed(span.name.as_str()),
    };
    (&span.span_type, name)
}

/// The keys, spans and depths of a trace in pre-order, and which spans have nothing below them.
struct Flat<'t> {
    keys: Vec<Key<'t>>,
    spans: Vec<&'t Span>,
    depths: Vec<u32>,
    leaves: Vec<bool>,
}

fn flat(trace: &Trace) -> Flat<'_> {
    let forest = trace.forest();
    let nodes = forest.nodes();
    let spans: Vec<&Span> = nodes.iter().map(|node| &trace.spans[node.span]).collect();
    Flat {
        keys: spans.iter().map(|span| key(span)).collect(),
        spans,
        depths: nodes.iter().map(|node| node.depth).collect(),
        leaves: (1..)
            .zip(nodes)
            .map(|(next, node)| node.end == next)
            .collect(),
    }
}

impl<'t> TraceDiff<'t> {
    /// Aligns the spans of two traces, in pre-order, by type and name.
    pub(crate) fn of(a: &'t Trace, b: &'t Trace) -> Self {
        let (a_flat, b_flat) = (flat(a), flat(b));
        let mut rows = Vec::new();
        let a_side = |at: usize| (a_flat.depths[at], a_flat.leaves[at], Some(a_flat.spans[at]));
        let b_side = |at: usize| (b_flat.depths[at], b_flat.leaves[at], Some(b_flat.spans[at]));
        for op in capture_diff_slices(Algorithm::Myers, &a_flat.keys, &b_flat.keys) {
            let (a_range, b_range) = (op.old_range(), op.new_range());
            if let DiffOp::Equal { .. } = op {
                rows.extend(a_range.zip(b_range).map(|(a, b)| {
                    let ((_, a_leaf, a), (depth, b_leaf, b)) = (a_side(a), b_side(b));
                    let leaf = a_leaf && b_leaf;
                    Pair { depth, leaf, a, b }
                }));
                continue;
            }
            rows.extend(a_range.map(|a| {
                let (depth, leaf, a) = a_side(a);
                Pair {
                    depth,
                    leaf,
                    a,
                    b: None,
                }
            }));
            rows.extend(b_range.map(|b| {
                let (depth, leaf, b) = b_side(b);
                Pair {
                    depth,
                    leaf,
                    a: None,
                    b,
                }
            }));
        }
        Self { a, b, rows }
    }

    /// Writes totals, the first difference and the aligned tree; with `io` also how payloads
    /// differ.
    pub(crate) fn write(&self, sheet: &mut Sheet<'_>, io: bool, digits: usize) -> io::Result<()> {
        totals(sheet, self.a, self.b, digits)?;
        sheet.blank()?;
        match self.rows.iter().find(|pair| pair.diverges()) {
            None => sheet.text(Role::Ok, "no difference in spans, payloads or errors")?,
            Some(pair) => {
                let mut line = Line::of(Role::Dim, "first divergence: ");
                line.append(divergence(pair));
                sheet.line(&line)?;
            }
        }
        for (pair, times) in folded(&self.rows) {
            row(sheet, pair, times)?;
            if io && let (Mark::Changed, Some(a), Some(b)) = (pair.mark(), pair.a, pair.b) {
                payload_diffs(sheet, a, b)?;
            }
        }
        Ok(())
    }

    /// The comparison as machines get it.
    pub(crate) fn item(&self) -> Node {
        let total = |trace: &Trace| {
            let summary = TraceSummary::of(trace);
            super::trace_row::trace_item(trace, &summary)
        };
        let rows = self.rows.iter().map(|pair| {
            let id = |span: Option<&Span>| span.map(|span| span.span_id.to_string()).into();
            let nanos = |span: Option<&Span>| span.and_then(Span::duration_nanos).into();
            object([
                ("mark", pair.mark().as_str().into()),
                ("depth", u64::from(pair.depth).into()),
                ("name", pair.span().map(|span| span.name.as_str()).into()),
                (
                    "type",
                    pair.span().map(|span| span.span_type.as_str()).into(),
                ),
                ("a_span_id", id(pair.a)),
                ("b_span_id", id(pair.b)),
                ("a_duration_ns", nanos(pair.a)),
                ("b_duration_ns", nanos(pair.b)),
            ])
        });
        let first = self.rows.iter().position(Pair::diverges);
        object([
            ("a", total(self.a)),
            ("b", total(self.b)),
            ("first_divergence", first.into()),
            ("spans", Node::List(rows.collect())),
        ])
    }
}

impl Mark {
    fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Added => "added",
        }
    }

    fn sign(self) -> (Role, &'static str) {
        match self {
            Self::Same => (Role::Dim, "= "),
            Self::Changed => (Role::Changed, "~ "),
            Self::Removed => (Role::Removed, "- "),
            Self::Added => (Role::Added, "+ "),
        }
    }
}

/// Neighbours of one mark, depth, type and name as one row.
fn folded<'p, 't>(rows: &'p [Pair<'t>]) -> Vec<(&'p Pair<'t>, usize)> {
    let mut folded: Vec<(&Pair<'_>, usize)> = Vec::new();
    for pair in rows {
        match folded.last_mut() {
            Some((last, times)) if is_like(last, pair) => *times += 1,
            _ => folded.push((pair, 1)),
        }
    }
    folded
}

fn is_like(a: &Pair<'_>, b: &Pair<'_>) -> bool {
    let key = |pair: &Pair<'_>| {
        let span = pair.span();
        span.map(|span| (span.name.clone(), span.span_type.clone(), span.is_error()))
    };
    let lonely = !matches!(a.mark(), Mark::Changed);
    lonely && a.mark() == b.mark() && a.depth == b.depth && key(a) == key(b)
}

/// Type and name of a span in so many columns.
fn label(span: &Span, columns: usize) -> Line {
    let mut line = Line::new();
    if span.span_type != SpanType::Unknown {
        line.span_type(&span.span_type).pad(1);
    }
    let role = if span.is_error() {
        Role::Error
    } else {
        Role::Plain
    };
    let rest = columns.saturating_sub(line.width()).max(MIN_NAME_COLUMNS);
    line.fitted(role, &span.name, rest);
    line
}

fn divergence(pair: &Pair<'_>) -> Line {
    let label = pair.span().map(|span| label(span, LABEL_COLUMNS));
    let mut line = label.unwrap_or_default();
    let what = match (pair.a, pair.b) {
        (Some(_), None) => "only in A".to_owned(),
        (None, _) => "only in B".to_owned(),
        (Some(a), Some(b)) if a.inputs != b.inputs => "its inputs differ".to_owned(),
        (Some(a), Some(b)) if a.is_error() != b.is_error() => {
            let (which, failed) = if b.is_error() { ("B", b) } else { ("A", a) };
            format!("failed in {which}: {}", error_text(failed))
        }
        (Some(a), Some(b)) if a.outputs != b.outputs => "its outputs differ".to_owned(),
        (Some(_), Some(_)) => "its duration differs".to_owned(),
    };
    line.text(Role::Dim, ", ").text(Role::Plain, &what);
    line
}

fn row(sheet: &mut Sheet<'_>, pair: &Pair<'_>, times: usize) -> io::Result<()> {
    let Some(span) = pair.span() else {
        return Ok(());
    };
    let (role, sign) = pair.mark().sign();
    let mut line = Line::new();
    line.pad(2).sign(role, sign);
    line.pad(2 * pair.depth.min(12) as usize);
    let column = (sheet.look.width / 2).min(LABEL_COLUMNS);
    let times = if times > 1 {
        format!(" ×{times}")
    } else {
        String::new()
    };
    let rest = column.saturating_sub(line.width() + times.chars().count() + 1);
    line.append(label(span, rest));
    line.text(Role::Dim, &times).pad_to(column);
    let duration = |span: Option<&Span>| {
        span.and_then(Span::duration_nanos)
            .map(units::duration)
            .unwrap_or_default()
    };
    line.cell(Role::Plain, &duration(pair.a), 8, Align::Right);
    line.sign(
        Role::Dim,
        if pair.a.is_some() && pair.b.is_some() {
            " → "
        } else {
            "   "
        },
    );
    line.cell(Role::Plain, &duration(pair.b), 8, Align::Right);
    if let (Mark::Changed, Some(a), Some(b)) = (pair.mark(), pair.a, pair.b) {
        let usage = |span| tokens(spanlite_model::TokenUsage::of(span), units::short_count);
        let (before, after) = (usage(a), usage(b));
        if before != after {
            let side = |tokens: Option<String>| tokens.unwrap_or_else(|| "–".to_owned());
            let text = format!("  {} ⇒ {}", side(before), side(after));
            line.text(Role::Plain, &text);
        }
    }
    if span.is_error() {
        let rest = sheet.look.width.saturating_sub(line.width() + 4);
        line.text(Role::Error, "  ✗ ")
            .fitted(Role::Error, &error_text(span), rest);
    }
    sheet.line(&line)
}

/// How the inputs and outputs of two spans differ, line by line.
fn payload_diffs(sheet: &mut Sheet<'_>, a: &Span, b: &Span) -> io::Result<()> {
    let pairs = [
        ("inputs", &a.inputs, &b.inputs),
        ("outputs", &a.outputs, &b.outputs),
    ];
    for (name, a, b) in pairs {
        if a == b {
            continue;
        }
        let text =
            |json: &Option<spanlite_model::Json>| json.as_ref().map_or_else(String::new, laid_out);
        let (a, b) = (text(a), text(b));
        let mut heading = Line::new();
        heading.pad(6).text(Role::Heading, name);
        sheet.line(&heading)?;
        let diff = TextDiff::from_lines(&a, &b);
        let mut shown = 0;
        for hunk in diff.unified_diff().context_radius(1).iter_hunks() {
            for change in hunk.iter_changes() {
                if shown == TEXT_LINES {
                    let mut line = Line::new();
                    line.pad(6).text(Role::Dim, "… more");
                    sheet.line(&line)?;
                    break;
                }
                shown += 1;
                let (role, sign) = match change.tag() {
                    ChangeTag::Equal => (Role::Dim, "  "),
                    ChangeTag::Delete => (Role::Removed, "- "),
                    ChangeTag::Insert => (Role::Added, "+ "),
                };
                let mut line = Line::new();
                let rest = sheet.look.width.saturating_sub(8);
                line.pad(6)
                    .sign(role, sign)
                    .fitted(role, change.value().trim_end(), rest);
                sheet.line(&line)?;
            }
            if shown == TEXT_LINES {
                break;
            }
        }
    }
    Ok(())
}

/// A payload in lines: objects a key a line, texts as they are.
fn laid_out(json: &spanlite_model::Json) -> String {
    if let Some(text) = json.as_str() {
        return text.into_owned();
    }
    let node = Node::parse(json.as_text());
    let pretty = node.and_then(|node| serde_json::to_string_pretty(&node).ok());
    pretty.map_or_else(
        || json.as_text().to_owned(),
        |text| text.replace("\\n", "\n"),
    )
}
