//! What stands between operators outside of braces, by kind, and how kinds combine.

use super::ast::{
    BinaryOp, Literal, Metrics, Mode, Pipeline, Place, Relation, Scalar, Spans, SpansOp, Stage,
};
use super::cursor::Parsed;
use super::fold;
use super::token::{Symbol, Token};
use crate::error::{Code, QueryError};

/// A piece of a query outside of braces.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    pub(crate) place: Place,
    /// Every operand of it stands in brackets of its own.
    pub(crate) bracketed: bool,
    /// A pipeline is part of it.
    pub(crate) holds_pipeline: bool,
}

#[derive(Debug)]
pub(crate) enum NodeKind {
    /// `{ .a } > { .b }`
    Spans(Spans),
    /// `count() > 2`, `by(.a)`
    Stage(Stage),
    /// `{ .a } | count() > 2`
    Pipeline(Pipeline),
    /// `count()`, `2`
    Scalar(Scalar),
    /// `{ } | rate()`
    Metrics(Metrics),
}

impl NodeKind {
    fn described(&self) -> &'static str {
        match self {
            Self::Spans(_) => "spans",
            Self::Stage(_) | Self::Pipeline(_) => "a pipeline",
            Self::Scalar(Scalar::Number(..)) => "a number",
            Self::Scalar(_) => "an aggregate",
            Self::Metrics(_) => "a metric",
        }
    }
}

/// An operator outside of braces.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outer {
    Spans(SpansOp),
    /// May also be read as a relation between spans.
    Compare(BinaryOp, Option<SpansOp>),
    Arithmetic(BinaryOp),
}

/// The operator a token stands for, and its rank.
pub(crate) fn operator(token: &Token<'_>) -> Option<(Outer, u8)> {
    let Token::Symbol(symbol) = token else {
        return None;
    };
    let related = |relation, mode| SpansOp::Related { relation, mode };
    let spans = |relation, mode| Some((Outer::Spans(related(relation, mode)), 2));
    let compare = |op| Some((Outer::Compare(op, None), 2));
    match symbol {
        Symbol::And => Some((Outer::Spans(SpansOp::And), 1)),
        Symbol::Or => Some((Outer::Spans(SpansOp::Or), 1)),
        Symbol::Greater => Some((
            Outer::Compare(
                BinaryOp::Greater,
                Some(related(Relation::Child, Mode::Plain)),
            ),
            2,
        )),
        Symbol::Less => Some((
            Outer::Compare(BinaryOp::Less, Some(related(Relation::Parent, Mode::Plain))),
            2,
        )),
        Symbol::Descendant => spans(Relation::Descendant, Mode::Plain),
        Symbol::Ancestor => spans(Relation::Ancestor, Mode::Plain),
        Symbol::Sibling => spans(Relation::Sibling, Mode::Plain),
        Symbol::NotChild => spans(Relation::Child, Mode::Negated),
        Symbol::NotParent => spans(Relation::Parent, Mode::Negated),
        Symbol::NotDescendant => spans(Relation::Descendant, Mode::Negated),
        Symbol::NotAncestor => spans(Relation::Ancestor, Mode::Negated),
        Symbol::NotRegex => spans(Relation::Sibling, Mode::Negated),
        Symbol::UnionChild => spans(Relation::Child, Mode::Union),
        Symbol::UnionParent => spans(Relation::Parent, Mode::Union),
        Symbol::UnionDescendant => spans(Relation::Descendant, Mode::Union),
        Symbol::UnionAncestor => spans(Relation::Ancestor, Mode::Union),
        Symbol::UnionSibling => spans(Relation::Sibling, Mode::Union),
        Symbol::Equal => compare(BinaryOp::Equal),
        Symbol::NotEqual => compare(BinaryOp::NotEqual),
        Symbol::LessEqual => compare(BinaryOp::LessEqual),
        Symbol::GreaterEqual => compare(BinaryOp::GreaterEqual),
        Symbol::Plus => Some((Outer::Arithmetic(BinaryOp::Add), 3)),
        Symbol::Minus => Some((Outer::Arithmetic(BinaryOp::Subtract), 3)),
        Symbol::Star => Some((Outer::Arithmetic(BinaryOp::Multiply), 4)),
        Symbol::Slash => Some((Outer::Arithmetic(BinaryOp::Divide), 4)),
        Symbol::Percent => Some((Outer::Arithmetic(BinaryOp::Modulo), 4)),
        Symbol::Caret => Some((Outer::Arithmetic(BinaryOp::Power), 5)),
        _ => None,
    }
}

