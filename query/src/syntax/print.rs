//! The canonical form: brackets around every operand that is itself an operation, TraceQL's old
//! names for its built-ins, strings in back quotes. Reading it again gives the same tree.

use std::fmt::Write as _;

use spanlite_model::StatusCode;

use super::ast::{
    Aggregate, Body, Expr, ExprKind, Literal, Metric, MetricFn, Metrics, Mode, OrderValue,
    PathStep, Pipeline, Query, Relation, Scalar, Second, Spans, SpansOp, Stage, UnaryOp,
};
use super::field::{Field, Scope};
use super::form::Form;
use super::literal::{show_duration, show_float};
use super::quoted::ends_key;

/// The canonical form of a whole query.
pub(crate) fn query(query: &Query) -> String {
    let mut text = match &query.body {
        Body::Search(pipeline) => self::pipeline(pipeline),
        Body::Metrics(metrics) => self::metrics(metrics),
    };
    if !query.hints.is_empty() {
        let hints = query
            .hints
            .iter()
            .map(|(name, value)| format!("{name}={}", literal(value)));
        text = format!("{text} with({})", join(hints, ","));
    }
    text
}

fn join(parts: impl Iterator<Item = String>, separator: &str) -> String {
    parts.collect::<Vec<_>>().join(separator)
}

fn pipeline(pipeline: &Pipeline) -> String {
    join(pipeline.stages.iter().map(stage), "|")
}

/// One stage of a pipeline.
pub(crate) fn stage(stage: &Stage) -> String {
    match stage {
        Stage::Spans(set) => spans(set),
        Stage::Filter(condition) => expr(condition, Form::Filter),
        Stage::Scalars {
            left, op, right, ..
        } => {
            format!(
                "{} {} {}",
                wrapped_scalar(left),
                op.as_str(),
                wrapped_scalar(right)
            )
        }
        Stage::By(by) => format!("by({})", expr(by, Form::Braces)),
        Stage::Coalesce => "coalesce()".to_owned(),
        Stage::Select(fields) => {
            format!(
                "select({})",
                join(fields.iter().map(|(one, _)| field(one, Form::Braces)), ", ")
            )
        }
        Stage::OrderBy(keys) => {
            let keys = keys.iter().map(|key| {
                let value = match &key.value {
                    OrderValue::Field(one) => field(one, Form::Braces),
                    OrderValue::Aggregate(one) => aggregate(one),
                };
                value + if key.descending { " desc" } else { "" }
            });
            format!("order by {}", join(keys, ", "))
        }
        Stage::Limit { limit, offset: 0 } => format!("limit {limit}"),
        Stage::Limit { limit, offset } => format!("limit {limit} offset {offset}"),
        Stage::Since(time) => format!("since {}", expr(time, Form::Braces)),
        Stage::Until(time) => format!("until {}", expr(time, Form::Braces)),
    }
}

fn spans(set: &Spans) -> String {
    match set {
        Spans::Braces(condition) => format!("{{ {} }}", expr(condition, Form::Braces)),
        Spans::Pipeline(inner) => pipeline(inner),
        Spans::Binary { op, left, right } => {
            format!("({}) {} ({})", spans(left), spans_op(*op), spans(right))
        }
        Spans::Absent(inner) => format!("!({})", spans(inner)),
    }
}

/// How an operator between sets of spans is written.
pub(crate) fn spans_op(op: SpansOp) -> String {
    match op {
        SpansOp::And => "&&".to_owned(),
        SpansOp::Or => "||".to_owned(),
        SpansOp::Related { relation, mode } => {
            let mode = match mode {
                Mode::Plain => "",
                Mode::Negated => "!",
                Mode::Union => "&",
            };
            let relation = match relation {
                Relation::Child => ">",
                Relation::Parent => "<",
                Relation::Descendant => ">>",
                Relation::Ancestor => "<<",
                Relation::Sibling => "~",
            };
            format!("{mode}{relation}")
        }
    }
}

/// An aggregate with its argument.
pub(crate) fn aggregate(one: &Aggregate) -> String {
    let argument = one
        .argument
        .as_ref()
        .map(|argument| expr(argument, Form::Braces));
    format!(
        "{}({})",
        one.function.as_str(),
        argument.unwrap_or_default()
    )
}

fn scalar(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Aggregate(one) => aggregate(one),
        Scalar::Number(number, _) => literal(number),
        Scalar::Binary {
            op, left, right, ..
        } => {
            format!(
                "{} {} {}",
                wrapped_scalar(left),
                op.as_str(),
                wrapped_scalar(right)
            )
        }
        Scalar::Pipeline(inner, one, _) => format!("{}|{}", pipeline(inner), aggregate(one)),
    }
}

