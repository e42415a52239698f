use spanlite_model::{SpanKind, StatusCode};

use super::field::Field;

/// Bytes of the query text. Equal to any other place: where a thing was written is no part of
/// what it means.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Place {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    pub(crate) fn to(self, other: Self) -> Self {
        Self::new(self.start.min(other.start), self.end.max(other.end))
    }

    pub(crate) fn range(self) -> std::ops::Range<usize> {
        self.start..self.end
    }
}

/// A whole query, as written but for folded constants and dropped brackets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Query {
    pub(crate) body: Body,
    /// Only the last `with(…)` counts.
    pub(crate) hints: Vec<(Box<str>, Literal)>,
}

/// What a query yields.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    /// `{ .a } | count() > 2`
    Search(Pipeline),
    /// `{ .a } | rate()`, `({ } | rate()) / ({ } | rate())`
    Metrics(Metrics),
}

/// `stage | stage`
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pipeline {
    pub(crate) stages: Vec<Stage>,
}

/// One step of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stage {
    /// `{ .a } > { .b }`
    Spans(Spans),
    /// `tag.env = 'prod' AND span.type = 'LLM'`
    Filter(Expr),
    /// `count() > 2`
    Scalars {
        left: Scalar,
        op: BinaryOp,
        right: Scalar,
        place: Place,
    },
    /// `by(span.tool.name)`
    By(Expr),
    /// `coalesce()`
    Coalesce,
    /// `select(name, .a)`
    Select(Vec<(Field, Place)>),
    /// `order by duration desc, count()`
    OrderBy(Vec<OrderKey>),
    /// `limit 10 offset 20`
    Limit { limit: u64, offset: u64 },
    /// `since 2h`, `since "2025-11-01"`, `since $start`
    Since(Expr),
    /// `until 2h`
    Until(Expr),
}

/// `duration desc`, `sum(span.cost) asc`
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OrderKey {
    pub(crate) value: OrderValue,
    pub(crate) descending: bool,
}

/// What results are ordered by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum OrderValue {
    /// `duration`
    Field(Field),
    /// `sum(span.cost)`
    Aggregate(Aggregate),
}

/// An expression that yields a set of spans.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Spans {
    /// `{ .a }`; `{ }` holds `true`.
    Braces(Expr),
    /// `({ .a } | count() > 2)`
    Pipeline(Pipeline),
    /// `{ .a } >> { .b }`
    Binary {
        op: SpansOp,
        left: Box<Self>,
        right: Box<Self>,
    },
    /// `!{ .a }`
    Absent(Box<Self>),
}

/// An operator between sets of spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpansOp {
    /// `&&`
    And,
    /// `||`
    Or,
    /// `>`, `!>>`, `&~`
    Related { relation: Relation, mode: Mode },
}

/// How the spans on the right stand to those on the left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    /// `>`
    Child,
    /// `<`
    Parent,
    /// `>>`
    Descendant,
    /// `<<`
    Ancestor,
    /// `~`
    Sibling,
}

/// Which spans a relation returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `>`: those on the right that have a partner on the left.
    Plain,
    /// `!>`: those on the right that have none.
    Negated,
    /// `&>`: those on the right that have one, and the partners.
    Union,
}

/// A number computed from a set of spans, or a constant beside it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar {
    /// `avg(duration)`
    Aggregate(Aggregate),
    /// `2`, `1s`
    Number(Literal, Place),
    /// `count() * 2`
    Binary {
        op: BinaryOp,
        left: Box<Self>,
        right: Box<Self>,
        place: Place,
    },
    /// `({ .a } | count())`
    Pipeline(Pipeline, Aggregate, Place),
}

/// `count()`, `max(.a + .b)`
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Aggregate {
    pub(crate) function: AggregateFn,
    /// Absent for `count()` alone.
    pub(crate) argument: Option<Box<Expr>>,
    pub(crate) place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AggregateFn {
    Count,
    Min,
    Max,
    Avg,
    Sum,
}

impl AggregateFn {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Min => "min",
            Self::Max => "max",
            Self::Avg => "avg",
            Self::Sum => "sum",
        }
    }
}

/// An expression over the fields of one span.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expr {
    pub(crate) kind: ExprKind,
    pub(crate) place: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ExprKind {
    /// `"x"`, `2`, `1h30m`, `error`
    Literal(Literal),
    /// `span.a`, `span:name`, `duration`
    Field(Field),
    /// `$user`
    Param(Box<str>),
    /// `input.messages[0].role`
    Path { root: Field, steps: Vec<PathStep> },
    /// `-.a`, `!.a`, `not .a = 1`
    Unary { op: UnaryOp, operand: Box<Expr> },
    /// `.a + 1`, `.a = .b`, `.a && .b`, `input contains "x"`
    Binary {
        op: BinaryOp,
        left: Box<Expr>,
        right: Box<Expr>,
        /// Of the operator.
        at: Place,
    },
    /// `.a = nil`, `.a != nil`, `.a is not null`
    Exists { operand: Box<Expr>, negated: bool },
    /// `.a in ("x", "y")`
    In {
        operand: Box<Expr>,
        values: Vec<Expr>,
    },
    /// `.a between 1 and 2`
    Between {
        operand: Box<Expr>,
        low: Box<Expr>,
        high: Box<Expr>,
    },
    /// `lower(name)`, `ago(1d)`
    Call {
        function: Function,
        arguments: Vec<Expr>,
    },
}

