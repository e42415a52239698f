use std::collections::VecDeque;
use std::io;

use spanlite_model::{Json, Span, SpanType, TokenUsage, Trace, Value};

use super::line::{Line, Sheet};
use super::look::Role;
use super::node::Node;
use super::show::{error_text, tokens};
use super::text::{fit, pieces};
use super::units;

/// Earlier model calls whose messages a call is compared with. Sub-agents take turns, so the
/// call just before is not always the one it goes on from.
const EARLIER_CALLS: usize = 16;
/// Lines of one message that are shown.
const MESSAGE_LINES: usize = 8;
/// Columns of the role of a message, at most.
const ROLE_COLUMNS: usize = 24;

/// One message of a conversation, in whichever dialect it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) role: String,
    pub(crate) text: String,
    /// Tools that it asks for: names and arguments.
    pub(crate) calls: Vec<(String, String)>,
}

/// Writes what went into and came out of each span, in order of time. Of a model call only the
/// messages are written that the calls before it did not have, unless `full` is asked for.
pub(crate) fn conversation(sheet: &mut Sheet<'_>, trace: &Trace, full: bool) -> io::Result<()> {
    let forest = trace.forest();
    let mut earlier: VecDeque<Vec<Message>> = VecDeque::new();
    for node in forest.nodes() {
        let span = &trace.spans[node.span];
        let inputs = input_messages(span);
        if inputs.is_none() && span.inputs.is_none() && span.outputs.is_none() && !span.is_error() {
            continue;
        }
        title(sheet, span, node.depth as usize)?;
        let indent = indent_of(node.depth as usize) + 2;
        match inputs {
            Some(messages) => {
                let known = if full {
                    0
                } else {
                    known_prefix(&earlier, &messages)
                };
                call(sheet, span, &messages, known, (indent, full))?;
                earlier.push_front(messages);
                earlier.truncate(EARLIER_CALLS);
            }
            None => {
                for (sign, payload) in [("in  ", &span.inputs), ("out ", &span.outputs)] {
                    if let Some(payload) = payload {
                        let text = payload.to_display_text();
                        paragraph(sheet, (Role::Dim, sign), &text, (indent, full))?;
                    }
                }
            }
        }
        if span.is_error() {
            paragraph(
                sheet,
                (Role::Error, "! "),
                &error_text(span),
                (indent, full),
            )?;
        }
    }
    Ok(())
}

/// Writes the messages that went into a span or came out of it. Returns whether there are any.
pub(crate) fn write_messages(sheet: &mut Sheet<'_>, span: &Span, input: bool) -> io::Result<bool> {
    let messages = if input {
        input_messages(span)
    } else {
        output_messages(span)
    };
    let Some(messages) = messages else {
        return Ok(false);
    };
    let sign = if input { "+ " } else { "→ " };
    for message in &messages {
        write(sheet, sign, message, (0, true))?;
    }
    Ok(true)
}

fn indent_of(depth: usize) -> usize {
    2 * depth.min(8)
}

fn title(sheet: &mut Sheet<'_>, span: &Span, depth: usize) -> io::Result<()> {
    let mut line = Line::new();
    line.pad(indent_of(depth));
    if span.span_type != SpanType::Unknown {
        line.span_type(&span.span_type).pad(1);
    }
    line.fitted(Role::Strong, &span.name, 60);
    let mut facts = Vec::new();
    facts.extend(span.duration_nanos().map(units::duration));
    let usage = tokens(TokenUsage::of(span), units::count);
    facts.extend(usage.map(|tokens| format!("{tokens} tokens")));
    if span.span_type.is_model_call() {
        facts.extend(span.model().map(|model| fit(model, 60).text));
    }
    line.pad(2).text(Role::Dim, &facts.join("  "));
    sheet.line(&line)
}

fn call(
    sheet: &mut Sheet<'_>,
    span: &Span,
    messages: &[Message],
    known: usize,
    (indent, full): (usize, bool),
) -> io::Result<()> {
    if known > 0 {
        let mut line = Line::new();
        let count = units::plural(messages.len() as u64, "message");
        let known = units::count(known as u64);
        let text = format!("{count}, the first {known} known from an earlier call");
        line.pad(indent).text(Role::Dim, &text);
        sheet.line(&line)?;
    }
    for message in &messages[known..] {
        write(sheet, "+ ", message, (indent, full))?;
    }
    match output_messages(span) {
        Some(messages) => messages
            .iter()
            .try_for_each(|message| write(sheet, "→ ", message, (indent, full))),
        None => match &span.outputs {
            Some(payload) => paragraph(
                sheet,
                (Role::Dim, "→ "),
                &payload.to_display_text(),
                (indent, full),
            ),
            None => Ok(()),
        },
    }
}

