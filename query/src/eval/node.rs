use std::borrow::Cow;

use spanlite_model::{Event, Link, Span};

use super::datum::Datum;
use super::field;
use super::text::fits;
use super::view::View;
use crate::pattern::Pattern;
use crate::resolve::Node;
use crate::resolve::compare::bare_id;
use crate::syntax::ast::{BinaryOp, PathStep};
use crate::syntax::field::Field;

/// What an expression is evaluated at.
#[derive(Clone, Copy)]
pub(crate) struct At<'v, 'a> {
    pub(crate) view: &'v View<'a>,
    /// The pre-order number of the span; none for the trace as a whole.
    pub(crate) number: Option<usize>,
    pub(crate) event: Option<&'a Event>,
    pub(crate) link: Option<&'a Link>,
    /// Where the values of fields come from, if they were found without their span.
    pub(crate) given: Option<Given<'v, 'a>>,
}

/// Values that were found without their span.
#[derive(Clone, Copy)]
pub(crate) enum Given<'v, 'a> {
    /// Every field has this value.
    Value(&'v Datum<'a>),
    /// Fields have the values of a row.
    Row(&'v dyn RowValues<'a>, usize),
}

/// Values of fields by row.
pub(crate) trait RowValues<'a> {
    fn value(&self, field: &Field, row: usize) -> Datum<'a>;
}

impl<'v, 'a> At<'v, 'a> {
    pub(crate) fn span_of(view: &'v View<'a>, number: usize) -> Self {
        Self {
            view,
            number: Some(number),
            event: None,
            link: None,
            given: None,
        }
    }

    pub(crate) fn whole(view: &'v View<'a>) -> Self {
        Self {
            view,
            number: None,
            event: None,
            link: None,
            given: None,
        }
    }

    /// Any place of the view, at which every field has this value.
    pub(crate) fn given(view: &'v View<'a>, value: &'v Datum<'a>) -> Self {
        Self {
            given: Some(Given::Value(value)),
            ..Self::whole(view)
        }
    }

    /// Any place of the view, at which fields have the values of a row.
    pub(crate) fn row(view: &'v View<'a>, values: &'v dyn RowValues<'a>, row: usize) -> Self {
        Self {
            given: Some(Given::Row(values, row)),
            ..Self::whole(view)
        }
    }

    pub(crate) fn span(self) -> Option<&'a Span> {
        self.number.map(|number| self.view.span(number))
    }
}

impl Node {
    /// Whether the condition holds. Nil and values that are not true do not.
    pub(crate) fn is_true(&self, at: At<'_, '_>) -> bool {
        match self {
            Self::And(nodes) => nodes.iter().all(|node| node.is_true(at)),
            Self::Or(nodes) => nodes.iter().any(|node| node.is_true(at)),
            Self::Not(inner) => inner.is_false(at),
            Self::NoSpan(inner) => {
                (0..at.view.len()).all(|number| !inner.is_true(At::span_of(at.view, number)))
            }
            Self::SomeEvent(inner) => at.span().is_some_and(|span| {
                span.events.iter().any(|event| {
                    inner.is_true(At {
                        event: Some(event),
                        ..at
                    })
                })
            }),
            Self::SomeLink(inner) => at.span().is_some_and(|span| {
                span.links.iter().any(|link| {
                    inner.is_true(At {
                        link: Some(link),
                        ..at
                    })
                })
            }),
            Self::Compare { op, left, right } => left.value(at).compare(*op, &right.value(at)),
            Self::Regex { of, regex, negated } => regex_fits(&of.value(at), regex, *negated),
            Self::Text { of, matcher } => fits(matcher, &of.value(at)),
            Self::Exists { of, negated } => of.value(at).is_nil() == *negated,
            Self::In { of, values } => {
                let value = of.value(at);
                values.iter().any(|one| value.compare(BinaryOp::Equal, one))
            }
            Self::Between { of, low, high } => {
                between(&of.value(at), &low.value(at), &high.value(at))
            }
            _ => matches!(self.value(at), Datum::Bool(true)),
        }
    }

    /// Whether the negation of the condition holds: it does where the condition is nil-false, but
    /// not where a value is neither true nor false.
    fn is_false(&self, at: At<'_, '_>) -> bool {
        if self.is_condition() {
            return !self.is_true(at);
        }
        matches!(self.value(at), Datum::Bool(false))
    }

    pub(crate) fn is_condition(&self) -> bool {
        matches!(
            self,
            Self::And(_)
                | Self::Or(_)
                | Self::Not(_)
                | Self::NoSpan(_)
                | Self::SomeEvent(_)
                | Self::SomeLink(_)
                | Self::Compare { .. }
                | Self::Regex { .. }
                | Self::Text { .. }
                | Self::Exists { .. }
                | Self::In { .. }
                | Self::Between { .. }
        )
    }

