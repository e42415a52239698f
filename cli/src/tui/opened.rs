use std::collections::HashSet;
use std::sync::Arc;

use spanlite_model::{Span, SpanId, Trace};

use crate::render::{Fold, Layout, Line, Look, Outline, RowKind};

/// The trace whose tree is shown.
pub(super) struct Opened {
    pub(super) outline: Outline,
    pub(super) selected: usize,
    /// Spans below which nothing is shown.
    closed: HashSet<SpanId>,
    fold: bool,
}

impl Opened {
    pub(super) fn new(trace: Arc<Trace>) -> Self {
        Self {
            outline: Outline::of(trace, Fold::default()),
            selected: 0,
            closed: HashSet::new(),
            fold: true,
        }
    }

    pub(super) fn trace(&self) -> &Arc<Trace> {
        &self.outline.trace
    }

    /// The pre-order number of the selected row's span; a message stands for its span.
    fn number(&self) -> Option<u32> {
        match &self.outline.rows.get(self.selected)?.kind {
            RowKind::Span { number, .. } | RowKind::Message { number } => Some(*number),
            RowKind::Repeat { numbers } => numbers.first().copied(),
            RowKind::Idle { .. } | RowKind::MissingParent { .. } => None,
        }
    }

    /// The selected span.
    pub(super) fn span(&self) -> Option<&Span> {
        self.number().map(|number| self.outline.span(number))
    }

    pub(super) fn move_by(&mut self, rows: isize) {
        let last = self.outline.rows.len().saturating_sub(1);
        self.selected = self.selected.saturating_add_signed(rows).min(last);
    }

    /// Folds what is below the selected span, or goes to its parent when nothing is.
    pub(super) fn close(&mut self) {
        let Some(number) = self.number() else {
            return self.move_by(-1);
        };
        let node = self.outline.forest.node(number as usize);
        let span_id = self.outline.span(number).span_id;
        let has_children = node.end > number + 1;
        if has_children && self.closed.insert(span_id) {
            self.lay_out();
        } else if let Some(parent) = node.parent {
            self.select(self.outline.span(parent).span_id);
        }
    }

    /// Unfolds what is below the selected span; unfolds everything where nothing was folded by
    /// hand.
    pub(super) fn open(&mut self) {
        let Some(span_id) = self.span().map(|span| span.span_id) else {
            return;
        };
        if self.closed.remove(&span_id) {
            self.lay_out();
        } else if self.fold {
            let row = self.outline.rows.get(self.selected).map(|row| &row.kind);
            let folded = match row {
                Some(RowKind::Span { hidden, .. }) => *hidden > 0,
                Some(RowKind::Repeat { .. }) => true,
                _ => false,
            };
            if folded {
                self.toggle_fold();
            }
        }
    }

    /// Folds or unfolds chains and repeats.
    pub(super) fn toggle_fold(&mut self) {
        self.fold = !self.fold;
        self.lay_out();
    }

    fn lay_out(&mut self) {
        let span_id = self.span().map(|span| span.span_id);
        let fold = Fold {
            fold: self.fold,
            ..Fold::default()
        };
        let trace = Arc::clone(&self.outline.trace);
        self.outline = Outline::with_closed(trace, fold, &self.closed);
        self.move_by(0);
        if let Some(span_id) = span_id {
            self.select(span_id);
        }
    }

    /// Takes a newer state of the same trace.
    pub(super) fn refresh(&mut self, trace: Arc<Trace>) {
        if *trace == *self.outline.trace {
            return;
        }
        let span_id = self.span().map(|span| span.span_id);
        let fold = Fold {
            fold: self.fold,
            ..Fold::default()
        };
        self.outline = Outline::with_closed(trace, fold, &self.closed);
        self.move_by(0);
        if let Some(span_id) = span_id {
            self.select(span_id);
        }
    }

    fn select(&mut self, span_id: SpanId) {
        let is_it = |number: &u32| self.outline.span(*number).span_id == span_id;
        let found = self.outline.rows.iter().position(|row| match &row.kind {
            RowKind::Span { number, .. } => is_it(number),
            RowKind::Repeat { numbers } => numbers.iter().any(is_it),
            _ => false,
        });
        if let Some(found) = found {
            self.selected = found;
        }
    }

    /// Goes to the next failed span, or the one before, around the end.
    pub(super) fn next_error(&mut self, backwards: bool) -> bool {
        let is_failed = |row: usize| match &self.outline.rows[row].kind {
            RowKind::Span { number, .. } => self.outline.span(*number).is_error(),
            _ => false,
        };
        let count = self.outline.rows.len();
        let mut rows = (1..=count).map(|step| {
            let step = if backwards { count - step } else { step };
            (self.selected + step) % count
        });
        match rows.find(|&row| is_failed(row)) {
            Some(row) => {
                self.selected = row;
                true
            }
            None => false,
        }
    }

    /// The rows from `first` on, as wide as `look` says, below the names of the columns.
    pub(super) fn lines(
        &self,
        look: &Look,
        now_unix_nano: u64,
        first: usize,
        count: usize,
    ) -> (Line, Vec<Line>) {
        let layout = Layout::of(&self.outline, look, now_unix_nano);
        let rows = self.outline.rows.iter().skip(first).take(count);
        let lines = rows.map(|row| layout.row(&self.outline, row)).collect();
        (layout.header(), lines)
    }
}
