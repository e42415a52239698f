use std::sync::Arc;

use spanlite_model::{Span, SpanId, Trace};

use crate::render::{ByHand, Fold, Layout, Line, Look, Outline, RowKind};

/// The trace whose tree is shown.
pub(super) struct Opened {
    pub(super) outline: Outline,
    pub(super) selected: usize,
    by_hand: ByHand,
    fold: bool,
}

impl Opened {
    pub(super) fn new(trace: Arc<Trace>) -> Self {
        Self {
            outline: Outline::of(trace, Fold::default()),
            selected: 0,
            by_hand: ByHand::default(),
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

    /// Folds what is below the selected span, or what stands beside it though it repeats; goes to
    /// its parent when there is nothing to fold.
    pub(super) fn close(&mut self) {
        let Some(number) = self.number() else {
            return self.move_by(-1);
        };
        let node = self.outline.forest.node(number as usize);
        let span_id = self.outline.span(number).span_id;
        let has_children = node.end > number + 1;
        if has_children && self.by_hand.closed.insert(span_id) {
            self.lay_out();
        } else if self.by_hand.opened.contains(&span_id) {
            self.fold_again(number);
        } else if let Some(parent) = node.parent {
            self.select(self.outline.span(parent).span_id);
        }
    }

    /// Lets a chain or a repeat that was unfolded be one row again.
    fn fold_again(&mut self, number: u32) {
        let outline = &self.outline;
        let like = outline.span(number);
        let brothers = match outline.forest.node(number as usize).parent {
            Some(parent) => outline.forest.children(parent as usize).collect(),
            None => vec![number as usize],
        };
        for brother in brothers {
            let span = outline.span(brother as u32);
            if span.name == like.name && span.span_type == like.span_type {
                self.by_hand.opened.remove(&span.span_id);
            }
        }
        self.lay_out();
    }

    /// Unfolds what is below the selected span, or the chain or the repeat that it stands for.
    pub(super) fn open(&mut self) {
        let Some(span_id) = self.span().map(|span| span.span_id) else {
            return;
        };
        if self.by_hand.closed.remove(&span_id) {
            return self.lay_out();
        }
        let row = self.outline.rows.get(self.selected).map(|row| &row.kind);
        match row {
            Some(RowKind::Span { hidden: 1.., .. }) => {
                self.by_hand.opened.insert(span_id);
            }
            Some(RowKind::Repeat { numbers }) => {
                let ids = numbers
                    .iter()
                    .map(|&number| self.outline.span(number).span_id);
                self.by_hand.opened.extend(ids);
            }
            _ => return,
        }
        self.lay_out();
    }

    /// Folds or unfolds chains and repeats.
    pub(super) fn toggle_fold(&mut self) {
        self.fold = !self.fold;
        self.by_hand.opened.clear();
        self.lay_out();
    }

    fn lay_out(&mut self) {
        let span_id = self.span().map(|span| span.span_id);
        let fold = Fold {
            fold: self.fold,
            ..Fold::default()
        };
        let trace = Arc::clone(&self.outline.trace);
        self.outline = Outline::by_hand(trace, fold, &self.by_hand);
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
        self.outline = Outline::by_hand(trace, fold, &self.by_hand);
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

    /// Goes to the next failed span, or the one before, around the end, and unfolds what it is in.
    pub(super) fn next_error(&mut self, backwards: bool) -> bool {
        let outline = &self.outline;
        let count = outline.forest.len();
        let here = self.number().unwrap_or(0) as usize;
        let mut numbers = (1..=count).map(|step| {
            let step = if backwards { count - step } else { step };
            (here + step) % count
        });
        let Some(found) = numbers.find(|&number| outline.span(number as u32).is_error()) else {
            return false;
        };
        let span_id = outline.span(found as u32).span_id;
        let mut above = outline.forest.node(found).parent;
        let mut was_closed = false;
        while let Some(number) = above {
            let span_id = outline.span(number).span_id;
            was_closed |= self.by_hand.closed.remove(&span_id);
            above = outline.forest.node(number as usize).parent;
        }
        if was_closed {
            self.lay_out();
        }
        self.select(span_id);
        true
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

#[cfg(test)]
mod tests {
    use spanlite_model::Status;

    use super::*;
    use crate::render::samples;

    /// `turn` with `search` three times, and with `call`, which failed, below `step`.
    fn opened() -> Opened {
        let mut trace = samples::trace(&[
            (1, 0, "AGENT", "turn", 0, 100),
            (2, 1, "TOOL", "search", 1, 2),
            (3, 1, "TOOL", "search", 3, 4),
            (4, 1, "TOOL", "search", 5, 6),
            (5, 1, "TOOL", "step", 7, 20),
            (6, 5, "TOOL", "call", 8, 9),
        ]);
        trace.spans[5].status = Status::error("no answer");
        Opened::new(Arc::new(trace))
    }

    fn n_rows(opened: &Opened) -> usize {
        opened.outline.rows.len()
    }

    #[test]
    fn one_repeat_is_unfolded_and_folded_again() {
        let mut opened = opened();
        assert_eq!(
            n_rows(&opened),
            5,
            "turn, search ×3, step, call, its message"
        );
        opened.move_by(1);
        assert!(matches!(
            opened.outline.rows[1].kind,
            RowKind::Repeat { .. }
        ));
        opened.open();
        assert_eq!(n_rows(&opened), 7);
        opened.move_by(1);
        opened.close();
        assert_eq!(n_rows(&opened), 5);
        assert_eq!(opened.selected, 1, "on the repeat that the span went into");
    }

    #[test]
    fn a_failed_span_is_found_below_what_was_folded() {
        let mut opened = opened();
        opened.close();
        assert_eq!(n_rows(&opened), 1);
        assert!(opened.next_error(false));
        assert_eq!(opened.span().unwrap().name, "call");
    }
}