fn wrapped_scalar(one: &Scalar) -> String {
    match one {
        Scalar::Number(number, _) => literal(number),
        other => format!("({})", scalar(other)),
    }
}

/// An expression, by the rules of the form it stands in.
pub(crate) fn expr(one: &Expr, form: Form) -> String {
    match &one.kind {
        ExprKind::Literal(value) => literal_in(value, form),
        ExprKind::Field(one) => field(one, form),
        ExprKind::Param(name) => format!("${name}"),
        ExprKind::Path { root, steps } => format!("{}{}", field(root, form), path(steps)),
        ExprKind::Unary {
            op: UnaryOp::Minus,
            operand,
        } => format!("-{}", wrap(operand, form)),
        ExprKind::Unary {
            op: UnaryOp::Not,
            operand,
        } => match form {
            Form::Braces => format!("!{}", wrap(operand, form)),
            Form::Filter => format!("not {}", wrap(operand, form)),
        },
        ExprKind::Unary {
            op: UnaryOp::Isnt,
            operand,
        } => comparison(operand, form, "not "),
        ExprKind::Exists { operand, negated } => {
            format!(
                "{} {}= nil",
                wrap(operand, form),
                if *negated { "" } else { "!" }
            )
        }
        ExprKind::Binary { .. } | ExprKind::In { .. } | ExprKind::Between { .. } => {
            comparison(one, form, "")
        }
        ExprKind::Call {
            function,
            arguments,
        } => {
            let arguments = arguments.iter().map(|argument| expr(argument, form));
            format!("{}({})", function.as_str(), join(arguments, ", "))
        }
    }
}

/// In brackets where it is not one word.
fn wrap(inner: &Expr, form: Form) -> String {
    match &inner.kind {
        ExprKind::Literal(_)
        | ExprKind::Field(_)
        | ExprKind::Param(_)
        | ExprKind::Path { .. }
        | ExprKind::Call { .. } => expr(inner, form),
        _ => format!("({})", expr(inner, form)),
    }
}

/// What has an operator between its operands, with `not ` or nothing before the operator.
fn comparison(one: &Expr, form: Form, not: &str) -> String {
    match &one.kind {
        ExprKind::Binary {
            op, left, right, ..
        } => {
            let op = match (op.as_str(), form) {
                ("&&", Form::Filter) => "and",
                ("||", Form::Filter) => "or",
                (op, _) => op,
            };
            if reaches_further(left, op) {
                return format!("({}) {not}{op} {}", expr(left, form), wrap(right, form));
            }
            format!("{} {not}{op} {}", wrap(left, form), wrap(right, form))
        }
        ExprKind::In { operand, values } => {
            let values = values.iter().map(|value| expr(value, form));
            format!("{} {not}in ({})", wrap(operand, form), join(values, ", "))
        }
        ExprKind::Between { operand, low, high } => format!(
            "{} {not}between {} and {}",
            wrap(operand, form),
            wrap(low, form),
            wrap(high, form)
        ),
        _ => format!("{not}{}", wrap(one, form)),
    }
}

/// Whether the minus of a number on the left would be read as reaching over the operator.
fn reaches_further(left: &Expr, op: &str) -> bool {
    let negative = match &left.kind {
        ExprKind::Literal(Literal::Int(number) | Literal::Duration(number)) => {
            (i64::MIN + 1..0).contains(number)
        }
        ExprKind::Literal(Literal::Float(number)) => number.is_sign_negative(),
        _ => false,
    };
    negative && matches!(op, "*" | "/" | "%" | "^")
}

fn path(steps: &[PathStep]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            PathStep::Key(key)
                if !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_') =>
            {
                text.push('.');
                text.push_str(key);
            }
            PathStep::Key(key) => {
                text.push('.');
                text.push_str(&quoted_key(key));
            }
            PathStep::Index(index) => {
                // Writing to a string cannot fail.
                write!(text, "[{index}]").unwrap_or_default();
            }
            PathStep::Any => text.push_str("[*]"),
        }
    }
    text
}

