//! Queries, pipelines and what joins sets of spans.

use super::ast::{
    Aggregate, AggregateFn, Body, Expr, ExprKind, Literal, OrderKey, OrderValue, Pipeline, Place,
    Query, Scalar, Spans, Stage,
};
use super::connect::condition;
use super::cursor::{Cursor, Parsed};
use super::fold;
use super::form::Form;
use super::metric;
use super::names;
use super::node::{self, Node, NodeKind};
use super::token::{Symbol, Token};
use crate::error::{Code, QueryError};

/// More brackets than any query may have.
const MAX_BRACKETS: usize = 128;

/// A whole query.
pub(crate) fn query(cursor: &mut Cursor<'_>) -> Parsed<Query> {
    let node = match cursor.form {
        Form::Braces => chain(cursor, false)?,
        Form::Filter => filter(cursor)?,
    };
    let place = node.place;
    let body = match node.kind {
        NodeKind::Metrics(metrics) => Body::Metrics(metrics),
        kind => Body::Search(Pipeline {
            stages: stages(cursor, kind, place)?,
        }),
    };
    let hints = hints(cursor)?;
    if *cursor.token() != Token::End {
        cursor.note("the end");
        return Err(cursor.unexpected());
    }
    Ok(Query { body, hints })
}

/// `with(most_recent=true)`, any number of times; the last one counts.
fn hints(cursor: &mut Cursor<'_>) -> Parsed<Vec<(Box<str>, Literal)>> {
    let mut hints = Vec::new();
    while cursor.eat_word("with", false).is_some() {
        hints.clear();
        let open = cursor.expect(Symbol::OpenParen)?;
        loop {
            let Token::Word(name) = *cursor.token() else {
                cursor.note("the name of a hint");
                return Err(cursor.unexpected());
            };
            cursor.advance();
            cursor.expect(Symbol::Equal)?;
            let minus = cursor.eat(Symbol::Minus);
            let Some(mut value) = names::try_literal(cursor) else {
                cursor.note("a constant");
                return Err(cursor.unexpected());
            };
            if let Some(minus) = minus {
                value = fold::unary(super::ast::UnaryOp::Minus, value, minus);
            }
            let ExprKind::Literal(value) = value.kind else {
                cursor.note("a constant");
                return Err(cursor.unexpected());
            };
            hints.push((name.into(), value));
            if cursor.eat(Symbol::Comma).is_none() {
                break;
            }
        }
        cursor.close(Symbol::CloseParen, open)?;
    }
    Ok(hints)
}

/// The filter form with what may follow it.
fn filter(cursor: &mut Cursor<'_>) -> Parsed<Node> {
    let start = cursor.place();
    let mut stages = vec![Stage::Filter(condition(cursor)?)];
    if let Some(order) = order_by(cursor)? {
        stages.push(order);
    }
    if let Some(limit) = limit(cursor)? {
        stages.push(limit);
    }
    rest_of_pipeline(cursor, stages, start, false)
}

/// `stage | stage …`, or a metric.
pub(crate) fn chain(cursor: &mut Cursor<'_>, in_brackets: bool) -> Parsed<Node> {
    let start = cursor.place();
    let constant_first = begins_with_bracketed_number(cursor);
    let first = joined(cursor, 1)?;
    if constant_first && matches!(first.kind, NodeKind::Stage(Stage::Scalars { .. })) {
        return Err(QueryError::new(
            Code::Unexpected,
            start.range(),
            "a number in brackets at the start is the operand of a metric, not of an aggregate",
        )
        .help("leave the brackets away"));
    }
    if *cursor.token() != Token::Symbol(Symbol::Bar) {
        cursor.note("`|`");
        return Ok(first);
    }
    if let NodeKind::Metrics(metrics) = first.kind {
        let metrics = metric::seconds(cursor, metrics, start)?;
        return Ok(Node {
            kind: NodeKind::Metrics(metrics),
            place: cursor.since(start),
            bracketed: false,
            holds_pipeline: false,
        });
    }
    let place = first.place;
    let stages = stages(cursor, first.kind, place)?;
    rest_of_pipeline(cursor, stages, start, in_brackets)
}