    /// The value of the expression.
    pub(crate) fn value<'a>(&self, at: At<'_, 'a>) -> Datum<'a> {
        match self {
            Self::Constant(constant) => constant.clone(),
            Self::Field(field) => field::value(field, at),
            Self::Path { of, steps } => path_value(&of.value(at), steps),
            Self::Minus(inner) => match inner.value(at) {
                Datum::Int(number) => Datum::Int(number.wrapping_neg()),
                Datum::Float(number) => Datum::Float(-number),
                Datum::Duration(nanos) => Datum::Duration(nanos.wrapping_neg()),
                _ => Datum::Nil,
            },
            Self::Arithmetic { op, left, right } => left
                .value(at)
                .arithmetic(*op, &right.value(at))
                .unwrap_or(Datum::Nil),
            Self::Lower(inner) => match inner.value(at) {
                Datum::Nil => Datum::Nil,
                value => {
                    let mut lowered = Vec::new();
                    value.any_text(&mut |text| {
                        lowered.push(Datum::Text(text.to_lowercase().into()));
                        false
                    });
                    match lowered.len() {
                        1 => lowered.pop().unwrap_or(Datum::Nil),
                        _ => Datum::Many(lowered),
                    }
                }
            },
            Self::Length(inner) => length(&inner.value(at)),
            Self::BareId(inner) => match inner.value(at) {
                Datum::Text(text) => Datum::Text(bare_id(&text).into()),
                other => other,
            },
            Self::Ago(nanos) => Datum::Time((at.view.now_unix_nano as i64).saturating_sub(*nanos)),
            condition => Datum::Bool(condition.is_true(at)),
        }
    }
}

fn regex_fits(value: &Datum<'_>, regex: &Pattern, negated: bool) -> bool {
    let text_fits = |value: &Datum<'_>| match value {
        Datum::Text(text) => Some(regex.is_match(text)),
        _ => None,
    };
    match value.elements() {
        None => text_fits(value).is_some_and(|fits| fits != negated),
        Some(elements) if negated => {
            !elements.is_empty() && elements.iter().all(|one| text_fits(one) == Some(false))
        }
        Some(elements) => elements.iter().any(|one| text_fits(one) == Some(true)),
    }
}

fn between(value: &Datum<'_>, low: &Datum<'_>, high: &Datum<'_>) -> bool {
    let inside = |one: &Datum<'_>| {
        one.compare(BinaryOp::GreaterEqual, low) && one.compare(BinaryOp::LessEqual, high)
    };
    match value.elements() {
        Some(elements) => elements.iter().any(inside),
        None => inside(value),
    }
}

/// Characters of a text, elements of a list.
fn length(value: &Datum<'_>) -> Datum<'static> {
    match value {
        Datum::Text(text) => Datum::Int(text.chars().count() as i64),
        Datum::Array(values) => Datum::Int(values.len() as i64),
        Datum::Many(values) | Datum::Each(values) => Datum::Int(values.len() as i64),
        Datum::Json(json) => match json.to_value() {
            Ok(serde_json::Value::Array(values)) => Datum::Int(values.len() as i64),
            _ => Datum::Int(json.to_display_text().chars().count() as i64),
        },
        _ => Datum::Nil,
    }
}

/// What a path leads to. Texts on the way that hold JSON are read.
fn path_value(value: &Datum<'_>, steps: &[PathStep]) -> Datum<'static> {
    let text: Cow<'_, str> = match value {
        Datum::Json(json) => Cow::Borrowed(json.as_text()),
        Datum::Text(text) => Cow::Borrowed(text),
        Datum::Array(values) => {
            Cow::Owned(spanlite_model::Value::Array(values.to_vec()).to_json_text())
        }
        _ => return Datum::Nil,
    };
    let Ok(document) = serde_json::from_str::<serde_json::Value>(&text) else {
        return Datum::Nil;
    };
    let mut found = Vec::new();
    collect(&document, steps, 0, &mut found);
    if steps.contains(&PathStep::Any) {
        return Datum::Many(found);
    }
    found.pop().unwrap_or(Datum::Nil)
}

/// A text may hold JSON that holds a text, this many times.
const MAX_NESTED_TEXTS: u32 = 4;

fn collect(
    value: &serde_json::Value,
    steps: &[PathStep],
    nested_texts: u32,
    found: &mut Vec<Datum<'static>>,
) {
    use serde_json::Value as J;
    let Some((step, rest)) = steps.split_first() else {
        found.push(Datum::of_json(value));
        return;
    };
    match (value, step) {
        (J::Object(entries), PathStep::Key(key)) => {
            if let Some(inner) = entries.get(&**key) {
                collect(inner, rest, nested_texts, found);
            }
        }
        (J::Array(values), PathStep::Index(index)) => {
            if let Some(inner) = values.get(*index as usize) {
                collect(inner, rest, nested_texts, found);
            }
        }
        (J::Array(values), PathStep::Any) => {
            for inner in values {
                collect(inner, rest, nested_texts, found);
            }
        }
        (J::String(text), _) if nested_texts < MAX_NESTED_TEXTS => {
            if let Ok(inner) = serde_json::from_str::<J>(text)
                && matches!(inner, J::Object(_) | J::Array(_) | J::String(_))
            {
                collect(&inner, steps, nested_texts + 1, found);
            }
        }
        _ => {}
    }
}
