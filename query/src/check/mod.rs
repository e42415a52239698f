//! What can be said to be wrong with a query before it is run. Errors come in the order TraceQL
//! finds them: operands before their operator, left before right, stages in turn.

mod metrics;
mod operands;
mod types;

pub(crate) use types::{mentions_span, type_of};

use crate::error::{Code, QueryError};
use crate::syntax::ast::{
    Aggregate, AggregateFn, BinaryOp, Body, Expr, ExprKind, Function, Literal, OrderValue,
    Pipeline, Place, Query, Scalar, Spans, Stage, UnaryOp,
};
use crate::syntax::field::{Builtin, Field, Scope, Type};
use crate::syntax::form::Form;
use crate::syntax::{literal, print, steps};
use types::{is_open, type_of_literal};

type Checked = Result<(), QueryError>;

/// Checks a query whose text is `source`.
pub(crate) fn check(query: &Query, source: &str) -> Checked {
    let checker = Checker { source };
    match &query.body {
        Body::Search(pipeline) => checker.pipeline(pipeline),
        Body::Metrics(metrics) => checker.metrics(metrics),
    }
}

fn unsupported(place: Place, what: &str, help: &str) -> QueryError {
    QueryError::new(
        Code::Unsupported,
        place.range(),
        format!("{what} is not supported"),
    )
    .help(help)
}

struct Checker<'a> {
    source: &'a str,
}

