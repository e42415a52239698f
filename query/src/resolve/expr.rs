use std::iter;

use super::compare::comparison;
use super::mlflow::{self, plain};
use super::{Constant, Matcher, Node};
use crate::error::{Code, QueryError};
use crate::eval::Datum;
use crate::pattern::{self, Anchor};
use crate::syntax::ast::{BinaryOp, Expr, ExprKind, Function, Literal, UnaryOp};
use crate::syntax::field::{Builtin, Field, Level};
use crate::syntax::form::Form;
use crate::syntax::steps;

/// Resolves a condition.
pub(crate) fn condition(expr: &Expr, form: Form) -> Result<Node, QueryError> {
    Ok(bind(Resolver { form }.node(expr)?))
}

/// Resolves an expression that is used for its value.
pub(crate) fn value(expr: &Expr) -> Result<Node, QueryError> {
    condition(expr, Form::Braces)
}

/// A constant of the language as a value.
pub(crate) fn constant(literal: &Literal) -> Constant {
    match literal {
        Literal::Int(number) => Datum::Int(*number),
        Literal::Float(number) => Datum::Float(*number),
        Literal::Text(text) => Datum::Text(text.to_string().into()),
        Literal::Bool(value) => Datum::Bool(*value),
        Literal::Duration(nanos) => Datum::Duration(*nanos),
        Literal::Status(status) => Datum::Status(*status),
        Literal::Kind(kind) => Datum::Kind(*kind),
    }
}

pub(super) struct Resolver {
    pub(super) form: Form,
}

impl Resolver {
    pub(super) fn node(&self, expr: &Expr) -> Result<Node, QueryError> {
        Ok(match &expr.kind {
            ExprKind::Literal(literal) => Node::Constant(constant(literal)),
            ExprKind::Field(field) => Node::Field(plain(field)),
            ExprKind::Param(name) => {
                let message = format!("the parameter `${name}` has no value");
                return Err(
                    QueryError::new(Code::UnboundParameter, expr.place.range(), message)
                        .help("bind it before the query runs"),
                );
            }
            ExprKind::Path { root, steps } => Node::Path {
                of: Box::new(Node::Field(root.clone())),
                steps: steps.clone().into(),
            },
            ExprKind::Unary { op, operand } => {
                let inner = Box::new(self.node(operand)?);
                match op {
                    UnaryOp::Isnt => {
                        let mut both = vec![Node::Not(inner)];
                        if let Some(subject) = subject(operand) {
                            both.push(Node::Exists {
                                of: Box::new(self.node(subject)?),
                                negated: false,
                            });
                        }
                        Node::And(both)
                    }
                    UnaryOp::Minus => Node::Minus(inner),
                    UnaryOp::Not if self.form == Form::Filter && inner.mentions(Level::Span) => {
                        Node::NoSpan(Box::new(bind(*inner)))
                    }
                    UnaryOp::Not => Node::Not(inner),
                }
            }
            ExprKind::Binary {
                op, left, right, ..
            } => self.binary(*op, left, right)?,
            ExprKind::Exists { operand, negated } => {
                let exists = |of| Node::Exists {
                    of: Box::new(of),
                    negated: *negated,
                };
                let here = exists(self.node(operand)?);
                let others = mlflow::also_there(operand);
                if others.is_empty() {
                    return Ok(here);
                }
                let others = others
                    .iter()
                    .map(|one| exists(Node::Field(Field::Builtin(*one))));
                let each = iter::once(here).chain(others).collect();
                if *negated {
                    Node::And(each)
                } else {
                    Node::Or(each)
                }
            }
            ExprKind::In { operand, values } => self.list(operand, values)?,
            ExprKind::Between { operand, low, high } => {
                let from = mlflow::in_millis(BinaryOp::GreaterEqual, operand, low);
                let to = mlflow::in_millis(BinaryOp::LessEqual, operand, high);
                if let (Some(from), Some(to)) = (from, to) {
                    return Ok(Node::And(vec![from, to]));
                }
                let (of, low) = comparison(self, operand, low)?;
                let (_, high) = comparison(self, operand, high)?;
                let (of, low, high) = (Box::new(of), Box::new(low), Box::new(high));
                Node::Between { of, low, high }
            }
            ExprKind::Call {
                function,
                arguments,
            } => self.call(*function, arguments)?,
        })
    }

    fn call(&self, function: Function, arguments: &[Expr]) -> Result<Node, QueryError> {
        let first = |resolver: &Self| match arguments.first() {
            Some(argument) => resolver.node(argument),
            None => Ok(Node::Constant(Datum::Nil)),
        };
        let literal = |index: usize| match arguments.get(index).map(|argument| &argument.kind) {
            Some(ExprKind::Literal(literal)) => Some(literal),
            _ => None,
        };
        Ok(match function {
            Function::Now => Node::Ago(0),
            Function::Ago => match literal(0) {
                Some(Literal::Duration(nanos)) => Node::Ago(*nanos),
                _ => Node::Constant(Datum::Nil),
            },
            Function::Lower => Node::Lower(Box::new(first(self)?)),
            Function::Length => Node::Length(Box::new(first(self)?)),
            Function::Json => {
                let path = match literal(1) {
                    Some(Literal::Text(path)) => path.strip_prefix('$').and_then(steps),
                    _ => None,
                };
                Node::Path {
                    of: Box::new(first(self)?),
                    steps: path.unwrap_or_default().into(),
                }
            }
        })
    }