fn quoted_key(key: &str) -> String {
    format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A field's name by the rules of the form it stands in.
pub(crate) fn field(one: &Field, form: Form) -> String {
    let (parent, scope, name) = match one {
        Field::Builtin(builtin) if form == Form::Filter => return builtin.filter_name().to_owned(),
        Field::Builtin(builtin) => return builtin.as_str().to_owned(),
        Field::Attribute { scope, name } => ("", *scope, name),
        Field::Parent { scope, name } => ("parent.", *scope, name),
    };
    // Behind a lone dot a digit begins a number.
    let is_number =
        matches!(scope, Scope::Either) && name.starts_with(|c: char| c.is_ascii_digit());
    let plain = !name.is_empty()
        && !is_number
        && !name.chars().any(|c| ends_key(c) || matches!(c, '"' | '`'));
    let key = if plain {
        name.to_string()
    } else {
        quoted_key(name)
    };
    let scope = match (scope, form) {
        (Scope::Either, _) if parent.is_empty() => ".",
        (Scope::Either, _) => "",
        (Scope::Span, Form::Filter) => "span.attributes.",
        (scope, _) => return format!("{parent}{}.{key}", scope.as_str()),
    };
    format!("{parent}{scope}{key}")
}

/// A constant inside braces or outside of both forms.
pub(crate) fn literal(value: &Literal) -> String {
    literal_in(value, Form::Braces)
}

fn literal_in(value: &Literal, form: Form) -> String {
    match value {
        Literal::Int(number) => number.to_string(),
        // Neither has a literal of its own.
        Literal::Float(number) if number.is_nan() => "(0.0 / 0.0)".to_owned(),
        Literal::Float(number) if number.is_infinite() => {
            let sign = if *number < 0.0 { "-" } else { "" };
            format!("({sign}1.0 / 0.0)")
        }
        Literal::Float(number) => show_float(*number),
        Literal::Text(text) => match form {
            Form::Braces => quoted(text),
            Form::Filter => format!("'{}'", text.replace('\'', "''")),
        },
        Literal::Bool(value) => value.to_string(),
        Literal::Duration(nanos) => show_duration(*nanos),
        Literal::Status(status) => match status {
            StatusCode::Ok => "ok",
            StatusCode::Error => "error",
            StatusCode::Unset => "unset",
        }
        .to_owned(),
        Literal::Kind(kind) => kind.as_str().to_owned(),
    }
}

fn quoted(text: &str) -> String {
    if !text.contains('`') {
        return format!("`{text}`");
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

fn metrics(one: &Metrics) -> String {
    match one {
        Metrics::Series(series) => metric(series),
        Metrics::Number(number) => literal(number),
        Metrics::Binary {
            op, left, right, ..
        } => {
            format!(
                "{} {} {}",
                wrapped_metrics(left),
                op.as_str(),
                wrapped_metrics(right)
            )
        }
        Metrics::Second { inner, second, .. } => {
            let inner = match &**inner {
                Metrics::Binary { .. } | Metrics::Number(_) => wrapped_metrics(inner),
                inner => metrics(inner),
            };
            match second {
                Second::TopK(k) => format!("{inner}|topk({k})"),
                Second::BottomK(k) => format!("{inner}|bottomk({k})"),
                Second::Compare(op, number) => {
                    format!("{inner} {} {}", op.as_str(), literal(number))
                }
            }
        }
    }
}

fn wrapped_metrics(one: &Metrics) -> String {
    match one {
        Metrics::Number(number) => literal(number),
        other => format!("({})", metrics(other)),
    }
}

fn metric(one: &Metric) -> String {
    let name = |one: &Field| field(one, Form::Braces);
    let function = match &one.function {
        MetricFn::Rate => "rate()".to_owned(),
        MetricFn::Count => "count_over_time()".to_owned(),
        MetricFn::Over(function, of, _) => format!("{}({})", function.as_str(), name(of)),
        MetricFn::Histogram(of, _) => format!("histogram_over_time({})", name(of)),
        MetricFn::Quantile(of, quantiles, _) => {
            let quantiles = join(quantiles.iter().map(|one| show_float(*one)), ", ");
            format!("quantile_over_time({}, {quantiles})", name(of))
        }
        MetricFn::Compare {
            selection,
            top,
            window,
        } => {
            let window = window
                .map(|(start, end)| format!(", {start}, {end}"))
                .unwrap_or_default();
            format!(
                "compare({{ {} }}, {top}{window})",
                expr(selection, Form::Braces)
            )
        }
    };
    let by = match one.by.len() {
        0 => String::new(),
        _ => format!(
            " by({})",
            join(one.by.iter().map(|(one, _)| name(one)), ", ")
        ),
    };
    format!("{}|{function}{by}", pipeline(&one.pipeline))
}