/// `left op right`, if their kinds go together.
pub(crate) fn combine(left: Node, op: Outer, right: Node, at: Place) -> Parsed<Node> {
    let place = left.place.to(right.place);
    match op {
        Outer::Spans(op) => spans(left, op, right, at),
        Outer::Compare(_, Some(op))
            if !matches!(left.kind, NodeKind::Scalar(_) | NodeKind::Metrics(_)) =>
        {
            spans(left, op, right, at)
        }
        Outer::Compare(op, _) => compare(left, op, right, at),
        Outer::Arithmetic(op) => {
            let (left, right) = (left.kind, right.kind);
            arithmetic(op, left, right, place, at).map(|kind| Node {
                kind,
                place,
                bracketed: false,
                holds_pipeline: false,
            })
        }
    }
}

fn mismatch(op: &str, left: &NodeKind, right: &NodeKind, at: Place) -> QueryError {
    let message = format!(
        "`{op}` does not join {} and {}",
        left.described(),
        right.described()
    );
    let error = QueryError::new(Code::Unexpected, at.range(), message);
    match (left, right) {
        (NodeKind::Metrics(_), _) | (_, NodeKind::Metrics(_)) => {
            error.help("metrics are joined by + - * / with each other and with plain numbers")
        }
        (NodeKind::Scalar(_), NodeKind::Scalar(_)) => {
            error.help("aggregates are compared by = != < <= > >=")
        }
        _ => error.help("spans are joined by && || > >> < << ~ and their forms with ! and &"),
    }
}

fn spans(left: Node, op: SpansOp, right: Node, at: Place) -> Parsed<Node> {
    let place = left.place.to(right.place);
    let holds_pipeline = left.holds_pipeline || right.holds_pipeline;
    let bracketed = left.bracketed && right.bracketed;
    let op_text = super::print::spans_op(op);
    match (into_spans(left.kind), into_spans(right.kind)) {
        (Ok(left), Ok(right)) => {
            if holds_pipeline && !bracketed {
                return Err(QueryError::new(
                    Code::Unexpected,
                    at.range(),
                    format!("beside a pipeline both sides of `{op_text}` need brackets"),
                )
                .help("write ({ … } | …) && ({ … })"));
            }
            let (left, right) = (Box::new(left), Box::new(right));
            let kind = NodeKind::Spans(Spans::Binary { op, left, right });
            Ok(Node {
                kind,
                place,
                bracketed,
                holds_pipeline,
            })
        }
        (left, right) => {
            let (left, right) = (either(left), either(right));
            Err(mismatch(&op_text, &left, &right, at))
        }
    }
}

fn either(spans: Result<Spans, Box<NodeKind>>) -> NodeKind {
    spans.map_or_else(|kind| *kind, NodeKind::Spans)
}

fn into_spans(kind: NodeKind) -> Result<Spans, Box<NodeKind>> {
    match kind {
        NodeKind::Spans(spans) => Ok(spans),
        NodeKind::Stage(stage) => Ok(Spans::Pipeline(Pipeline {
            stages: vec![stage],
        })),
        NodeKind::Pipeline(pipeline) => Ok(Spans::Pipeline(pipeline)),
        other => Err(Box::new(other)),
    }
}

