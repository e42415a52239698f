use std::fmt;

use serde::{Serialize, Serializer};

use crate::eval::Datum;
use crate::syntax::literal::show_duration;

/// A value in a result.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Cell {
    /// There is none.
    Nil,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Nanoseconds.
    Duration(i64),
    /// Unix nanoseconds.
    Time(i64),
    /// A text; statuses and kinds by their name.
    Text(String),
    /// Several values of one field.
    List(Vec<Self>),
}

impl From<Datum<'_>> for Cell {
    fn from(value: Datum<'_>) -> Self {
        match value.into_owned() {
            Datum::Bool(value) => Self::Bool(value),
            Datum::Int(number) => Self::Int(number),
            Datum::Float(number) => Self::Float(number),
            Datum::Duration(nanos) => Self::Duration(nanos),
            Datum::Time(nanos) => Self::Time(nanos),
            Datum::Text(text) => Self::Text(text.into_owned()),
            Datum::Status(status) => Self::Text(status.as_str().to_owned()),
            Datum::Kind(kind) => Self::Text(kind.as_str().to_owned()),
            Datum::Many(values) => Self::List(values.into_iter().map(Self::from).collect()),
            Datum::Each(mut values) => {
                // The text of a number stands behind it for comparisons with texts.
                let mut after_other = false;
                values.retain(|value| {
                    let is_text = matches!(value, Datum::Text(_));
                    let stays = !(is_text && after_other);
                    after_other = !is_text;
                    stays
                });
                match values.len() {
                    1 => values.pop().map_or(Self::Nil, Self::from),
                    _ => Self::List(values.into_iter().map(Self::from).collect()),
                }
            }
            // Owned values hold no borrowed lists and payloads.
            Datum::Nil | Datum::Array(_) | Datum::Json(_) => Self::Nil,
        }
    }
}

impl fmt::Display for Cell {
    /// Writes durations as `1.5s`, times as RFC 3339 in UTC, nil as nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => Ok(()),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number}"),
            Self::Duration(nanos) => f.write_str(&show_duration(*nanos)),
            Self::Time(nanos) => {
                let time = chrono::DateTime::from_timestamp_nanos(*nanos);
                write!(
                    f,
                    "{}",
                    time.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true)
                )
            }
            Self::Text(text) => f.write_str(text),
            Self::List(values) => {
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{value}")?;
                }
                Ok(())
            }
        }
    }
}

impl Serialize for Cell {
    /// Durations and times are numbers of nanoseconds; NaN and the infinities are null.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(number) | Self::Duration(number) | Self::Time(number) => {
                serializer.serialize_i64(*number)
            }
            Self::Float(number) if number.is_finite() => serializer.serialize_f64(*number),
            Self::Nil | Self::Float(_) => serializer.serialize_unit(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(values) => serializer.collect_seq(values),
        }
    }
}