/// `((2)`: TraceQL reads brackets around a number at the start as arithmetic of metrics.
fn begins_with_bracketed_number(cursor: &Cursor<'_>) -> bool {
    let brackets = (0..=MAX_BRACKETS)
        .take_while(|&n| *cursor.ahead(n) == Token::Symbol(Symbol::OpenParen))
        .count();
    let number = brackets + usize::from(*cursor.ahead(brackets) == Token::Symbol(Symbol::Minus));
    brackets > 0
        && matches!(
            cursor.ahead(number),
            Token::Int(_) | Token::Float(_) | Token::Duration(_)
        )
        && *cursor.ahead(number + 1) == Token::Symbol(Symbol::CloseParen)
}

fn rest_of_pipeline(
    cursor: &mut Cursor<'_>,
    mut stages: Vec<Stage>,
    start: Place,
    in_brackets: bool,
) -> Parsed<Node> {
    let node = |cursor: &Cursor<'_>, kind| Node {
        kind,
        place: cursor.since(start),
        bracketed: false,
        holds_pipeline: true,
    };
    while cursor.eat(Symbol::Bar).is_some() {
        cursor.form = Form::Braces;
        cursor.count_operator()?;
        if let Some(function) = metric::function(cursor)? {
            let series = metric::series(cursor, Pipeline { stages }, function)?;
            let metrics = metric::seconds(cursor, series, start)?;
            return Ok(node(cursor, NodeKind::Metrics(metrics)));
        }
        if let Some(stage) = own_stage(cursor, in_brackets)? {
            stages.push(stage);
            continue;
        }
        if cursor.eat_word("coalesce", false).is_some() {
            let open = cursor.expect(Symbol::OpenParen)?;
            cursor.close(Symbol::CloseParen, open)?;
            stages.push(Stage::Coalesce);
            continue;
        }
        let next = joined(cursor, 1)?;
        match next.kind {
            NodeKind::Spans(spans) => stages.push(Stage::Spans(spans)),
            NodeKind::Stage(stage) => stages.push(stage),
            NodeKind::Pipeline(pipeline) => stages.push(Stage::Spans(Spans::Pipeline(pipeline))),
            NodeKind::Scalar(Scalar::Aggregate(aggregate))
                if in_brackets && *cursor.token() == Token::Symbol(Symbol::CloseParen) =>
            {
                let place = cursor.since(start);
                let scalar = Scalar::Pipeline(Pipeline { stages }, aggregate, place);
                return Ok(node(cursor, NodeKind::Scalar(scalar)));
            }
            NodeKind::Scalar(_) => return Err(lonely(cursor, next.place)),
            NodeKind::Metrics(_) => {
                return Err(QueryError::new(
                    Code::Unexpected,
                    next.place.range(),
                    "a metric in brackets is no stage",
                ));
            }
        }
    }
    Ok(node(cursor, NodeKind::Pipeline(Pipeline { stages })))
}

fn lonely(cursor: &mut Cursor<'_>, place: Place) -> QueryError {
    if *cursor.token() == Token::End {
        return QueryError::new(
            Code::Unexpected,
            place.range(),
            "this is a number, not a filter",
        )
        .help("compare it: count() > 2, avg(duration) > 1s");
    }
    cursor.note("a comparison");
    cursor.unexpected()
}

fn stages(cursor: &mut Cursor<'_>, kind: NodeKind, place: Place) -> Parsed<Vec<Stage>> {
    Ok(match kind {
        NodeKind::Spans(spans) => vec![Stage::Spans(spans)],
        NodeKind::Stage(stage) => vec![stage],
        NodeKind::Pipeline(pipeline) => pipeline.stages,
        NodeKind::Scalar(_) | NodeKind::Metrics(_) => return Err(lonely(cursor, place)),
    })
}

/// Spans, scalars and metrics in brackets, joined by operators of at least this rank.
fn joined(cursor: &mut Cursor<'_>, least: u8) -> Parsed<Node> {
    let mut left = unit(cursor)?;
    loop {
        let Some((op, rank)) = node::operator(cursor.token()) else {
            cursor.note("an operator");
            return Ok(left);
        };
        if rank < least {
            return Ok(left);
        }
        let at = cursor.advance();
        cursor.count_operator()?;
        let power = 5;
        let right = joined(cursor, if rank == power { power } else { rank + 1 })?;
        left = node::combine(left, op, right, at)?;
    }
}