fn compare(left: Node, op: BinaryOp, right: Node, at: Place) -> Parsed<Node> {
    let place = left.place.to(right.place);
    let kind = match (left.kind, right.kind) {
        (NodeKind::Scalar(Scalar::Number(..)), NodeKind::Scalar(Scalar::Number(..))) => {
            return Err(QueryError::new(
                Code::Unexpected,
                place.range(),
                "one side of a filter outside of braces is an aggregate",
            )
            .help("such as count() > 2 or avg(duration) > 1s"));
        }
        (NodeKind::Scalar(left), NodeKind::Scalar(right)) => NodeKind::Stage(Stage::Scalars {
            left,
            op,
            right,
            place,
        }),
        (NodeKind::Metrics(inner), NodeKind::Scalar(Scalar::Number(number, _))) => {
            let second = super::ast::Second::Compare(op, number);
            NodeKind::Metrics(Metrics::Second {
                inner: Box::new(inner),
                second,
                place,
            })
        }
        (left, right) => return Err(mismatch(op.as_str(), &left, &right, at)),
    };
    let holds_pipeline = matches!(kind, NodeKind::Stage(_));
    Ok(Node {
        kind,
        place,
        bracketed: false,
        holds_pipeline,
    })
}

fn arithmetic(
    op: BinaryOp,
    left: NodeKind,
    right: NodeKind,
    place: Place,
    at: Place,
) -> Parsed<NodeKind> {
    match (left, right) {
        (
            NodeKind::Scalar(Scalar::Number(left, left_place)),
            NodeKind::Scalar(Scalar::Number(right, right_place)),
        ) => {
            let scalar = fold::literals(op, &left, &right).map_or_else(
                || Scalar::Binary {
                    op,
                    left: Box::new(Scalar::Number(left, left_place)),
                    right: Box::new(Scalar::Number(right, right_place)),
                    place,
                },
                |number| Scalar::Number(number, place),
            );
            Ok(NodeKind::Scalar(scalar))
        }
        (NodeKind::Scalar(left), NodeKind::Scalar(right)) => {
            let (left, right) = (Box::new(left), Box::new(right));
            Ok(NodeKind::Scalar(Scalar::Binary {
                op,
                left,
                right,
                place,
            }))
        }
        (left, right) => match (metric_operand(left), metric_operand(right)) {
            (Ok(left), Ok(right)) if !matches!(op, BinaryOp::Modulo | BinaryOp::Power) => {
                let (left, right) = (Box::new(left), Box::new(right));
                Ok(NodeKind::Metrics(Metrics::Binary {
                    op,
                    left,
                    right,
                    place,
                }))
            }
            (Ok(_), Ok(_)) => Err(QueryError::new(
                Code::Unexpected,
                at.range(),
                format!("metrics have no `{}`", op.as_str()),
            )),
            (Err(Refused::Duration), _) | (_, Err(Refused::Duration)) => Err(QueryError::new(
                Code::Unexpected,
                at.range(),
                "a duration is no operand of a metric",
            )
            .help("durations are reported in seconds: write 10 for 10s")),
            (left, right) => {
                let (left, right) = (refused(left), refused(right));
                Err(mismatch(op.as_str(), &left, &right, at))
            }
        },
    }
}

enum Refused {
    Duration,
    Other(Box<NodeKind>),
}

fn refused(operand: Result<Metrics, Refused>) -> NodeKind {
    match operand {
        Ok(metrics) => NodeKind::Metrics(metrics),
        Err(Refused::Other(kind)) => *kind,
        Err(Refused::Duration) => {
            NodeKind::Scalar(Scalar::Number(Literal::Int(0), Place::default()))
        }
    }
}

fn metric_operand(kind: NodeKind) -> Result<Metrics, Refused> {
    match kind {
        NodeKind::Metrics(metrics) => Ok(metrics),
        NodeKind::Scalar(Scalar::Number(Literal::Duration(_), _)) => Err(Refused::Duration),
        NodeKind::Scalar(Scalar::Number(number, _)) => Ok(Metrics::Number(number)),
        other => Err(Refused::Other(Box::new(other))),
    }
}