fn write(
    sheet: &mut Sheet<'_>,
    sign: &str,
    message: &Message,
    (indent, full): (usize, bool),
) -> io::Result<()> {
    let role = format!("{sign}{:<10}", fit(&message.role, ROLE_COLUMNS).text);
    let sign_role = if sign == "+ " { Role::Key } else { Role::Model };
    if !message.text.is_empty() || message.calls.is_empty() {
        paragraph(sheet, (sign_role, &role), &message.text, (indent, full))?;
    }
    for (name, arguments) in &message.calls {
        let text = format!("call {name} {arguments}");
        paragraph(sheet, (sign_role, &role), &text, (indent, full))?;
    }
    Ok(())
}

/// A text behind a label, its lines below each other; only the first few unless it is wanted in
/// full.
fn paragraph(
    sheet: &mut Sheet<'_>,
    (role, label): (Role, &str),
    text: &str,
    (indent, full): (usize, bool),
) -> io::Result<()> {
    let mut line = Line::new();
    line.pad(indent).text(role, label);
    let left = line.width();
    let columns = sheet.look.width.saturating_sub(left).max(20);
    let most = if full { usize::MAX } else { MESSAGE_LINES };
    let text = text.trim();
    // Lines, and bytes of the text in them.
    let (mut shown, mut bytes) = (0, 0);
    let mut is_cut = false;
    for one in text.split('\n') {
        is_cut |= shown == most;
        if is_cut {
            break;
        }
        // A line that is cut below is not escaped any further than it is shown.
        let fitted = fit(one, columns.saturating_mul(most - shown)).text;
        is_cut = fitted.ends_with('…') && !one.ends_with('…');
        for piece in pieces(&fitted, columns, columns) {
            if shown == most {
                is_cut = true;
                break;
            }
            if shown > 0 {
                sheet.line(&std::mem::take(&mut line))?;
                line.pad(left);
            }
            line.text(Role::Plain, piece);
            shown += 1;
            bytes += piece.len();
        }
    }
    sheet.line(&line)?;
    if is_cut {
        // Where characters were escaped, a little more is left than this.
        let more = units::bytes(text.len().saturating_sub(bytes).max(1) as u64);
        let mut line = Line::new();
        line.pad(left)
            .text(Role::Dim, &format!("… {more} more, --full shows all"));
        sheet.line(&line)?;
    }
    Ok(())
}

/// How many messages at the begin of `messages` an earlier call had as well.
fn known_prefix(earlier: &VecDeque<Vec<Message>>, messages: &[Message]) -> usize {
    let same = |other: &Vec<Message>| {
        let pairs = other.iter().zip(messages);
        pairs.take_while(|(a, b)| a == b).count()
    };
    earlier.iter().map(same).max().unwrap_or(0)
}

/// The messages a model call was given: its inputs, else the attribute of the conventions.
pub(crate) fn input_messages(span: &Span) -> Option<Vec<Message>> {
    if !span.span_type.is_model_call() {
        return None;
    }
    span.inputs
        .as_ref()
        .and_then(of_json)
        .or_else(|| of_attribute(span, "gen_ai.input.messages"))
}

/// The messages a model call answered with.
pub(crate) fn output_messages(span: &Span) -> Option<Vec<Message>> {
    span.outputs
        .as_ref()
        .and_then(of_json)
        .or_else(|| of_attribute(span, "gen_ai.output.messages"))
}

fn of_attribute(span: &Span, key: &str) -> Option<Vec<Message>> {
    match span.attributes.get(key)? {
        Value::String(text) => of_node(&Node::parse(text)?),
        other => of_node(&Node::parse(&other.to_json_text())?),
    }
}

fn of_json(json: &Json) -> Option<Vec<Message>> {
    of_node(&Node::parse(json.as_text())?)
}

/// Finds the messages in a payload: a list of them, alone or under the keys that the dialects
/// use. Depth is bounded by the parser.
fn of_node(node: &Node) -> Option<Vec<Message>> {
    match node {
        Node::List(values) => {
            if let [one @ Node::List(_)] = values.as_slice() {
                return of_node(one);
            }
            let messages: Option<Vec<Message>> = values.iter().map(message).collect();
            messages.filter(|messages| !messages.is_empty())
        }
        Node::Object(_) => {
            let system = node.get("system").and_then(Node::as_str);
            let mut messages: Vec<Message> = system
                .map(|text| Message {
                    role: "system".to_owned(),
                    text: text.to_owned(),
                    calls: Vec::new(),
                })
                .into_iter()
                .collect();
            let inner = ["messages", "choices", "input", "generations"]
                .into_iter()
                .find_map(|key| of_node(node.get(key)?));
            messages.extend(match inner {
                Some(inner) => inner,
                None => vec![message(node)?],
            });
            Some(messages)
        }
        _ => None,
    }
}