fn unit(cursor: &mut Cursor<'_>) -> Parsed<Node> {
    cursor.enter()?;
    let node = unit_inside(cursor);
    cursor.leave();
    node
}

fn unit_inside(cursor: &mut Cursor<'_>) -> Parsed<Node> {
    let start = cursor.place();
    let node = |cursor: &Cursor<'_>, kind, holds_pipeline| Node {
        kind,
        place: cursor.since(start),
        bracketed: false,
        holds_pipeline,
    };
    if let Some(open) = cursor.eat(Symbol::OpenBrace) {
        let spans = Spans::Braces(braces(cursor, open)?);
        return Ok(node(cursor, NodeKind::Spans(spans), false));
    }
    if let Some(open) = cursor.eat(Symbol::OpenParen) {
        let inner = chain(cursor, true)?;
        cursor.close(Symbol::CloseParen, open)?;
        return Ok(Node {
            place: cursor.since(start),
            bracketed: true,
            ..inner
        });
    }
    if cursor.eat(Symbol::Not).is_some() || cursor.eat_word("not", true).is_some() {
        let inner = unit(cursor)?;
        let bracketed = inner.bracketed;
        let holds_pipeline = inner.holds_pipeline;
        let spans = match inner.kind {
            NodeKind::Spans(spans) => spans,
            NodeKind::Stage(stage) => Spans::Pipeline(Pipeline {
                stages: vec![stage],
            }),
            NodeKind::Pipeline(pipeline) => Spans::Pipeline(pipeline),
            NodeKind::Scalar(_) | NodeKind::Metrics(_) => return Err(lonely(cursor, inner.place)),
        };
        let kind = NodeKind::Spans(Spans::Absent(Box::new(spans)));
        return Ok(Node {
            kind,
            place: cursor.since(start),
            bracketed,
            holds_pipeline,
        });
    }
    if let Some(number) = number(cursor)? {
        let place = cursor.since(start);
        return Ok(node(
            cursor,
            NodeKind::Scalar(Scalar::Number(number, place)),
            false,
        ));
    }
    if let Some(aggregate) = aggregate(cursor)? {
        return Ok(node(
            cursor,
            NodeKind::Scalar(Scalar::Aggregate(aggregate)),
            false,
        ));
    }
    if cursor.eat_word("by", false).is_some() {
        let open = cursor.expect(Symbol::OpenParen)?;
        let stage = Stage::By(condition(cursor)?);
        cursor.close(Symbol::CloseParen, open)?;
        return Ok(node(cursor, NodeKind::Stage(stage), true));
    }
    if cursor.eat_word("select", false).is_some() {
        let stage = Stage::Select(fields(cursor)?);
        return Ok(node(cursor, NodeKind::Stage(stage), true));
    }
    if cursor.is_word(0, "coalesce", false) {
        return Err(QueryError::new(
            Code::Unexpected,
            start.range(),
            "coalesce() joins the groups of a stage before it",
        )
        .help("write by(…) | coalesce()"));
    }
    cursor.note("an aggregate");
    Err(cursor.unexpected())
}

/// What is between braces; nothing is `true`.
pub(crate) fn braces(cursor: &mut Cursor<'_>, open: Place) -> Parsed<Expr> {
    if let Some(close) = cursor.eat(Symbol::CloseBrace) {
        return Ok(Expr {
            kind: ExprKind::Literal(Literal::Bool(true)),
            place: open.to(close),
        });
    }
    let expr = condition(cursor)?;
    cursor.close(Symbol::CloseBrace, open)?;
    Ok(expr)
}

/// A number, if one is next.
pub(crate) fn number(cursor: &mut Cursor<'_>) -> Parsed<Option<Literal>> {
    let minus = *cursor.token() == Token::Symbol(Symbol::Minus);
    let number = match cursor.ahead(usize::from(minus)) {
        Token::Int(number) if minus => Literal::Int(number.wrapping_neg()),
        Token::Float(number) if minus => Literal::Float(-number),
        Token::Duration(nanos) if minus => Literal::Duration(nanos.wrapping_neg()),
        Token::Int(number) => Literal::Int(*number),
        Token::Float(number) => Literal::Float(*number),
        Token::Duration(nanos) => Literal::Duration(*nanos),
        _ if minus => {
            cursor.advance();
            cursor.note("a number");
            return Err(cursor.unexpected());
        }
        _ => {
            cursor.note("a number");
            return Ok(None);
        }
    };
    if minus {
        cursor.advance();
    }
    cursor.advance();
    Ok(Some(number))
}

