use spanlite_model::{Cost, Span, SpanType, TokenUsage};

use super::bars::{Scale, Stretch};
use super::line::{Align, Line};
use super::look::{Look, Role, is_running};
use super::outline::{Guides, Outline, Row, RowKind, cut_short};
use super::show::{error_text, tokens};
use super::text::fit;
use super::units;

/// Columns that span types are padded to.
const TYPE_COLUMNS: usize = 5;
/// Columns that a name gets before anything stands behind it.
const MIN_NAME_COLUMNS: usize = 12;

/// The columns of the tree.
pub(crate) struct Layout {
    width: usize,
    name: usize,
    tokens: usize,
    cost: usize,
    scale: Scale,
}

const DURATION_COLUMNS: usize = 8;

impl Layout {
    /// Divides the width of the terminal.
    pub(crate) fn of(outline: &Outline, look: &Look, now_unix_nano: u64) -> Self {
        let trace = &outline.trace;
        let width = look.width;
        let any = |is: fn(&Span) -> bool| trace.spans.iter().any(is);
        let has_tokens = any(|span| !TokenUsage::of(span).is_empty());
        let has_cost = any(|span| !Cost::of(span).is_empty());
        let tokens = if has_tokens && width >= 72 { 12 } else { 0 };
        let costs = trace
            .spans
            .iter()
            .filter_map(|span| Cost::of(span).total_cost);
        let widest = costs.map(|cost| units::dollars(cost).len() + 2).max();
        let cost = match widest {
            Some(widest) if has_cost && width >= 96 => widest.max(10),
            _ => 0,
        };
        let most = (width * 9 / 20).min(76);
        let needed = outline
            .rows
            .iter()
            .map(|row| name_width(outline, row, most));
        let name = needed.max().unwrap_or(0).clamp(most.min(20), most);
        let rest = width.saturating_sub(name + 1 + DURATION_COLUMNS + tokens + cost + 2);
        let start = trace.start_time_unix_nano().unwrap_or(0);
        let last_start = trace
            .spans
            .iter()
            .map(|span| span.start_time_unix_nano)
            .max();
        let mut end = trace
            .end_time_unix_nano()
            .unwrap_or(0)
            .max(last_start.unwrap_or(0));
        if is_running(trace) {
            end = end.max(now_unix_nano);
        }
        Self {
            width,
            name,
            tokens,
            cost,
            scale: Scale {
                start_time_unix_nano: start,
                nanos: end.saturating_sub(start),
                columns: if rest < 10 { 0 } else { rest.min(96) },
            },
        }
    }

    /// The names of the columns, and the labels of the axis.
    pub(crate) fn header(&self) -> Line {
        let mut line = Line::new();
        line.cell(Role::Heading, "NAME", self.name + 1, Align::Left)
            .cell(Role::Heading, "DUR", DURATION_COLUMNS - 1, Align::Right);
        if self.tokens > 0 {
            line.cell(Role::Heading, "IN→OUT", self.tokens, Align::Right);
        }
        if self.cost > 0 {
            line.cell(Role::Heading, "COST", self.cost, Align::Right);
        }
        if self.scale.columns > 0 {
            let left = line.width() + 2;
            for (column, label) in self.scale.ticks() {
                let at = left + column;
                if at >= line.width() && at + label.chars().count() <= self.width {
                    line.pad_to(at).text(Role::Dim, &label);
                }
            }
        }
        line
    }

    /// One row of the tree.
    pub(crate) fn row(&self, outline: &Outline, row: &Row) -> Line {
        let mut line = guides(row.guides, self.name);
        match &row.kind {
            RowKind::Span {
                number,
                hidden,
                below,
            } => {
                let span = outline.span(*number);
                let suffix = outline.suffix(*number);
                let after = [
                    suffix.map(|suffix| format!("_{suffix}")),
                    (*hidden > 0).then(|| format!(" ({hidden} hidden)")),
                    (*below > 0).then(|| format!(" (+{below} below)")),
                ];
                let after: String = after.into_iter().flatten().collect();
                self.name(&mut line, span, &after);
                self.numbers(&mut line, span.duration_nanos(), &[span]);
                self.bar(&mut line, &[span]);
            }
            RowKind::Repeat { numbers } => {
                let spans: Vec<&Span> = numbers.iter().map(|one| outline.span(*one)).collect();
                self.name(&mut line, spans[0], &format!(" ×{}", spans.len()));
                let durations = spans.iter().filter_map(|span| span.duration_nanos());
                self.numbers(
                    &mut line,
                    Some(durations.fold(0, u64::saturating_add)),
                    &spans,
                );
                self.bar(&mut line, &spans);
            }
            RowKind::Message { number } => {
                let span = outline.span(*number);
                let (role, message) = match cut_short(span) {
                    Some(how) if !span.is_error() => (Role::Warning, how.to_owned()),
                    _ => (Role::Error, error_text(span)),
                };
                line.text(role, "! ");
                let rest = self.width.saturating_sub(line.width());
                line.fitted(role, &message, rest);
            }
            RowKind::Idle {
                start_time_unix_nano,
                nanos,
            } => {
                line.text(Role::Dim, &format!("idle {}", units::duration(*nanos)));
                self.idle_bar(&mut line, *start_time_unix_nano, *nanos);
            }
            RowKind::MissingParent { span_id, cycle } => {
                let what = if *cycle {
                    "is below its own child"
                } else {
                    "not received"
                };
                let id: String = span_id.to_string();
                line.text(Role::Warning, &format!("(parent {id} {what})"));
            }
        }
        line
    }

