//! From text to a tree: names are looked up, types are not.

pub(crate) mod ast;
mod connect;
mod cursor;
mod expr;
mod few;
pub(crate) mod field;
pub(crate) mod fold;
pub(crate) mod form;
mod habits;
mod lex;
pub(crate) mod literal;
mod metric;
mod names;
mod node;
mod pipeline;
pub(crate) mod print;
mod quoted;
mod token;

pub(crate) use few::{few_values, meant_value};
pub(crate) use quoted::steps;

use crate::error::{Code, QueryError};

/// A query may be this many bytes long.
const MAX_LENGTH_BYTES: usize = 64 * 1024;

/// Reads a query, and what there is to warn of.
pub(crate) fn parse(text: &str) -> Result<(ast::Query, Vec<QueryError>), QueryError> {
    if text.len() > MAX_LENGTH_BYTES {
        let message = format!("the query is longer than {MAX_LENGTH_BYTES} bytes");
        return Err(QueryError::new(Code::TooLong, 0..0, message));
    }
    let form = form::Form::of(text);
    let lexemes = lex::tokens(text, form)?;
    let mut cursor = cursor::Cursor::new(lexemes, form);
    let query = pipeline::query(&mut cursor)?;
    Ok((query, cursor.warnings))
}