impl Checker<'_> {
    fn pipeline(&self, pipeline: &Pipeline) -> Checked {
        pipeline
            .stages
            .iter()
            .try_for_each(|stage| self.stage(stage))
    }

    fn stage(&self, stage: &Stage) -> Checked {
        match stage {
            Stage::Spans(spans) => self.spans(spans),
            Stage::Filter(condition) => self.condition(condition),
            Stage::Scalars {
                left,
                op,
                right,
                place,
            } => self.scalars(left, *op, right, *place),
            Stage::By(by) => {
                if !mentions_span(by) {
                    return Err(no_span(by.place, "by"));
                }
                self.expr(by)
            }
            Stage::Coalesce | Stage::Limit { .. } => Ok(()),
            Stage::Select(fields) => fields
                .iter()
                .try_for_each(|(field, place)| Self::field(field, *place)),
            Stage::OrderBy(keys) => keys.iter().try_for_each(|key| match &key.value {
                OrderValue::Field(_) => Ok(()),
                OrderValue::Aggregate(aggregate) => self.aggregate(aggregate),
            }),
            Stage::Since(time) | Stage::Until(time) => match &time.kind {
                ExprKind::Literal(Literal::Text(text)) => self.date(text, time.place),
                ExprKind::Literal(Literal::Duration(_) | Literal::Int(_)) | ExprKind::Param(_) => {
                    Ok(())
                }
                _ => Err(self.no_date(time.place)),
            },
        }
    }

    fn date(&self, text: &str, place: Place) -> Checked {
        match literal::date(text) {
            Some(_) => Ok(()),
            None => Err(self.no_date(place)),
        }
    }

    fn no_date(&self, place: Place) -> QueryError {
        let shown = self.source.get(place.range()).unwrap_or_default();
        QueryError::new(Code::BadDate, place.range(), format!("{shown} is no date"))
            .help("write \"2025-11-01\", \"2025-11-01T10:00:00Z\" or a duration such as 2h")
    }

    fn spans(&self, spans: &Spans) -> Checked {
        match spans {
            Spans::Braces(condition) => self.condition(condition),
            Spans::Pipeline(pipeline) => self.pipeline(pipeline),
            Spans::Binary { left, right, .. } => {
                self.spans(left)?;
                self.spans(right)
            }
            Spans::Absent(inner) => self.spans(inner),
        }
    }

    fn condition(&self, condition: &Expr) -> Checked {
        self.expr(condition)?;
        match type_of(condition) {
            Type::Any | Type::Json | Type::Bool => Ok(()),
            ty => {
                let shown = print::expr(condition, Form::Braces);
                let message = format!("{shown} is {}, not a condition", ty.described());
                let error = QueryError::new(Code::NotACondition, condition.place.range(), message);
                Err(match (&condition.kind, ty) {
                    (ExprKind::Literal(Literal::Status(_)), _) => {
                        error.help(format!("write status = {shown}"))
                    }
                    (ExprKind::Literal(Literal::Kind(_)), _) => {
                        error.help(format!("write kind = {shown}"))
                    }
                    (ExprKind::Literal(Literal::Text(_)), _) => {
                        error.help(format!("write text has {shown}"))
                    }
                    _ => error.help("compare it with something"),
                })
            }
        }
    }

    fn scalars(&self, left: &Scalar, op: BinaryOp, right: &Scalar, place: Place) -> Checked {
        self.scalar(left)?;
        self.scalar(right)?;
        let (left_type, right_type) = (scalar_type(left), scalar_type(right));
        self.operands(op, left_type, right_type, place, place)?;
        match (left, right) {
            (Scalar::Aggregate(_), Scalar::Number(..)) => Ok(()),
            (Scalar::Number(..), _) => Err(unsupported(
                place,
                "a number before an aggregate",
                "turn it round: count() > 2",
            )),
            (Scalar::Binary { .. }, _) | (_, Scalar::Binary { .. }) => Err(unsupported(
                place,
                "arithmetic with aggregates",
                "move it inside: sum(.a + .b) > 2",
            )),
            (Scalar::Pipeline(..), _) | (_, Scalar::Pipeline(..)) => Err(unsupported(
                place,
                "comparing the number of a whole pipeline",
                "write { … } | count() > 2",
            )),
            (_, Scalar::Aggregate(_)) => Err(unsupported(
                place,
                "comparing aggregates with each other",
                "compare with a number",
            )),
        }
    }

    fn scalar(&self, scalar: &Scalar) -> Checked {
        match scalar {
            Scalar::Aggregate(aggregate) => self.aggregate(aggregate),
            Scalar::Number(..) => Ok(()),
            Scalar::Binary {
                op,
                left,
                right,
                place,
            } => {
                self.scalar(left)?;
                self.scalar(right)?;
                self.operands(*op, scalar_type(left), scalar_type(right), *place, *place)
            }
            Scalar::Pipeline(pipeline, aggregate, _) => {
                self.pipeline(pipeline)?;
                self.aggregate(aggregate)
            }
        }
    }

    fn aggregate(&self, aggregate: &Aggregate) -> Checked {
        let Some(argument) = &aggregate.argument else {
            return Ok(());
        };
        self.expr(argument)?;
        let ty = type_of(argument);
        if !is_open(ty) && !ty.is_numeric() {
            let name = aggregate.function.as_str();
            let message = format!("{name} needs numbers, this is {}", ty.described());
            return Err(QueryError::new(
                Code::NotNumeric,
                argument.place.range(),
                message,
            ));
        }
        if !mentions_span(argument) {
            return Err(no_span(argument.place, aggregate.function.as_str()));
        }
        Ok(())
    }

    fn field(field: &Field, place: Place) -> Checked {
        match field {
            Field::Parent { .. } | Field::Builtin(Builtin::Parent) => Err(unsupported(
                place,
                "asking for the parent's fields",
                "write { … } > { … }",
            )),
            _ => Ok(()),
        }
    }

    fn expr(&self, expr: &Expr) -> Checked {
        match &expr.kind {
            ExprKind::Literal(_) | ExprKind::Param(_) => Ok(()),
            ExprKind::Field(field) | ExprKind::Path { root: field, .. } => {
                Self::field(field, expr.place)
            }
            ExprKind::Unary { op, operand } => {
                self.expr(operand)?;
                Self::unary(*op, operand, expr.place)
            }
            ExprKind::Binary {
                op,
                left,
                right,
                at,
            } => {
                self.expr(left)?;
                self.expr(right)?;
                self.literal_operands(*op, left, right)?;
                self.operands(*op, type_of(left), type_of(right), *at, expr.place)?;
                self.pattern(*op, right)
            }
            ExprKind::Exists { operand, negated } => {
                self.expr(operand)?;
                Self::exists(operand, *negated, expr.place)
            }
            ExprKind::In { operand, values } => {
                self.expr(operand)?;
                values.iter().try_for_each(|value| {
                    self.literal_operands(BinaryOp::Equal, operand, value)?;
                    self.operands(
                        BinaryOp::Equal,
                        type_of(operand),
                        type_of(value),
                        value.place,
                        expr.place,
                    )
                })
            }
            ExprKind::Between { operand, low, high } => {
                self.expr(operand)?;
                [low, high].into_iter().try_for_each(|end| {
                    self.expr(end)?;
                    self.literal_operands(BinaryOp::LessEqual, operand, end)?;
                    self.operands(
                        BinaryOp::LessEqual,
                        type_of(operand),
                        type_of(end),
                        end.place,
                        expr.place,
                    )
                })
            }
            ExprKind::Call {
                function,
                arguments,
            } => {
                arguments
                    .iter()
                    .try_for_each(|argument| self.expr(argument))?;
                Self::call(*function, arguments)
            }
        }
    }

    fn unary(op: UnaryOp, operand: &Expr, place: Place) -> Checked {
        let ty = type_of(operand);
        let fits = match op {
            UnaryOp::Minus => ty.is_numeric(),
            UnaryOp::Not | UnaryOp::Isnt => ty == Type::Bool,
        };
        if fits || is_open(ty) {
            return Ok(());
        }
        let shown = match op {
            UnaryOp::Minus => "-",
            UnaryOp::Not | UnaryOp::Isnt => "!",
        };
        let message = format!("`{shown}` has no meaning for {}", ty.described());
        Err(QueryError::new(Code::BadOperator, place.range(), message))
    }

    fn exists(operand: &Expr, negated: bool, place: Place) -> Checked {
        let always = match &operand.kind {
            ExprKind::Field(Field::Builtin(builtin)) => builtin.always_exists(),
            ExprKind::Field(Field::Attribute {
                scope: Scope::Resource,
                name,
            }) => &**name == "service.name",
            _ => false,
        };
        if negated && always {
            let shown = print::expr(operand, Form::Braces);
            let message = format!("{shown} always exists, so it is never nil");
            let error = QueryError::new(Code::NeverNil, place.range(), message);
            return Err(match &operand.kind {
                ExprKind::Field(Field::Builtin(Builtin::SpanParentId)) => {
                    error.help("a span without a parent has nestedSetParent < 0")
                }
                _ => error,
            });
        }
        Ok(())
    }

    fn call(function: Function, arguments: &[Expr]) -> Checked {
        let Some(first) = arguments.first() else {
            return Ok(());
        };
        let ty = type_of(first);
        let text_like = is_open(ty) || matches!(ty, Type::Text | Type::State);
        if !text_like && function != Function::Ago {
            let message = format!(
                "{} takes a text, this is {}",
                function.as_str(),
                ty.described()
            );
            return Err(QueryError::new(
                Code::TypeMismatch,
                first.place.range(),
                message,
            ));
        }
        if function == Function::Json
            && let Some(Expr {
                kind: ExprKind::Literal(Literal::Text(path)),
                place,
            }) = arguments.get(1)
            && path.strip_prefix('$').and_then(steps).is_none()
        {
            return Err(QueryError::new(
                Code::BadPath,
                place.range(),
                format!("`{path}` is no path"),
            )
            .help("a path is written \"$.key[0].\\\"a key\\\"\""));
        }
        Ok(())
    }
}

fn no_span(place: Place, what: &str) -> QueryError {
    QueryError::new(
        Code::NoSpan,
        place.range(),
        format!("{what} needs a field of the span"),
    )
}

fn alone(place: Place) -> QueryError {
    QueryError::new(
        Code::CompareStandsAlone,
        place.range(),
        "nothing follows compare(…)",
    )
}

fn scalar_type(scalar: &Scalar) -> Type {
    match scalar {
        Scalar::Aggregate(aggregate) | Scalar::Pipeline(_, aggregate, _) => {
            match (&aggregate.argument, aggregate.function) {
                (None, _) | (_, AggregateFn::Count) => Type::Int,
                (Some(argument), _) => type_of(argument),
            }
        }
        Scalar::Number(number, _) => type_of_literal(number),
        Scalar::Binary { left, right, .. } => match scalar_type(left) {
            Type::Any => scalar_type(right),
            left => left,
        },
    }
}