    fn name(&self, line: &mut Line, span: &Span, after: &str) {
        if span.span_type != SpanType::Unknown {
            let label = span.span_type.as_str();
            let rest = self.name.saturating_sub(line.width());
            let label = fit(label, rest.min(12));
            line.text(Role::of_type(&span.span_type), &label.text);
            line.pad(TYPE_COLUMNS.saturating_sub(label.width) + 1);
        }
        let role = if span.is_error() {
            Role::Error
        } else {
            Role::Plain
        };
        let rest = self.name.saturating_sub(line.width());
        // In a narrow column the name is worth more than how much is folded behind it.
        let after = if rest < after.chars().count() + MIN_NAME_COLUMNS && !after.contains('×') {
            ""
        } else {
            after
        };
        let for_name = rest.saturating_sub(after.chars().count()).max(rest.min(4));
        line.fitted(role, &span.name, for_name);
        let rest = self.name.saturating_sub(line.width());
        line.fitted(Role::Dim, after, rest);
        line.pad_to(self.name + 1);
    }

    fn numbers(&self, line: &mut Line, nanos: Option<u64>, spans: &[&Span]) {
        let duration = match nanos {
            Some(nanos) => units::duration(nanos),
            None => "…+".to_owned(),
        };
        line.cell(Role::Plain, &duration, DURATION_COLUMNS - 1, Align::Right);
        if self.tokens > 0 {
            let usage = spans.iter().map(|span| TokenUsage::of(span));
            let usage = usage.fold(TokenUsage::default(), TokenUsage::plus);
            let text = tokens(usage, units::short_count).unwrap_or_default();
            line.cell(Role::Plain, &text, self.tokens, Align::Right);
        }
        if self.cost > 0 {
            let cost = spans.iter().filter_map(|span| Cost::of(span).total_cost);
            let text = cost
                .reduce(|a, b| a + b)
                .map(units::dollars)
                .unwrap_or_default();
            line.cell(Role::Plain, &text, self.cost, Align::Right);
        }
    }

    fn bar(&self, line: &mut Line, spans: &[&Span]) {
        if self.scale.columns == 0 {
            return;
        }
        let failed = spans.iter().any(|span| span.is_error());
        let role = match spans.first() {
            Some(span) if !failed => Role::of_type(&span.span_type),
            _ => Role::Error,
        };
        let bar = self.scale.bar(spans.iter().map(|span| Stretch {
            start_time_unix_nano: span.start_time_unix_nano,
            end_time_unix_nano: span.end_time_unix_nano,
        }));
        line.pad(1)
            .sign(Role::Dim, "│")
            .sign(role, &bar)
            .sign(Role::Dim, "│");
    }

    fn idle_bar(&self, line: &mut Line, start: u64, nanos: u64) {
        if self.scale.columns == 0 {
            return;
        }
        let bar = self.scale.bar([Stretch {
            start_time_unix_nano: start,
            end_time_unix_nano: Some(start.saturating_add(nanos)),
        }]);
        let dots: String = bar
            .chars()
            .map(|c| if c == ' ' { ' ' } else { '·' })
            .collect();
        line.pad_to(self.name + 1 + DURATION_COLUMNS - 1 + self.tokens + self.cost);
        line.pad(1)
            .sign(Role::Dim, "│")
            .sign(Role::Dim, &dots)
            .sign(Role::Dim, "│");
    }
}

/// The lines in front of a row. Of a deep tree only the lowest levels are drawn, behind the depth
/// as a number, so that they take at most half of the name's column.
fn guides(guides: Guides, columns: usize) -> Line {
    let mut line = Line::new();
    let shown = (columns / 4).max(4) as u32;
    let mut levels = guides.depth;
    if levels > shown {
        let label = format!("{}… ", guides.depth);
        levels = shown - (label.chars().count() as u32).div_ceil(2);
        line.text(Role::Dim, &label);
    }
    for level in (1..levels).rev() {
        let more = level < 64 && guides.more >> level & 1 == 1;
        line.sign(Role::Dim, if more { "│ " } else { "  " });
    }
    if guides.depth > 0 {
        let sign = match (guides.branch, guides.more & 1 == 1) {
            (true, true) => "├─",
            (true, false) => "└─",
            (false, true) => "│ ",
            (false, false) => "  ",
        };
        line.sign(Role::Dim, sign);
    }
    line
}

/// How wide the name's column would have to be for a row.
fn name_width(outline: &Outline, row: &Row, most: usize) -> usize {
    let indent = 2 * row.guides.depth as usize;
    let span = match &row.kind {
        RowKind::Span { number, .. } => outline.span(*number),
        RowKind::Repeat { numbers } => outline.span(numbers[0]),
        _ => return 0,
    };
    let label = match &span.span_type {
        SpanType::Unknown => 0,
        other => fit(other.as_str(), 12).width.max(TYPE_COLUMNS) + 1,
    };
    let after = match &row.kind {
        RowKind::Span { hidden, below, .. } => {
            usize::from(*hidden > 0) * 11 + usize::from(*below > 0) * 11
        }
        _ => 5,
    };
    (indent + label + fit(&span.name, most).width + after).min(most)
}
