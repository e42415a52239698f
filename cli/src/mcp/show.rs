use spanlite_model::{Cost, Json, Span, TokenUsage, Trace};

use super::tools::ShowCall;
use crate::commands::find_span;
use crate::error::CliError;
use crate::render::{Node, attributes_item, json, object, trace_item_of};
use crate::session::Session;

/// Spans that come at once.
const MAX_SPANS: usize = 300;
const DEFAULT_TEXT_BYTES: usize = 2_000;
const MAX_TEXT_BYTES: usize = 100_000;

/// Shows a trace as a list of its spans in pre-order, or one span whole. Long texts are cut, and
/// say how long they were.
pub(super) fn run(call: &ShowCall, session: &mut Session<'_>) -> Result<(), CliError> {
    let store = session.store()?;
    let snapshot = store.snapshot()?;
    let trace = session.trace(&store, &snapshot, &call.trace)?;
    let text_bytes = call
        .text_bytes
        .unwrap_or(DEFAULT_TEXT_BYTES)
        .min(MAX_TEXT_BYTES);
    let complete = session.warn_of_damage(&snapshot);
    let mut item = match &call.span {
        Some(reference) => whole(&trace, find_span(&trace, reference)?),
        None => tree(&trace, call),
    };
    cut(&mut item, text_bytes);
    if let Node::Object(fields) = &mut item {
        fields.insert(0, ("complete".to_owned(), complete.into()));
    }
    let style = session.out.json_style();
    Ok(json::write(session.out.data(), &item, style)?)
}

fn tree(trace: &Trace, call: &ShowCall) -> Node {
    let forest = trace.forest();
    let nodes = forest.nodes();
    let shown = nodes.iter().skip(call.skip).take(MAX_SPANS);
    let spans = shown.map(|node| {
        let span = &trace.spans[node.span];
        let mut fields = facts(trace, span);
        fields.insert(1, ("depth".to_owned(), u64::from(node.depth).into()));
        if call.payloads {
            fields.extend(payloads(span));
        }
        Node::Object(fields)
    });
    let spans: Vec<Node> = spans.collect();
    let reached = call.skip + spans.len();
    let next = (reached < nodes.len()).then_some(reached);
    object([
        ("trace", trace_item_of(trace)),
        ("next", next.into()),
        ("spans", spans.into()),
    ])
}

fn facts(trace: &Trace, span: &Span) -> Vec<(String, Node)> {
    let usage = TokenUsage::of(span);
    let start = trace.start_time_unix_nano().unwrap_or(0);
    let offset = span.start_time_unix_nano.saturating_sub(start);
    let fields = [
        ("span_id", Some(span.span_id.to_string().into())),
        ("name", Some(span.name.as_str().into())),
        ("type", Some(span.span_type.as_str().into())),
        ("status", Some(span.status.code.as_str().into())),
        ("error", span.error_message().map(Into::into)),
        ("error_type", span.error_type().map(Into::into)),
        ("offset_ns", Some(offset.into())),
        ("duration_ns", Some(span.duration_nanos().into())),
        ("model", span.model().map(Into::into)),
        ("input_tokens", usage.input_tokens.map(Into::into)),
        ("output_tokens", usage.output_tokens.map(Into::into)),
        ("cost_usd", Cost::of(span).total_cost.map(Into::into)),
    ];
    let known = fields.into_iter();
    known
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

fn payloads(span: &Span) -> impl Iterator<Item = (String, Node)> {
    let both = [("inputs", &span.inputs), ("outputs", &span.outputs)];
    both.into_iter().filter_map(|(name, payload)| {
        let payload: &Json = payload.as_ref()?;
        let node = Node::parse(payload.as_text());
        let node = node.unwrap_or_else(|| payload.as_text().into());
        Some((name.to_owned(), node))
    })
}

fn whole(trace: &Trace, span: &Span) -> Node {
    let mut fields = facts(trace, span);
    fields.extend(payloads(span));
    let events = span.events.iter().map(|event| {
        object([
            ("name", event.name.as_str().into()),
            ("attributes", read(attributes_item(&event.attributes))),
        ])
    });
    fields.push((
        "attributes".to_owned(),
        read(attributes_item(&span.attributes)),
    ));
    fields.push(("events".to_owned(), Node::List(events.collect())));
    Node::Object(fields)
}

/// Raw JSON inside a node as nodes, so that its texts can be cut.
fn read(node: Node) -> Node {
    Node::parse(&node.to_text()).unwrap_or(node)
}

/// Cuts every text to so many bytes, at the end of a character.
fn cut(node: &mut Node, text_bytes: usize) {
    match node {
        Node::Text(text) if text.len() > text_bytes => {
            let bytes = text.len();
            let mut at = text_bytes;
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            text.truncate(at);
            text.extend(["… (cut, ", &bytes.to_string(), " bytes)"]);
        }
        Node::List(values) => values.iter_mut().for_each(|value| cut(value, text_bytes)),
        Node::Object(fields) => fields
            .iter_mut()
            .for_each(|(_, value)| cut(value, text_bytes)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_wherever_they_stand() {
        let mut node = object([("a", "äöü".into()), ("b", vec![Node::from("short")].into())]);
        cut(&mut node, 5);
        assert_eq!(
            node.to_text(),
            r#"{"a":"äö… (cut, 6 bytes)","b":["short"]}"#
        );
    }
}