/// One step into a JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PathStep {
    /// `.key`, `."a key"`
    Key(Box<str>),
    /// `[2]`
    Index(u32),
    /// `[*]`
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    /// `json(span.args, "$.from")`
    Json,
    /// `lower(name)`
    Lower,
    /// `length(input)`: characters of a text, elements of an array.
    Length,
    /// `ago(1d)`
    Ago,
    /// `now()`
    Now,
}

impl Function {
    pub(crate) const ALL: [Self; 5] = [Self::Json, Self::Lower, Self::Length, Self::Ago, Self::Now];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Lower => "lower",
            Self::Length => "length",
            Self::Ago => "ago",
            Self::Now => "now",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnaryOp {
    /// `-`
    Minus,
    /// `!`, `not`
    Not,
    /// In filters, `not` behind a value: `x not in (…)` is true of an `x` that is there and is
    /// none of these, as `x != …`.
    Isnt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BinaryOp {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Regex,
    NotRegex,
    Has,
    Contains,
    StartsWith,
    EndsWith,
    Like,
    ILike,
    RLike,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
}

impl BinaryOp {
    /// The comparison with its sides swapped.
    pub(crate) fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
            other => other,
        }
    }

    /// How the operator is written.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Or => "||",
            Self::And => "&&",
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
            Self::Has => "has",
            Self::Contains => "contains",
            Self::StartsWith => "startswith",
            Self::EndsWith => "endswith",
            Self::Like => "like",
            Self::ILike => "ilike",
            Self::RLike => "rlike",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Power => "^",
        }
    }

    pub(crate) fn is_arithmetic(self) -> bool {
        matches!(
            self,
            Self::Add | Self::Subtract | Self::Multiply | Self::Divide | Self::Modulo | Self::Power
        )
    }

    /// Whether the operator is a word that compares texts.
    pub(crate) fn is_text(self) -> bool {
        matches!(
            self,
            Self::Has
                | Self::Contains
                | Self::StartsWith
                | Self::EndsWith
                | Self::Like
                | Self::ILike
                | Self::RLike
        )
    }

    pub(crate) fn is_connective(self) -> bool {
        matches!(self, Self::And | Self::Or)
    }
}

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    /// `2`
    Int(i64),
    /// `2.5`
    Float(f64),
    /// `"x"`
    Text(Box<str>),
    /// `true`
    Bool(bool),
    /// `1h30m`, in nanoseconds
    Duration(i64),
    /// `error`
    Status(StatusCode),
    /// `client`
    Kind(SpanKind),
}

/// What becomes of the spans of all traces.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Metrics {
    /// `{ .a } | rate() by (.b)`
    Series(Metric),
    /// `100`
    Number(Literal),
    /// `({ } | rate()) / ({ } | rate())`
    Binary {
        op: BinaryOp,
        left: Box<Self>,
        right: Box<Self>,
        place: Place,
    },
    /// `{ } | rate() > 10 | topk(5)`
    Second {
        inner: Box<Self>,
        second: Second,
        place: Place,
    },
}

/// What follows a metric.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Second {
    /// `topk(5)`
    TopK(i64),
    /// `bottomk(5)`
    BottomK(i64),
    /// `> 10`
    Compare(BinaryOp, Literal),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Metric {
    pub(crate) pipeline: Pipeline,
    pub(crate) function: MetricFn,
    pub(crate) by: Vec<(Field, Place)>,
    /// Of the function.
    pub(crate) place: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum MetricFn {
    /// `rate()`
    Rate,
    /// `count_over_time()`
    Count,
    /// `min_over_time(duration)`
    Over(OverTime, Field, Place),
    /// `histogram_over_time(duration)`
    Histogram(Field, Place),
    /// `quantile_over_time(duration, .5, .95)`
    Quantile(Field, Vec<f64>, Place),
    /// `compare({ status = error }, 5)`
    Compare {
        selection: Expr,
        top: i64,
        /// Unix nanoseconds.
        window: Option<(i64, i64)>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OverTime {
    Min,
    Max,
    Avg,
    Sum,
}

impl OverTime {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Min => "min_over_time",
            Self::Max => "max_over_time",
            Self::Avg => "avg_over_time",
            Self::Sum => "sum_over_time",
        }
    }
}
