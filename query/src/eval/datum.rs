use std::borrow::Cow;
use std::cmp::Ordering;

use spanlite_model::{Json, SpanKind, StatusCode, Value};

use crate::syntax::ast::BinaryOp;
use crate::syntax::fold::{compare, float_arithmetic, int_arithmetic};

/// A value while a query runs.
#[derive(Debug, Clone)]
pub(crate) enum Datum<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Nanoseconds.
    Duration(i64),
    /// Unix nanoseconds.
    Time(i64),
    Text(Cow<'a, str>),
    Status(StatusCode),
    Kind(SpanKind),
    /// An attribute that holds a list.
    Array(&'a [Value]),
    /// Any of these: what `[*]` finds, tags of several issues.
    Many(Vec<Self>),
    /// Each of these stands for itself: one that fits is enough, also for `!=`.
    Each(Vec<Self>),
    /// A JSON payload.
    Json(&'a Json),
}

impl Datum<'_> {
    /// A Unix time in nanoseconds. Later than the year 2262 is as late as that.
    pub(crate) fn time(unix_nano: u64) -> Self {
        Self::Time(i64::try_from(unix_nano).unwrap_or(i64::MAX))
    }
}

/// Two numbers, without loss where both are whole.
enum Numbers {
    Whole(i64, i64),
    Floats(f64, f64),
}

impl<'a> Datum<'a> {
    pub(crate) fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    pub(crate) fn is_nil(&self) -> bool {
        match self {
            Self::Nil => true,
            Self::Many(values) | Self::Each(values) => values.is_empty(),
            _ => false,
        }
    }

    /// An attribute's value. Bytes and maps are read as their JSON text.
    pub(crate) fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Nil,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(number) => Self::Int(*number),
            Value::Double(number) => Self::Float(*number),
            Value::String(text) => Self::text(text),
            Value::Array(values) => Self::Array(values),
            other => Self::Text(Cow::Owned(other.to_json_text())),
        }
    }

    /// A value inside a JSON document, without what it borrows.
    pub(crate) fn of_json(value: &serde_json::Value) -> Datum<'static> {
        use serde_json::Value as J;
        match value {
            J::Null => Datum::Nil,
            J::Bool(value) => Datum::Bool(*value),
            J::Number(number) => match number.as_i64() {
                Some(number) => Datum::Int(number),
                None => Datum::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            J::String(text) => Datum::Text(Cow::Owned(text.clone())),
            J::Array(values) => Datum::Many(values.iter().map(Datum::of_json).collect()),
            J::Object(_) => Datum::Text(Cow::Owned(value.to_string())),
        }
    }

    pub(crate) fn into_owned(self) -> Datum<'static> {
        match self {
            Self::Nil => Datum::Nil,
            Self::Bool(value) => Datum::Bool(value),
            Self::Int(number) => Datum::Int(number),
            Self::Float(number) => Datum::Float(number),
            Self::Duration(nanos) => Datum::Duration(nanos),
            Self::Time(nanos) => Datum::Time(nanos),
            Self::Text(text) => Datum::Text(Cow::Owned(text.into_owned())),
            Self::Status(status) => Datum::Status(status),
            Self::Kind(kind) => Datum::Kind(kind),
            Self::Array(values) => Datum::Many(
                values
                    .iter()
                    .map(|value| Datum::of(value).into_owned())
                    .collect(),
            ),
            Self::Many(values) => Datum::Many(values.into_iter().map(Datum::into_owned).collect()),
            Self::Each(values) => Datum::Each(values.into_iter().map(Datum::into_owned).collect()),
            Self::Json(json) => Datum::Text(Cow::Owned(json.to_display_text().into_owned())),
        }
    }

    /// The number as a float.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Int(number) | Self::Duration(number) | Self::Time(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }

    fn whole(&self) -> Option<i64> {
        match self {
            Self::Int(number) | Self::Duration(number) | Self::Time(number) => Some(*number),
            _ => None,
        }
    }

    fn numbers(&self, other: &Self) -> Option<Numbers> {
        match (self.whole(), other.whole()) {
            (Some(left), Some(right)) => Some(Numbers::Whole(left, right)),
            _ => Some(Numbers::Floats(self.number()?, other.number()?)),
        }
    }

    /// How two single values stand to each other; nothing where their types differ.
    pub(crate) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(left), Self::Text(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
            (Self::Bool(left), Self::Bool(right)) => Some(left.cmp(right)),
            (Self::Status(left), Self::Status(right)) => Some(left.cmp(right)),
            (Self::Kind(left), Self::Kind(right)) => Some(left.cmp(right)),
            _ => match self.numbers(other)? {
                Numbers::Whole(left, right) => Some(left.cmp(&right)),
                Numbers::Floats(left, right) => left.partial_cmp(&right),
            },
        }
    }

    /// `self op other` by the rules for nil, types and arrays: of an array any element may fit,
    /// but all must differ.
    pub(crate) fn compare(&self, op: BinaryOp, other: &Self) -> bool {
        if let Self::Each(values) = self {
            return values.iter().any(|one| one.compare(op, other));
        }
        if let Self::Each(values) = other {
            return values.iter().any(|one| self.compare(op, one));
        }
        match (self.elements(), other.elements()) {
            (None, None) => self.compare_single(op, other),
            (Some(left), None) => over(op, &left, |one| one.compare_single(op, other)),
            (None, Some(right)) => over(op, &right, |one| self.compare_single(op, one)),
            (Some(_), Some(_)) => false,
        }
    }

    fn compare_single(&self, op: BinaryOp, other: &Self) -> bool {
        let ordered = !matches!(
            (self, other),
            (Self::Bool(_) | Self::Status(_) | Self::Kind(_), _)
        );
        if !ordered && !matches!(op, BinaryOp::Equal | BinaryOp::NotEqual) {
            return false;
        }
        if let (Some(left), Some(right)) = (self.number(), other.number())
            && (left.is_nan() || right.is_nan())
        {
            // As floats compare: NaN is unequal to everything.
            return op == BinaryOp::NotEqual;
        }
        self.order(other)
            .and_then(|ordering| compare(op, ordering))
            .unwrap_or(false)
    }

    /// The elements of a list, a JSON payload read as what it holds.
    pub(crate) fn elements(&self) -> Option<Vec<Datum<'_>>> {
        match self {
            Self::Array(values) => Some(values.iter().map(Datum::of).collect()),
            Self::Many(values) => Some(values.clone()),
            Self::Json(json) => {
                let single = Datum::of_payload(json);
                match single {
                    Datum::Many(values) => Some(values),
                    single => Some(vec![single]),
                }
            }
            _ => None,
        }
    }

    /// A JSON payload as what it holds; its text where it cannot be read.
    fn of_payload(json: &Json) -> Datum<'static> {
        if let Some(text) = json.as_str() {
            return Datum::Text(Cow::Owned(text.into_owned()));
        }
        match json.to_value() {
            Ok(value) => Datum::of_json(&value),
            Err(_) => Datum::Text(Cow::Owned(json.as_text().to_owned())),
        }
    }

    /// `self op other` for numbers: whole ones stay whole, anything else becomes a float.
    pub(crate) fn arithmetic(&self, op: BinaryOp, other: &Self) -> Option<Datum<'static>> {
        if let (Datum::Int(left), Datum::Int(right)) = (self, other) {
            int_arithmetic(op, *left, *right).map(Datum::Int)
        } else {
            let result = float_arithmetic(op, self.number()?, other.number()?)?;
            let time = matches!(self, Self::Time(_)) || matches!(other, Self::Time(_));
            let shift = matches!(op, BinaryOp::Add | BinaryOp::Subtract);
            if let (true, true, Some(left), Some(right)) =
                (time, shift, self.whole(), other.whole())
            {
                return int_arithmetic(op, left, right).map(Datum::Time);
            }
            Some(Datum::Float(result))
        }
    }

    /// Calls `fits` with every text in the value: numbers as they are written, lists element by
    /// element, a payload as a person reads it. Returns whether one fits.
    pub(crate) fn any_text(&self, fits: &mut impl FnMut(&str) -> bool) -> bool {
        match self {
            Self::Text(text) => fits(text),
            Self::Json(json) => fits(&json.to_display_text()),
            Self::Array(values) => values.iter().any(|value| Datum::of(value).any_text(fits)),
            Self::Many(values) | Self::Each(values) => {
                values.iter().any(|value| value.any_text(fits))
            }
            Self::Int(number) => fits(&number.to_string()),
            Self::Float(number) => fits(&number.to_string()),
            Self::Bool(value) => fits(if *value { "true" } else { "false" }),
            Self::Status(status) => fits(status.as_str()),
            Self::Kind(kind) => fits(kind.as_str()),
            Self::Nil | Self::Duration(_) | Self::Time(_) => false,
        }
    }
}

fn over(op: BinaryOp, elements: &[Datum<'_>], fits: impl Fn(&Datum<'_>) -> bool) -> bool {
    if op == BinaryOp::NotEqual {
        !elements.is_empty() && elements.iter().all(fits)
    } else {
        elements.iter().any(fits)
    }
}
