//! Why a query may have found nothing: keys and values that nothing in the store has, and habits of
//! other languages that mean something else here.

mod keys;
mod values;

use spanlite_store::Snapshot;

use self::keys::Keys;
use self::values::{Comparison, note_of_value};
use crate::bind::each_expr;
use crate::error::{Code, QueryError};
use crate::query::Query;
use crate::resolve::mlflow::{also_there, plain};
use crate::run::RunError;
use crate::suggest::nearest;
use crate::syntax::ast::{BinaryOp, Expr, ExprKind, Literal, Place};
use crate::syntax::field::{Builtin, Field, Scope};
use crate::syntax::form::Form;
use crate::syntax::print;

/// Of traces that are in no block, so many are looked at.
const LOOSE_TRACES: usize = 1_000;

impl Query {
    /// What may be why the query found nothing: attributes that no span or trace of the snapshot
    /// has, with near keys; values that none has, with near values; attributes that are named like
    /// a built-in; and `%` or `*` where they stand for themselves. Places are bytes of the text
    /// that was read.
    ///
    /// Reads the columns of the fields that the query compares, of at most four million spans:
    /// of a larger store, nothing is said about values.
    pub fn notes(&self, snapshot: &Snapshot) -> Result<Vec<QueryError>, RunError> {
        let mut attributes = Vec::new();
        let mut comparisons = Vec::new();
        let mut notes = Vec::new();
        each_expr(&mut self.tree().clone(), &mut |expr| {
            if let ExprKind::Field(field) = &expr.kind
                && let field @ Field::Attribute { .. } = plain(field)
                && also_there(expr).is_empty()
            {
                attributes.push((field, expr.place));
            }
            notes.extend(note_of_pattern(expr));
            comparisons.extend(comparisons_of(expr));
        });
        let missing = missing_keys(&attributes, snapshot)?;
        for comparison in &comparisons {
            // Of a key that nothing has, nothing has a value; of a pattern all is said.
            let is_said = missing.iter().any(|(field, _)| *field == comparison.field)
                || is_like_pattern(&comparison.text);
            if !is_said {
                notes.extend(note_of_value(comparison, snapshot)?);
            }
        }
        notes.extend(missing.into_iter().map(|(_, note)| note));
        notes.sort_by_key(|note| note.span.start);
        notes.dedup();
        Ok(notes)
    }
}

/// The attributes that nothing has, and what to say of each.
fn missing_keys(
    attributes: &[(Field, Place)],
    snapshot: &Snapshot,
) -> Result<Vec<(Field, QueryError)>, RunError> {
    if attributes.is_empty() {
        return Ok(Vec::new());
    }
    let keys = Keys::of(snapshot)?;
    let missing = attributes.iter().filter_map(|(field, place)| {
        let note = note_of_key(&keys, field, *place)?;
        Some((field.clone(), note))
    });
    Ok(missing.collect())
}

fn note_of_key(keys: &Keys, field: &Field, place: Place) -> Option<QueryError> {
    let Field::Attribute { scope, name } = field else {
        return None;
    };
    let known = keys.of_scope(*scope)?;
    if known.iter().any(|set| set.contains(&**name)) {
        return None;
    }
    let shown = print::field(field, Form::Braces);
    let whose = if scope.is_of_trace() { "trace" } else { "span" };
    let note = QueryError::new(
        Code::UnknownName,
        place.range(),
        format!("no {whose} has {shown}"),
    );
    let builtin = Builtin::in_braces(&format!("span:{name}"))
        .filter(|_| matches!(scope, Scope::Span | Scope::Either));
    if let Some(builtin) = builtin {
        let mut note = note.help(format!("span:{name} is the built-in"));
        note.code = Code::LooksLikeBuiltin;
        return Some(note.replace(builtin.as_str()));
    }
    let near = nearest(name, known.into_iter().flatten().map(String::as_str));
    Some(match near {
        Some(near) => {
            let near = Field::Attribute {
                scope: *scope,
                name: near.into(),
            };
            let near = print::field(&near, Form::Braces);
            note.help(format!("near: {near}")).replace(near)
        }
        None => note,
    })
}

/// The comparisons with a text that one value of a field has to pass.
fn comparisons_of(expr: &Expr) -> Vec<Comparison> {
    let comparison = |field: &Expr, value: &Expr| match (&field.kind, &value.kind) {
        (ExprKind::Field(field), ExprKind::Literal(Literal::Text(text))) => Some(Comparison {
            field: plain(field),
            text: text.clone(),
            place: value.place,
        }),
        _ => None,
    };
    match &expr.kind {
        ExprKind::Binary {
            op: BinaryOp::Equal,
            left,
            right,
            ..
        } => comparison(left, right)
            .or_else(|| comparison(right, left))
            .into_iter()
            .collect(),
        ExprKind::In { operand, values } => values
            .iter()
            .filter_map(|value| comparison(operand, value))
            .collect(),
        _ => Vec::new(),
    }
}

fn is_like_pattern(text: &str) -> bool {
    text.len() > 1 && (text.starts_with('%') || text.ends_with('%'))
}

/// What to say of `= "a%"` and of `=~ "a*"`.
fn note_of_pattern(expr: &Expr) -> Option<QueryError> {
    let ExprKind::Binary { op, right, at, .. } = &expr.kind else {
        return None;
    };
    let ExprKind::Literal(Literal::Text(text)) = &right.kind else {
        return None;
    };
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-' || c == ' ';
    match op {
        BinaryOp::Equal if is_like_pattern(text) => {
            let note = QueryError::new(
                Code::LooksLikePattern,
                at.range(),
                "`=` takes `%` as it is written",
            );
            Some(note.help("did you mean like?").replace("like"))
        }
        BinaryOp::Regex if text.contains('*') && text.chars().all(|c| is_word(c) || c == '*') => {
            let note = QueryError::new(
                Code::LooksLikePattern,
                right.place.range(),
                "`*` repeats the character before it",
            );
            let meant = text.replace('*', ".*");
            Some(note.help(format!("did you mean {meant}?")))
        }
        _ => None,
    }
}
