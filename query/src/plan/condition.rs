//! Conditions over all spans of a block, as far as its columns tell.

use spanlite_store::block::BlockError;

use super::block::Block;
use super::fields::Fields;
use super::leaf::{Leaf, Level, level};
use super::mask::{Mask, Rows, Truth};
use crate::eval::{At, Datum};
use crate::resolve::{Matcher, Node};
use crate::syntax::field::{Builtin, Field, Scope};

type Read<T> = Result<T, BlockError>;

impl<'v> Block<'v> {
    /// Where a condition holds, span by span.
    pub(super) fn condition(&self, node: &Node) -> Read<Mask> {
        let Some(words) = sieve(node) else {
            return self.sifted(node);
        };
        let traces = self.traces_with(&words)?;
        if traces.is_empty() {
            return Ok(Mask::empty(self.reader.n_spans()));
        }
        let before = self.wanted.borrow().clone();
        self.wanted.replace(before.clone().and(&traces));
        self.entered.replace(Some(self.spans_with(&words)?));
        let found = self.sifted(node);
        self.entered.replace(None);
        self.wanted.replace(before);
        Ok(found?.and(&self.spread(&Mask::exact(traces))?))
    }

    /// The traces that have some words.
    fn traces_with(&self, words: &[Box<str>]) -> Read<Rows> {
        let mut traces = Rows::none(self.reader.n_traces());
        for place in self.reader.traces_with_words(words)? {
            traces.insert(place as usize);
        }
        Ok(traces)
    }

    /// The spans with which all of some words entered their trace.
    fn spans_with(&self, words: &[Box<str>]) -> Read<Rows> {
        let mut all = Rows::all(self.reader.n_spans());
        for word in words {
            let mut spans = Rows::none(all.len());
            for row in self.reader.spans_with_word(word)? {
                spans.insert(row as usize);
            }
            all = all.and(&spans);
        }
        Ok(all)
    }

    /// The condition, where the word index has no say or has had it.
    fn sifted(&self, node: &Node) -> Read<Mask> {
        let n_spans = self.reader.n_spans();
        if let Some(field) = node.only_field()
            && let Some(level) = level(field)
            && level != Level::Event
            && let Some(mask) = self.leaf(field, &self.asked(node))?
        {
            return match level {
                Level::Trace => self.spread(&mask),
                _ => Ok(mask),
            };
        }
        match node {
            Node::Constant(value) => {
                Ok(Mask::constant(n_spans, matches!(value, Datum::Bool(true))))
            }
            Node::And(nodes) => self.conjunction(nodes),
            Node::Or(nodes) => nodes.iter().try_fold(Mask::empty(n_spans), |mask, node| {
                Ok(mask.or(&self.condition(node)?))
            }),
            Node::Not(inner) if inner.is_condition() => Ok(self.condition(inner)?.not()),
            Node::NoSpan(inner) => {
                let some = self.any(&self.condition(inner)?)?;
                self.spread(&some.not())
            }
            Node::SomeEvent(inner) => self.some_event(inner),
            Node::SomeLink(_) => {
                let counts = self.reader.link_counts()?;
                let mut mask = Mask::empty(n_spans);
                counts.for_each(0, counts.len(), |row, count| {
                    if count > 0 {
                        mask.set(row, Truth::Maybe);
                    }
                });
                Ok(mask)
            }
            Node::Text { of, .. }
                if matches!(**of, Node::Field(Field::Builtin(Builtin::SpanText))) =>
            {
                self.any_text(node)
            }
            _ => self.by_rows(node),
        }
    }

    /// A condition on several fields, or on one that columns have no distinct values of: asked of
    /// every span.
    fn by_rows(&self, node: &Node) -> Read<Mask> {
        let n_spans = self.reader.n_spans();
        let Some(fields) = Fields::of(self, &mut [node].into_iter())? else {
            return Ok(Mask::unknown(n_spans));
        };
        let values = &fields;
        let mut mask = Mask::empty(n_spans);
        for row in 0..n_spans {
            let holds = node.is_true(At::row(self.nowhere, &values, row));
            let truth = if fields.take_unknown() {
                Truth::Maybe
            } else {
                holds.into()
            };
            mask.set(row, truth);
        }
        Ok(mask)
    }