fn message(node: &Node) -> Option<Message> {
    if let Some(inner) = node.get("message").or_else(|| node.get("delta")) {
        return message(inner);
    }
    let role = node.get("role").or_else(|| node.get("type"))?.as_str()?;
    let body = node
        .get("content")
        .or_else(|| node.get("parts"))
        .or_else(|| node.get("text"));
    let calls = node
        .get("tool_calls")
        .and_then(Node::as_list)
        .unwrap_or_default();
    if body.is_none() && calls.is_empty() {
        return None;
    }
    let mut found = Message {
        role: role.to_owned(),
        text: String::new(),
        calls: calls.iter().filter_map(tool_call).collect(),
    };
    if let Some(body) = body {
        add_content(&mut found, body);
    }
    Some(found)
}

fn tool_call(node: &Node) -> Option<(String, String)> {
    let function = node.get("function").unwrap_or(node);
    let name = function.get("name")?.as_str()?.to_owned();
    let arguments = ["arguments", "args", "input"]
        .into_iter()
        .find_map(|key| function.get(key));
    let arguments = arguments.map(shown).unwrap_or_default();
    Some((name, arguments))
}

fn shown(node: &Node) -> String {
    match node {
        Node::Text(text) => text.clone(),
        other => other.to_text(),
    }
}

/// Adds a content: a text, or a list of parts that are texts, calls, results and others.
fn add_content(message: &mut Message, content: &Node) {
    let add = |message: &mut Message, text: &str| {
        if !message.text.is_empty() {
            message.text.push('\n');
        }
        message.text.push_str(text);
    };
    match content {
        Node::Null => {}
        Node::List(parts) => {
            for part in parts {
                let kind = part.get("type").and_then(Node::as_str).unwrap_or_default();
                let text = part.get("text").or_else(|| part.get("content"));
                match (kind, text) {
                    ("tool_use" | "tool_call" | "function_call", _) => {
                        message.calls.extend(tool_call(part));
                    }
                    (_, Some(text)) => add(message, &shown(text)),
                    ("tool_call_response", None) => {
                        let result = part.get("response").or_else(|| part.get("result"));
                        add(message, &result.map(shown).unwrap_or_default());
                    }
                    ("", None) => add(message, &shown(part)),
                    (kind, None) => add(message, &format!("({kind})")),
                }
            }
        }
        other => add(message, &shown(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let messages = of_node(&Node::parse(text).unwrap()).unwrap_or_default();
        let shown = messages.iter().map(|message| {
            let calls = message
                .calls
                .iter()
                .map(|(name, args)| format!(" {name}({args})"));
            format!(
                "{}: {}{}",
                message.role,
                message.text,
                calls.collect::<String>()
            )
        });
        shown.collect()
    }

    #[test]
    fn every_dialect_has_messages() {
        let openai = r#"{"messages": [{"role": "user", "content": "hi"},
            {"role": "assistant", "content": null, "tool_calls":
                [{"function": {"name": "f", "arguments": "{}"}}]}]}"#;
        assert_eq!(found(openai), ["user: hi", "assistant:  f({})"]);
        let choices = r#"{"choices": [{"message": {"role": "assistant", "content": "yes"}}]}"#;
        assert_eq!(found(choices), ["assistant: yes"]);
        let anthropic = r#"{"system": "be brief", "messages": [{"role": "user", "content":
            [{"type": "text", "text": "a"}, {"type": "image", "source": {}},
             {"type": "tool_use", "name": "g", "input": {"x": 1}}]}]}"#;
        assert_eq!(
            found(anthropic),
            ["system: be brief", "user: a\n(image) g({\"x\":1})"]
        );
        let genai = r#"[{"role": "user", "parts": [{"type": "text", "content": "q"}]},
            {"role": "tool", "parts": [{"type": "tool_call_response", "response": "42"}]}]"#;
        assert_eq!(found(genai), ["user: q", "tool: 42"]);
        let langchain = r#"[[{"type": "human", "content": "q"}]]"#;
        assert_eq!(found(langchain), ["human: q"]);
        assert_eq!(found(r#"{"query": "x"}"#), Vec::<String>::new());
        assert_eq!(found("[1, 2]"), Vec::<String>::new());
    }
}