    fn binary(&self, op: BinaryOp, left: &Expr, right: &Expr) -> Result<Node, QueryError> {
        if op.is_connective() {
            let (left, right) = (self.node(left)?, self.node(right)?);
            return Ok(match op {
                BinaryOp::And => Node::And(flatten(left, right, |node| match node {
                    Node::And(nodes) => Ok(nodes),
                    other => Err(other),
                })),
                _ => Node::Or(flatten(left, right, |node| match node {
                    Node::Or(nodes) => Ok(nodes),
                    other => Err(other),
                })),
            });
        }
        if op.is_arithmetic() {
            let (left, right) = (Box::new(self.node(left)?), Box::new(self.node(right)?));
            return Ok(Node::Arithmetic { op, left, right });
        }
        if matches!(op, BinaryOp::Regex | BinaryOp::NotRegex) || op.is_text() {
            return self.pattern(op, left, right);
        }
        if let Some(whole) = mlflow::in_millis(op, left, right) {
            return Ok(whole);
        }
        let (left, right) = comparison(self, left, right)?;
        Ok(Node::Compare {
            op,
            left: Box::new(left),
            right: Box::new(right),
        })
    }

    fn list(&self, operand: &Expr, values: &[Expr]) -> Result<Node, QueryError> {
        let millis = |value| mlflow::in_millis(BinaryOp::Equal, operand, value);
        if let Some(each) = values.iter().map(millis).collect() {
            return Ok(Node::Or(each));
        }
        let mut of = self.node(operand)?;
        let mut constants = Vec::with_capacity(values.len());
        for value in values {
            let (left, right) = comparison(self, operand, value)?;
            of = left;
            if let Node::Constant(constant) = right {
                constants.push(constant);
            }
        }
        Ok(Node::In {
            of: Box::new(of),
            values: constants,
        })
    }

    fn pattern(&self, op: BinaryOp, left: &Expr, right: &Expr) -> Result<Node, QueryError> {
        let ExprKind::Literal(Literal::Text(text)) = &right.kind else {
            // A parameter that was not bound says so.
            return self.node(right);
        };
        let any_case = is_span_type(left);
        let of = Box::new(self.node(left)?);
        let too_large = || {
            QueryError::new(
                Code::RegexTooLarge,
                right.place.range(),
                "this pattern is too large when compiled",
            )
        };
        let compiled =
            |pattern: &str, anchor| pattern::compile(pattern, anchor).map_err(|_| too_large());
        let matcher = match op {
            BinaryOp::Regex | BinaryOp::NotRegex => {
                let pattern = if any_case {
                    format!("(?i){text}")
                } else {
                    text.to_string()
                };
                let regex = compiled(&pattern, Anchor::Whole)?;
                let negated = op == BinaryOp::NotRegex;
                return Ok(Node::Regex { of, regex, negated });
            }
            BinaryOp::RLike => Matcher::Pattern(compiled(text, Anchor::Part)?),
            BinaryOp::Like | BinaryOp::ILike => {
                let ignore_case = any_case || op == BinaryOp::ILike;
                Matcher::Pattern(pattern::like(text, ignore_case).map_err(|_| too_large())?)
            }
            BinaryOp::Has => Matcher::Words(crate::eval::words(text)),
            BinaryOp::StartsWith => Matcher::Prefix(text.clone()),
            BinaryOp::EndsWith => Matcher::Suffix(text.clone()),
            _ => {
                let regex = pattern::piece(text).map_err(|_| too_large())?;
                Matcher::Piece {
                    text: text.clone(),
                    regex,
                }
            }
        };
        Ok(Node::Text { of, matcher })
    }
}

pub(super) fn is_span_type(expr: &Expr) -> bool {
    matches!(
        expr.kind,
        ExprKind::Field(Field::Builtin(Builtin::SpanType))
    )
}

/// What a comparison is about.
fn subject(comparison: &Expr) -> Option<&Expr> {
    match &comparison.kind {
        ExprKind::Binary { left: subject, .. }
        | ExprKind::In {
            operand: subject, ..
        }
        | ExprKind::Between {
            operand: subject, ..
        } => Some(subject),
        _ => None,
    }
}

fn flatten(left: Node, right: Node, split: impl Fn(Node) -> Result<Vec<Node>, Node>) -> Vec<Node> {
    let mut nodes = match split(left) {
        Ok(nodes) => nodes,
        Err(node) => vec![node],
    };
    match split(right) {
        Ok(more) => nodes.extend(more),
        Err(node) => nodes.push(node),
    }
    nodes
}

/// Puts every condition on events and links under the one event or link it is about; conditions
/// joined by `&&` share it.
fn bind(node: Node) -> Node {
    match node {
        Node::And(nodes) => {
            let mut rest = Vec::new();
            let mut events = Vec::new();
            let mut links = Vec::new();
            for node in nodes {
                match (node.mentions(Level::Event), node.mentions(Level::Link)) {
                    (true, false) => events.push(node),
                    (false, true) => links.push(node),
                    _ => rest.push(bind(node)),
                }
            }
            rest.extend(group(events).map(|node| Node::SomeEvent(Box::new(node))));
            rest.extend(group(links).map(|node| Node::SomeLink(Box::new(node))));
            group(rest).unwrap_or(Node::Constant(Datum::Bool(true)))
        }
        Node::Or(nodes) => Node::Or(nodes.into_iter().map(bind).collect()),
        Node::Not(inner) => Node::Not(Box::new(bind(*inner))),
        node if node.is_value() => node,
        node => {
            let (event, link) = (node.mentions(Level::Event), node.mentions(Level::Link));
            let node = if link {
                Node::SomeLink(Box::new(node))
            } else {
                node
            };
            if event {
                Node::SomeEvent(Box::new(node))
            } else {
                node
            }
        }
    }
}

fn group(mut nodes: Vec<Node>) -> Option<Node> {
    match nodes.len() {
        0 => None,
        1 => nodes.pop(),
        _ => Some(Node::And(nodes)),
    }
}
