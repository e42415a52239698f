use super::{Constant, Matcher, Steps};
use crate::pattern::Pattern;
use crate::syntax::ast::BinaryOp;
use crate::syntax::field::{Field, Level, Scope};

/// An expression ready to be evaluated.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Constant(Constant),
    Field(Field),
    /// A value inside a JSON payload, or inside a text that holds JSON.
    Path {
        of: Box<Self>,
        steps: Steps,
    },
    Not(Box<Self>),
    /// True where no span of the trace fits.
    NoSpan(Box<Self>),
    Minus(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
    /// True where one event of the span fits.
    SomeEvent(Box<Self>),
    /// True where one link of the span fits.
    SomeLink(Box<Self>),
    Compare {
        op: BinaryOp,
        left: Box<Self>,
        right: Box<Self>,
    },
    Arithmetic {
        op: BinaryOp,
        left: Box<Self>,
        right: Box<Self>,
    },
    /// `=~` and, negated, `!~`.
    Regex {
        of: Box<Self>,
        regex: Pattern,
        negated: bool,
    },
    Text {
        of: Box<Self>,
        matcher: Matcher,
    },
    Exists {
        of: Box<Self>,
        negated: bool,
    },
    In {
        of: Box<Self>,
        values: Vec<Constant>,
    },
    Between {
        of: Box<Self>,
        low: Box<Self>,
        high: Box<Self>,
    },
    Lower(Box<Self>),
    Length(Box<Self>),
    /// Hex digits without `tr-` and leading zeros.
    BareId(Box<Self>),
    /// Nanoseconds before now.
    Ago(i64),
}

impl Node {
    /// Whether the node yields a value rather than a truth.
    pub(super) fn is_value(&self) -> bool {
        matches!(
            self,
            Self::Constant(_)
                | Self::Path { .. }
                | Self::Minus(_)
                | Self::Arithmetic { .. }
                | Self::Lower(_)
                | Self::Length(_)
                | Self::BareId(_)
                | Self::Ago(_)
                | Self::SomeEvent(_)
                | Self::SomeLink(_)
                | Self::NoSpan(_)
        )
    }

    /// Calls `visit` with every field that is used, also those that are asked of other spans.
    pub(crate) fn each_field<'n>(&'n self, visit: &mut dyn FnMut(&'n Field)) {
        match self {
            Self::Constant(_) | Self::Ago(_) => {}
            Self::Field(field) => visit(field),
            Self::Path { of: inner, .. }
            | Self::Regex { of: inner, .. }
            | Self::Text { of: inner, .. }
            | Self::Exists { of: inner, .. }
            | Self::In { of: inner, .. }
            | Self::NoSpan(inner)
            | Self::Not(inner)
            | Self::Minus(inner)
            | Self::SomeEvent(inner)
            | Self::SomeLink(inner)
            | Self::Lower(inner)
            | Self::Length(inner)
            | Self::BareId(inner) => inner.each_field(visit),
            Self::And(nodes) | Self::Or(nodes) => {
                for node in nodes {
                    node.each_field(visit);
                }
            }
            Self::Compare { left, right, .. } | Self::Arithmetic { left, right, .. } => {
                left.each_field(visit);
                right.each_field(visit);
            }
            Self::Between { of, low, high } => {
                for node in [of, low, high] {
                    node.each_field(visit);
                }
            }
        }
    }

    /// Calls `visit` with every text that spans are searched for, and the condition on it.
    pub(crate) fn each_text<'n>(&'n self, visit: &mut dyn FnMut(String, &'n Self)) {
        match self {
            Self::And(nodes) | Self::Or(nodes) => {
                for node in nodes {
                    node.each_text(visit);
                }
            }
            Self::Text { of, matcher } if of.mentions(Level::Span) => match matcher {
                Matcher::Words(words) if !words.is_empty() => visit(words.join(" "), self),
                Matcher::Piece { text, .. } => visit(text.to_string(), self),
                _ => {}
            },
            _ => {}
        }
    }

    /// The one field the expression is about, if there is exactly one and it is asked of the
    /// span, event or trace at hand.
    pub(crate) fn only_field(&self) -> Option<&Field> {
        let mut only = None;
        let mut others = false;
        self.each_field(&mut |field| match only {
            None => only = Some(field),
            Some(known) => others |= known != field,
        });
        let here = !matches!(
            self,
            Self::NoSpan(_) | Self::SomeEvent(_) | Self::SomeLink(_)
        ) && !self.asks_elsewhere();
        only.filter(|_| here && !others)
    }

    /// Whether the condition looks at other spans, or at events or links one by one.
    pub(crate) fn asks_elsewhere(&self) -> bool {
        match self {
            Self::NoSpan(_) | Self::SomeEvent(_) | Self::SomeLink(_) => true,
            Self::Not(inner) => inner.asks_elsewhere(),
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().any(Self::asks_elsewhere),
            _ => false,
        }
    }

    /// Whether a field of this level is used; events and links are part of spans.
    pub(crate) fn mentions(&self, level: Level) -> bool {
        match self {
            // `NoSpan` is about the other spans of the trace.
            Self::Constant(_) | Self::Ago(_) | Self::NoSpan(_) => false,
            Self::Field(field) => {
                let of = level_of(field);
                of == level || level == Level::Span && of != Level::Trace
            }
            Self::Path { of, .. }
            | Self::Regex { of, .. }
            | Self::Text { of, .. }
            | Self::Exists { of, .. }
            | Self::In { of, .. } => of.mentions(level),
            Self::Not(inner)
            | Self::Minus(inner)
            | Self::SomeEvent(inner)
            | Self::SomeLink(inner)
            | Self::Lower(inner)
            | Self::Length(inner)
            | Self::BareId(inner) => inner.mentions(level),
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().any(|node| node.mentions(level)),
            Self::Compare { left, right, .. } | Self::Arithmetic { left, right, .. } => {
                left.mentions(level) || right.mentions(level)
            }
            Self::Between { of, low, high } => {
                [of, low, high].into_iter().any(|node| node.mentions(level))
            }
        }
    }
}

fn level_of(field: &Field) -> Level {
    match field {
        Field::Builtin(builtin) => builtin.level(),
        Field::Attribute { scope, .. } | Field::Parent { scope, .. } => match scope {
            Scope::Event => Level::Event,
            Scope::Link => Level::Link,
            scope if scope.is_of_trace() => Level::Trace,
            _ => Level::Span,
        },
    }
}