    fn asked<'n>(&self, node: &'n Node) -> Leaf<'n, 'v> {
        Leaf {
            node,
            nowhere: self.nowhere,
        }
    }

    /// Cheap conditions first; texts are read only of traces that pass those.
    fn conjunction(&self, nodes: &[Node]) -> Read<Mask> {
        let (costly, cheap): (Vec<&Node>, Vec<&Node>) =
            nodes.iter().partition(|node| reads_texts(node));
        let mut mask = Mask::constant(self.reader.n_spans(), true);
        for node in cheap {
            mask = mask.and(&self.condition(node)?);
            if mask.maybe.is_empty() {
                return Ok(mask);
            }
        }
        for node in costly {
            let before = self.wanted.borrow().clone();
            let places = self.any(&mask)?.maybe.and(&before);
            self.wanted.replace(places);
            let found = self.condition(node);
            self.wanted.replace(before);
            mask = mask.and(&found?);
        }
        Ok(mask)
    }

    fn some_event(&self, inner: &Node) -> Read<Mask> {
        let events = self.event_condition(inner)?;
        let counts = self.reader.event_counts()?;
        let mut mask = Mask::empty(self.reader.n_spans());
        let mut first = 0;
        counts.for_each(0, counts.len(), |row, count| {
            let range = first..first + count.max(0) as usize;
            first = range.end;
            if events.sure.any_in(range.clone()) {
                mask.set(row, Truth::Yes);
            } else if events.maybe.any_in(range) {
                mask.set(row, Truth::Maybe);
            }
        });
        Ok(mask)
    }

    /// Where a condition holds, event by event.
    fn event_condition(&self, node: &Node) -> Read<Mask> {
        let n_events = self.reader.event_names()?.len();
        if let Some(field) = node.only_field()
            && level(field) == Some(Level::Event)
            && let Some(mask) = self.leaf(field, &self.asked(node))?
        {
            return Ok(mask);
        }
        match node {
            Node::And(nodes) => nodes
                .iter()
                .try_fold(Mask::constant(n_events, true), |mask, node| {
                    Ok(mask.and(&self.event_condition(node)?))
                }),
            Node::Or(nodes) => nodes.iter().try_fold(Mask::empty(n_events), |mask, node| {
                Ok(mask.or(&self.event_condition(node)?))
            }),
            Node::Not(inner) if inner.is_condition() => Ok(self.event_condition(inner)?.not()),
            _ => Ok(Mask::unknown(n_events)),
        }
    }

    /// A text operator over everything `text` stands for.
    fn any_text(&self, node: &Node) -> Read<Mask> {
        let asked = self.asked(node);
        // A message that is not there is no empty text.
        let mut mask = self.status_messages(&asked, Truth::No)?;
        for builtin in [Builtin::SpanName, Builtin::SpanInput, Builtin::SpanOutput] {
            if let Some(part) = self.leaf(&Field::Builtin(builtin), &asked)? {
                mask = mask.or(&part);
            }
        }
        // Whether the attribute or an event tells the error is left to the trace.
        let error = Field::Attribute {
            scope: Scope::Span,
            name: spanlite_model::keys::ERROR_TYPE.into(),
        };
        if let Some(part) = self.leaf(&error, &asked)? {
            mask = mask.or(&Mask {
                sure: Rows::none(part.len()),
                maybe: part.maybe,
            });
        }
        if self.reader.event_names()?.is_empty() {
            return Ok(mask);
        }
        // Events may hold any text under any key.
        let counts = self.reader.event_counts()?;
        counts.for_each(0, counts.len(), |row, count| {
            if count > 0 {
                mask.set(row, Truth::Maybe);
            }
        });
        Ok(mask)
    }
}

/// The words that a text operator wants of its span's texts, by which the word index sifts.
fn sieve(node: &Node) -> Option<Vec<Box<str>>> {
    let Node::Text { of, matcher } = node else {
        return None;
    };
    let Node::Field(Field::Builtin(Builtin::SpanText | Builtin::SpanInput | Builtin::SpanOutput)) =
        **of
    else {
        return None;
    };
    let words = match matcher {
        Matcher::Words(words) => words.clone(),
        Matcher::Piece { text, .. } => whole_words(text),
        _ => return None,
    };
    (!words.is_empty()).then_some(words)
}

/// The words of a piece of text that stand whole in whatever holds the piece: those with a
/// separator on either side. None if the piece may be written with escapes in JSON.
fn whole_words(piece: &str) -> Vec<Box<str>> {
    let is_separator = |c: char| !c.is_alphanumeric();
    if piece.contains(['"', '\\']) || piece.chars().any(char::is_control) {
        return Vec::new();
    }
    let inner = piece
        .split_once(is_separator)
        .and_then(|(_, rest)| rest.rsplit_once(is_separator));
    inner.map_or_else(Vec::new, |(inner, _)| crate::eval::words(inner))
}

/// Whether a condition reads inputs or outputs.
fn reads_texts(node: &Node) -> bool {
    let mut found = false;
    node.each_field(&mut |field| {
        found |= matches!(
            field,
            Field::Builtin(Builtin::SpanInput | Builtin::SpanOutput | Builtin::SpanText)
        );
    });
    found
}
