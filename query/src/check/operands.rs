use super::types::{go_together, has_operator, type_of};
use super::{Checked, Checker};
use crate::error::{Code, QueryError};
use crate::pattern::{self, Anchor, PatternError};
use crate::syntax::ast::{BinaryOp, Expr, ExprKind, Literal, Place};
use crate::syntax::field::Type;
use crate::syntax::form::Form;
use crate::syntax::print;

impl Checker<'_> {
    /// Dates in texts, and texts where a status or a kind is meant.
    pub(super) fn literal_operands(&self, op: BinaryOp, left: &Expr, right: &Expr) -> Checked {
        if op.is_text() || matches!(op, BinaryOp::Regex | BinaryOp::NotRegex) {
            return Ok(());
        }
        for (one, other) in [(left, right), (right, left)] {
            let ExprKind::Literal(Literal::Text(text)) = &other.kind else {
                continue;
            };
            let words: &[&str] = match type_of(one) {
                Type::Time => {
                    self.date(text, other.place)?;
                    continue;
                }
                Type::Status => &["ok", "error", "unset"],
                Type::Kind => &[
                    "unspecified",
                    "internal",
                    "client",
                    "server",
                    "producer",
                    "consumer",
                ],
                _ => continue,
            };
            let shown = print::expr(one, Form::Braces);
            let ty = type_of(one).described();
            let message = format!("{shown} ({ty}) {} \"{text}\" (a string)", op.as_str());
            let error = QueryError::new(Code::TypeMismatch, other.place.range(), message);
            let lower = text.to_lowercase();
            return Err(if words.contains(&lower.as_str()) {
                error
                    .help(format!("write {shown} {} {lower}", op.as_str()))
                    .replace(lower)
            } else {
                error.help(format!("{shown} is one of {}", words.join(", ")))
            });
        }
        Ok(())
    }

    pub(super) fn operands(
        &self,
        op: BinaryOp,
        left: Type,
        right: Type,
        at: Place,
        whole: Place,
    ) -> Checked {
        if !go_together(left, right) {
            let shown = self.source.get(whole.range()).unwrap_or_default();
            let message = format!(
                "`{}` does not join {} and {}: {shown}",
                op.as_str(),
                left.described(),
                right.described()
            );
            return Err(QueryError::new(Code::TypeMismatch, at.range(), message));
        }
        for ty in [left, right] {
            if !has_operator(ty, op) {
                let message = format!("`{}` has no meaning for {}", op.as_str(), ty.described());
                return Err(QueryError::new(Code::BadOperator, at.range(), message));
            }
        }
        Ok(())
    }

    pub(super) fn pattern(&self, op: BinaryOp, right: &Expr) -> Checked {
        let anchor = match op {
            BinaryOp::Regex | BinaryOp::NotRegex => Anchor::Whole,
            BinaryOp::RLike => Anchor::Part,
            _ if op.is_text() => {
                return match &right.kind {
                    ExprKind::Literal(Literal::Text(_)) | ExprKind::Param(_) => Ok(()),
                    _ => Err(QueryError::new(
                        Code::TypeMismatch,
                        right.place.range(),
                        format!("the right side of {} is a string", op.as_str()),
                    )),
                };
            }
            _ => return Ok(()),
        };
        let text = match &right.kind {
            ExprKind::Literal(Literal::Text(text)) => text,
            ExprKind::Param(_) => return Ok(()),
            _ => {
                return Err(QueryError::new(
                    Code::BadRegex,
                    right.place.range(),
                    format!("the right side of {} is a pattern in quotes", op.as_str()),
                ));
            }
        };
        match pattern::compile(text, anchor) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.bad_pattern(&error, text, right.place)),
        }
    }

    pub(super) fn bad_pattern(&self, error: &PatternError, text: &str, place: Place) -> QueryError {
        match error {
            PatternError::TooLarge => QueryError::new(
                Code::RegexTooLarge,
                place.range(),
                "this pattern is too large when compiled",
            )
            .help("use smaller repetitions"),
            PatternError::Syntax { span, reason } => {
                let body = place.start + 1..place.end.saturating_sub(1);
                let as_written = self.source.get(body.clone()) == Some(text);
                let range = if as_written {
                    body.start + span.start..body.start + span.end
                } else {
                    place.range()
                };
                let error =
                    QueryError::new(Code::BadRegex, range, format!("not a pattern: {reason}"));
                if text.starts_with('*') {
                    error.help("write .* for any text")
                } else {
                    error
                }
            }
        }
    }
}