fn aggregate(cursor: &mut Cursor<'_>) -> Parsed<Option<Aggregate>> {
    let start = cursor.place();
    let function = match cursor.token() {
        Token::Word("count") => AggregateFn::Count,
        Token::Word("min") => AggregateFn::Min,
        Token::Word("max") => AggregateFn::Max,
        Token::Word("avg") => AggregateFn::Avg,
        Token::Word("sum") => AggregateFn::Sum,
        _ => return Ok(None),
    };
    cursor.advance();
    let open = cursor.expect(Symbol::OpenParen)?;
    let argument = match function {
        AggregateFn::Count => None,
        _ => Some(Box::new(condition(cursor)?)),
    };
    cursor.close(Symbol::CloseParen, open)?;
    Ok(Some(Aggregate {
        function,
        argument,
        place: cursor.since(start),
    }))
}

/// `(field, field)`
pub(crate) fn fields(cursor: &mut Cursor<'_>) -> Parsed<Vec<(super::field::Field, Place)>> {
    let open = cursor.expect(Symbol::OpenParen)?;
    let mut fields = vec![names::field(cursor)?];
    while cursor.eat(Symbol::Comma).is_some() {
        fields.push(names::field(cursor)?);
    }
    cursor.close(Symbol::CloseParen, open)?;
    Ok(fields)
}

/// Stages that TraceQL does not have.
fn own_stage(cursor: &mut Cursor<'_>, in_brackets: bool) -> Parsed<Option<Stage>> {
    let start = cursor.place();
    let found = match order_by(cursor)? {
        Some(stage) => Some(stage),
        None => limit(cursor)?,
    };
    if let Some(stage) = found {
        if in_brackets {
            return Err(QueryError::new(
                Code::Unexpected,
                start.range(),
                "order and limit stand at the end of the whole query",
            ));
        }
        return Ok(Some(stage));
    }
    let since = cursor.eat_word("since", true).is_some();
    if !since && cursor.eat_word("until", true).is_none() {
        return Ok(None);
    }
    let place = cursor.place();
    let time = match cursor.token() {
        Token::Param(name) => ExprKind::Param((*name).into()),
        Token::Duration(nanos) => ExprKind::Literal(Literal::Duration(*nanos)),
        Token::Text { value, .. } => ExprKind::Literal(Literal::Text(value.as_str().into())),
        _ => {
            cursor.note("a duration");
            cursor.note("a date in quotes");
            return Err(cursor.unexpected());
        }
    };
    cursor.advance();
    let time = Expr { kind: time, place };
    Ok(Some(if since {
        Stage::Since(time)
    } else {
        Stage::Until(time)
    }))
}

fn order_by(cursor: &mut Cursor<'_>) -> Parsed<Option<Stage>> {
    if cursor.eat_word("order", true).is_none() {
        return Ok(None);
    }
    if cursor.eat_word("by", true).is_none() {
        return Err(cursor.unexpected());
    }
    let mut keys = Vec::new();
    loop {
        let value = match aggregate(cursor)? {
            Some(aggregate) => OrderValue::Aggregate(aggregate),
            None => OrderValue::Field(names::field(cursor)?.0),
        };
        let descending = cursor.eat_word("desc", true).is_some();
        if !descending {
            cursor.eat_word("asc", true);
        }
        keys.push(OrderKey { value, descending });
        if cursor.eat(Symbol::Comma).is_none() {
            return Ok(Some(Stage::OrderBy(keys)));
        }
    }
}

fn limit(cursor: &mut Cursor<'_>) -> Parsed<Option<Stage>> {
    if cursor.eat_word("limit", true).is_none() {
        return Ok(None);
    }
    let limit = count(cursor)?;
    let offset = match cursor.eat_word("offset", true) {
        Some(_) => count(cursor)?,
        None => 0,
    };
    Ok(Some(Stage::Limit { limit, offset }))
}

fn count(cursor: &mut Cursor<'_>) -> Parsed<u64> {
    if let Token::Int(number) = *cursor.token()
        && let Ok(number) = u64::try_from(number)
    {
        cursor.advance();
        return Ok(number);
    }
    cursor.note("a whole number");
    Err(cursor.unexpected())
}
