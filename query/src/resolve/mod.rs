//! From the tree to something that can be evaluated: patterns are compiled, constants have the
//! type of what they are compared with, conditions on events know that they need one event.

pub(crate) mod compare;
pub(crate) mod expr;
pub(crate) mod mlflow;
mod node;
mod pipeline;

pub(crate) use node::Node;
pub(crate) use pipeline::{
    Aggregated, Body, Key, KeyValue, Measure, Narrow, Resolved, SeriesFn, SeriesPlan, Set, Stage,
    resolve,
};

use crate::eval::Datum;
use crate::pattern::Pattern;
use crate::syntax::ast::PathStep;

/// How a text is compared.
#[derive(Debug, Clone)]
pub(crate) enum Matcher {
    /// Words in a row, in lower case.
    Words(Vec<Box<str>>),
    /// A piece, in any case; the pattern is escaped.
    Piece {
        text: Box<str>,
        regex: Pattern,
    },
    Prefix(Box<str>),
    Suffix(Box<str>),
    Pattern(Pattern),
}

/// A step that needs the value as JSON.
pub(crate) type Steps = Box<[PathStep]>;

/// A constant.
pub(crate) type Constant = Datum<'static>;
