use super::expr::{condition, constant, value};
use super::mlflow::plain;
use super::{Constant, Node};
use crate::error::QueryError;
use crate::syntax::ast::{
    self, AggregateFn, BinaryOp, Expr, ExprKind, Literal, Metric, MetricFn, Metrics, OrderValue,
    OverTime, Scalar, Second, Spans, SpansOp,
};
use crate::syntax::field::{Field, Level};
use crate::syntax::form::Form;
use crate::syntax::{literal, print};

/// A query ready to run.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    pub(crate) body: Body,
    pub(crate) order: Vec<Key>,
    pub(crate) limit: Option<u64>,
    pub(crate) offset: u64,
}

#[derive(Debug, Clone)]
pub(crate) enum Body {
    Search(Vec<Stage>),
    Metrics(Measure),
}

/// A metric, or arithmetic over metrics.
#[derive(Debug, Clone)]
pub(crate) enum Measure {
    /// By its number among all series of the query.
    Series(Box<SeriesPlan>),
    Number(f64),
    Binary {
        op: BinaryOp,
        left: Box<Self>,
        right: Box<Self>,
    },
    Second {
        inner: Box<Self>,
        second: Narrow,
    },
}

#[derive(Debug, Clone)]
pub(crate) enum Narrow {
    Top(usize),
    Bottom(usize),
    Compare(BinaryOp, f64),
}

#[derive(Debug, Clone)]
pub(crate) struct SeriesPlan {
    pub(crate) stages: Vec<Stage>,
    pub(crate) function: SeriesFn,
    pub(crate) by: Vec<(String, Node)>,
}

#[derive(Debug, Clone)]
pub(crate) enum SeriesFn {
    Rate,
    Count,
    Over(OverTime, Node),
    Histogram(Node),
    Quantile(Node, Vec<f64>),
    Compare {
        selection: Node,
        top: usize,
        window: Option<(i64, i64)>,
    },
}

#[derive(Debug, Clone)]
pub(crate) enum Stage {
    Spans(Set),
    /// The filter form; `needs_span` tells whether a span has to fit.
    Filter {
        condition: Node,
        needs_span: bool,
    },
    Aggregated {
        aggregate: Aggregated,
        op: BinaryOp,
        limit: Constant,
    },
    By {
        of: Node,
        label: String,
    },
    Coalesce,
    Select(Vec<(String, Node)>),
    Since(TimeBound),
    Until(TimeBound),
}

/// A point in time, told from now or absolutely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeBound {
    /// Nanoseconds before now.
    Ago(i64),
    /// Unix nanoseconds.
    At(i64),
}

