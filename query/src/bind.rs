//! Parameters get their values.

use crate::syntax::ast::{
    Aggregate, Body, Expr, ExprKind, Literal, MetricFn, Metrics, OrderValue, Pipeline, Query,
    Scalar, Spans, Stage,
};

/// A value for a parameter.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Argument {
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Nanoseconds.
    DurationNanos(i64),
}

macro_rules! argument_from {
    ($($from:ty => $variant:ident),*) => {$(
        impl From<$from> for Argument {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}

argument_from!(&str => Text, String => Text, i64 => Int, i32 => Int, u32 => Int, f64 => Float, bool => Bool);

impl From<std::time::Duration> for Argument {
    fn from(duration: std::time::Duration) -> Self {
        Self::DurationNanos(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl Argument {
    fn literal(&self) -> Literal {
        match self {
            Self::Text(text) => Literal::Text(text.as_str().into()),
            Self::Int(number) => Literal::Int(*number),
            Self::Float(number) => Literal::Float(*number),
            Self::Bool(value) => Literal::Bool(*value),
            Self::DurationNanos(nanos) => Literal::Duration(*nanos),
        }
    }
}

/// Calls `visit` with every expression of the query, outer ones first.
pub(crate) fn each_expr(query: &mut Query, visit: &mut dyn FnMut(&mut Expr)) {
    match &mut query.body {
        Body::Search(one) => pipeline(one, visit),
        Body::Metrics(one) => metrics(one, visit),
    }
}

/// Puts a value in place of every `$name`; returns whether there was one.
pub(crate) fn bind(query: &mut Query, name: &str, argument: &Argument) -> bool {
    let mut found = false;
    each_expr(query, &mut |expr| {
        if matches!(&expr.kind, ExprKind::Param(param) if **param == *name) {
            expr.kind = ExprKind::Literal(argument.literal());
            found = true;
        }
    });
    found
}

fn metrics(one: &mut Metrics, visit: &mut dyn FnMut(&mut Expr)) {
    match one {
        Metrics::Series(metric) => {
            pipeline(&mut metric.pipeline, visit);
            if let MetricFn::Compare { selection, .. } = &mut metric.function {
                expr(selection, visit);
            }
        }
        Metrics::Number(_) => {}
        Metrics::Binary { left, right, .. } => {
            metrics(left, visit);
            metrics(right, visit);
        }
        Metrics::Second { inner, .. } => metrics(inner, visit),
    }
}

fn pipeline(one: &mut Pipeline, visit: &mut dyn FnMut(&mut Expr)) {
    for stage in &mut one.stages {
        match stage {
            Stage::Spans(set) => spans(set, visit),
            Stage::Filter(inner) | Stage::By(inner) | Stage::Since(inner) | Stage::Until(inner) => {
                expr(inner, visit);
            }
            Stage::Scalars { left, right, .. } => {
                scalar(left, visit);
                scalar(right, visit);
            }
            Stage::OrderBy(keys) => {
                for key in keys {
                    if let OrderValue::Aggregate(one) = &mut key.value {
                        aggregate(one, visit);
                    }
                }
            }
            Stage::Coalesce | Stage::Select(_) | Stage::Limit { .. } => {}
        }
    }
}

fn spans(set: &mut Spans, visit: &mut dyn FnMut(&mut Expr)) {
    match set {
        Spans::Braces(inner) => expr(inner, visit),
        Spans::Pipeline(inner) => pipeline(inner, visit),
        Spans::Binary { left, right, .. } => {
            spans(left, visit);
            spans(right, visit);
        }
        Spans::Absent(inner) => spans(inner, visit),
    }
}

fn scalar(one: &mut Scalar, visit: &mut dyn FnMut(&mut Expr)) {
    match one {
        Scalar::Aggregate(one) => aggregate(one, visit),
        Scalar::Number(..) => {}
        Scalar::Binary { left, right, .. } => {
            scalar(left, visit);
            scalar(right, visit);
        }
        Scalar::Pipeline(inner, one, _) => {
            pipeline(inner, visit);
            aggregate(one, visit);
        }
    }
}

fn aggregate(one: &mut Aggregate, visit: &mut dyn FnMut(&mut Expr)) {
    if let Some(argument) = &mut one.argument {
        expr(argument, visit);
    }
}

fn expr(one: &mut Expr, visit: &mut dyn FnMut(&mut Expr)) {
    visit(one);
    match &mut one.kind {
        ExprKind::Literal(_) | ExprKind::Field(_) | ExprKind::Param(_) | ExprKind::Path { .. } => {}
        ExprKind::Unary { operand, .. } | ExprKind::Exists { operand, .. } => expr(operand, visit),
        ExprKind::Binary { left, right, .. } => {
            expr(left, visit);
            expr(right, visit);
        }
        ExprKind::In { operand, values } => {
            expr(operand, visit);
            for value in values {
                expr(value, visit);
            }
        }
        ExprKind::Between { operand, low, high } => {
            for one in [operand, low, high] {
                expr(one, visit);
            }
        }
        ExprKind::Call { arguments, .. } => {
            for argument in arguments {
                expr(argument, visit);
            }
        }
    }
}
