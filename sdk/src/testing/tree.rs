//! A trace as text.

use std::fmt::Write as _;

use spanlite_model::{Span, SpanType, StatusCode, Trace, keys};

/// Draws a trace as a tree: a line for each span with its role and its failure, below it what
/// went in, what came out, attributes and events. Times and ids are left out. Ends with a line
/// break.
pub fn draw(trace: &Trace) -> String {
    let mut out = String::new();
    let forest = trace.forest();
    let roots: Vec<usize> = forest.roots().collect();
    for root in roots {
        draw_node(trace, &forest, root, "", "", &mut out);
    }
    for (key, value) in &trace.info.tags {
        line(&mut out, "", &format!("tag {key}: {value}"));
    }
    out
}

/// Draws one span below a line that begins with `first`, and the rest of it behind `rest`.
fn draw_node(
    trace: &Trace,
    forest: &spanlite_model::Forest,
    number: usize,
    first: &str,
    rest: &str,
    out: &mut String,
) {
    let node = forest.node(number);
    let Some(span) = trace.spans.get(node.span) else {
        return;
    };
    let children: Vec<usize> = forest.children(number).collect();
    line(out, first, &title(span));
    let body = format!("{rest}{}", if children.is_empty() { "  " } else { "│ " });
    for detail in details(span) {
        line(out, &body, &detail);
    }
    for (place, child) in children.iter().enumerate() {
        let last = place + 1 == children.len();
        let (branch, below) = if last {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        draw_node(
            trace,
            forest,
            *child,
            &format!("{rest}{branch}"),
            &format!("{rest}{below}"),
            out,
        );
    }
}

fn title(span: &Span) -> String {
    let mut title = span.name.clone();
    if span.span_type != SpanType::Unknown {
        // Writing into a `String` cannot fail.
        write!(title, " [{}]", span.span_type).unwrap_or_default();
    }
    if span.status.code == StatusCode::Error {
        write!(title, " ERROR {}", span.status.message).unwrap_or_default();
    }
    title
}

fn details(span: &Span) -> Vec<String> {
    let mut details = Vec::new();
    details.extend(span.inputs.iter().map(|inputs| format!("inputs: {inputs}")));
    details.extend(
        span.outputs
            .iter()
            .map(|outputs| format!("outputs: {outputs}")),
    );
    for (key, value) in span.attributes.iter() {
        if key != keys::MLFLOW_FUNCTION_NAME {
            details.push(format!("{key}: {}", value.to_json_text()));
        }
    }
    for event in &span.events {
        let mut text = format!("event {}", event.name);
        for (key, value) in event.attributes.iter() {
            if key != keys::EXCEPTION_STACKTRACE {
                write!(text, " {key}={}", value.to_json_text()).unwrap_or_default();
            }
        }
        details.push(text);
    }
    details
}

fn line(out: &mut String, indent: &str, text: &str) {
    out.push_str(indent);
    out.push_str(&text.replace('\n', "\\n"));
    out.push('\n');
}