impl TimeBound {
    pub(crate) fn unix_nano(self, now_unix_nano: u64) -> i64 {
        match self {
            Self::Ago(nanos) => (now_unix_nano as i64).saturating_sub(nanos),
            Self::At(nanos) => nanos,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Set {
    Braces(Node),
    Pipeline(Vec<Stage>),
    Binary {
        op: SpansOp,
        left: Box<Self>,
        right: Box<Self>,
    },
    Absent(Box<Self>),
}

#[derive(Debug, Clone)]
pub(crate) struct Aggregated {
    pub(crate) function: AggregateFn,
    pub(crate) argument: Option<Node>,
    pub(crate) label: String,
}

/// What results are ordered by.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) value: KeyValue,
    pub(crate) descending: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum KeyValue {
    /// Of a span: the best matching span decides.
    Field(Node),
    Aggregate(Aggregated),
}

/// Resolves a whole query.
pub(crate) fn resolve(query: &ast::Query) -> Result<Resolved, QueryError> {
    match &query.body {
        ast::Body::Search(pipeline) => {
            let mut resolved = Resolved {
                body: Body::Search(stages(pipeline)?),
                order: Vec::new(),
                limit: None,
                offset: 0,
            };
            for stage in &pipeline.stages {
                match stage {
                    ast::Stage::OrderBy(keys) => {
                        resolved.order = keys.iter().map(key).collect::<Result<_, _>>()?;
                    }
                    ast::Stage::Limit { limit, offset } => {
                        resolved.limit = Some(*limit);
                        resolved.offset = *offset;
                    }
                    _ => {}
                }
            }
            Ok(resolved)
        }
        ast::Body::Metrics(metrics) => Ok(Resolved {
            body: Body::Metrics(measure(metrics)?),
            order: Vec::new(),
            limit: None,
            offset: 0,
        }),
    }
}

fn key(key: &ast::OrderKey) -> Result<Key, QueryError> {
    let value = match &key.value {
        OrderValue::Field(field) => KeyValue::Field(Node::Field(plain(field))),
        OrderValue::Aggregate(one) => KeyValue::Aggregate(aggregate(one)?),
    };
    Ok(Key {
        value,
        descending: key.descending,
    })
}

fn aggregate(one: &ast::Aggregate) -> Result<Aggregated, QueryError> {
    Ok(Aggregated {
        function: one.function,
        argument: one.argument.as_deref().map(value).transpose()?,
        label: print::aggregate(one),
    })
}

fn stages(pipeline: &ast::Pipeline) -> Result<Vec<Stage>, QueryError> {
    let stages = pipeline
        .stages
        .iter()
        .filter_map(|one| stage(one).transpose());
    stages.collect()
}

fn stage(stage: &ast::Stage) -> Result<Option<Stage>, QueryError> {
    Ok(Some(match stage {
        ast::Stage::Spans(spans) => Stage::Spans(set(spans)?),
        ast::Stage::Filter(expr) => {
            let condition = condition(expr, Form::Filter)?;
            let needs_span = condition.mentions(Level::Span);
            Stage::Filter {
                condition,
                needs_span,
            }
        }
        ast::Stage::Scalars {
            left, op, right, ..
        } => match (left, right) {
            (Scalar::Aggregate(one), Scalar::Number(number, _)) => Stage::Aggregated {
                aggregate: aggregate(one)?,
                op: *op,
                limit: constant(number),
            },
            // The checks refuse every other shape.
            _ => return Ok(None),
        },
        ast::Stage::By(expr) => Stage::By {
            of: value(expr)?,
            label: print::expr(expr, Form::Braces),
        },
        ast::Stage::Coalesce => Stage::Coalesce,
        ast::Stage::Select(fields) => {
            Stage::Select(fields.iter().map(|(field, _)| column(field)).collect())
        }
        ast::Stage::Since(time) => Stage::Since(bound(time)?),
        ast::Stage::Until(time) => Stage::Until(bound(time)?),
        ast::Stage::OrderBy(_) | ast::Stage::Limit { .. } => return Ok(None),
    }))
}

fn column(field: &Field) -> (String, Node) {
    (print::field(field, Form::Braces), Node::Field(plain(field)))
}

fn bound(time: &Expr) -> Result<TimeBound, QueryError> {
    Ok(match &time.kind {
        ExprKind::Literal(Literal::Duration(nanos)) => TimeBound::Ago(*nanos),
        ExprKind::Literal(Literal::Int(nanos)) => TimeBound::At(*nanos),
        ExprKind::Literal(Literal::Text(text)) => TimeBound::At(literal::date(text).unwrap_or(0)),
        _ => {
            // Only a parameter is left, which says that it has no value.
            value(time)?;
            TimeBound::At(0)
        }
    })
}

fn set(spans: &Spans) -> Result<Set, QueryError> {
    Ok(match spans {
        Spans::Braces(expr) => Set::Braces(condition(expr, Form::Braces)?),
        Spans::Pipeline(pipeline) => Set::Pipeline(stages(pipeline)?),
        Spans::Binary { op, left, right } => Set::Binary {
            op: *op,
            left: Box::new(set(left)?),
            right: Box::new(set(right)?),
        },
        Spans::Absent(inner) => Set::Absent(Box::new(set(inner)?)),
    })
}

fn measure(metrics: &Metrics) -> Result<Measure, QueryError> {
    Ok(match metrics {
        Metrics::Series(metric) => Measure::Series(Box::new(series(metric)?)),
        Metrics::Number(number) => Measure::Number(constant(number).number().unwrap_or(f64::NAN)),
        Metrics::Binary {
            op, left, right, ..
        } => Measure::Binary {
            op: *op,
            left: Box::new(measure(left)?),
            right: Box::new(measure(right)?),
        },
        Metrics::Second { inner, second, .. } => Measure::Second {
            inner: Box::new(measure(inner)?),
            second: match second {
                Second::TopK(k) => Narrow::Top(*k as usize),
                Second::BottomK(k) => Narrow::Bottom(*k as usize),
                Second::Compare(op, Literal::Duration(nanos)) => {
                    // Metrics of durations are in seconds.
                    Narrow::Compare(*op, *nanos as f64 / 1e9)
                }
                Second::Compare(op, number) => {
                    Narrow::Compare(*op, constant(number).number().unwrap_or(f64::NAN))
                }
            },
        },
    })
}

fn series(metric: &Metric) -> Result<SeriesPlan, QueryError> {
    let of = |field: &Field| Node::Field(plain(field));
    let function = match &metric.function {
        MetricFn::Rate => SeriesFn::Rate,
        MetricFn::Count => SeriesFn::Count,
        MetricFn::Over(over, field, _) => SeriesFn::Over(*over, of(field)),
        MetricFn::Histogram(field, _) => SeriesFn::Histogram(of(field)),
        MetricFn::Quantile(field, quantiles, _) => SeriesFn::Quantile(of(field), quantiles.clone()),
        MetricFn::Compare {
            selection,
            top,
            window,
        } => SeriesFn::Compare {
            selection: condition(selection, Form::Braces)?,
            top: *top as usize,
            window: *window,
        },
    };
    Ok(SeriesPlan {
        stages: stages(&metric.pipeline)?,
        function,
        by: metric.by.iter().map(|(field, _)| column(field)).collect(),
    })
}
