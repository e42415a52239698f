//! A small traced agent, so that there is something to look at.

use std::fmt;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use spanlite::{SpanType, current_span, current_trace, trace};

use crate::args::{Format, ListArgs, PageArgs, SelectArgs, ShowArgs};
use crate::error::{CliError, Outcome};
use crate::render::Role;
use crate::session::Session;

/// Queries to try on the traces of the demo.
const QUERIES: [&str; 3] = [
    "{ status = error }",
    "{ span:type = \"agent\" } >> { span:type = \"tool\" && duration > 20ms }",
    "span.type = 'CHAT_MODEL' AND tag.plan = 'pro'",
];

/// What the customers of the demo ask.
const QUESTIONS: [(&str, &str, u64); 3] = [
    ("ada", "Which invoices are open?", 1764),
    ("bob", "Where is order 7?", 7),
    ("ada", "Please refund order 12.", 12),
];

/// Runs the agent, then shows the list, the failed trace and queries to try.
pub(super) fn run(session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let tracing = spanlite::builder()
        .path(&session.settings.store.value)
        .service_name("demo")
        .init()?;
    for (user, question, order) in QUESTIONS {
        // The failure is part of the show: it is seen in the traces.
        if let Err(error) = answer(user, question, order) {
            session.out.hint(&format!("{user}: {error}"));
        }
    }
    tracing.close()?;
    let page = PageArgs {
        select: SelectArgs {
            limit: Some(QUESTIONS.len()),
            ..SelectArgs::default()
        },
        ..PageArgs::default()
    };
    heading(session, "spanlite list")?;
    super::list::run(&ListArgs { query: None, page }, session)?;
    if matches!(
        session.settings.format,
        None | Some(Format::Table | Format::Tree)
    ) {
        heading(session, "spanlite show @-1")?;
        super::show::run(&ShowArgs::of("@-1"), session)?;
        heading(session, "to try")?;
        let mut sheet = session.out.sheet();
        for query in QUERIES {
            let quote = if query.contains('\'') { '"' } else { '\'' };
            sheet.text(
                Role::Plain,
                &format!("  spanlite query {quote}{query}{quote}"),
            )?;
        }
        sheet.text(Role::Plain, "  spanlite show @-1 --io")?;
    }
    Ok(Outcome::Done)
}

fn heading(session: &mut Session<'_>, text: &str) -> Result<(), CliError> {
    if matches!(
        session.settings.format,
        None | Some(Format::Table | Format::Tree)
    ) {
        let mut sheet = session.out.sheet();
        sheet.blank()?;
        sheet.text(Role::Heading, &format!("$ {text}"))?;
    }
    Ok(())
}

/// What goes wrong in the demo.
#[derive(Debug)]
struct OrderNotFound {
    order: u64,
}

impl fmt::Display for OrderNotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no order {}", self.order)
    }
}

impl std::error::Error for OrderNotFound {}

#[trace(name = "support.turn", span_type = SpanType::Agent, skip(user))]
fn answer(user: &str, question: &str, order: u64) -> Result<String, OrderNotFound> {
    let plan = if user == "ada" { "pro" } else { "free" };
    current_trace()
        .set_user(user)
        .set_session(format!("s-{user}"))
        .set_tag("plan", plan);
    let system = json!({"role": "system", "content": "You help customers. Be brief."});
    let mut messages = vec![system, json!({"role": "user", "content": question})];
    let documents = search_documents(question);
    let call = json!({"name": "get_order", "arguments": {"order": order}});
    messages.push(chat(
        &messages,
        json!({"role": "assistant", "tool_calls": [call]}),
        62,
    ));
    let found = get_order(order)?;
    messages.push(json!({"role": "tool", "content": found.to_string()}));
    messages.push(json!({"role": "tool", "content": documents.join("\n")}));
    Ok(stream_answer(&messages, order).collect())
}

#[trace(span_type = SpanType::Retriever)]
fn search_documents(question: &str) -> Vec<String> {
    pause(8 + question.len() as u64 % 5);
    vec![
        "Refunds are paid within five days.".to_owned(),
        "Orders ship from Hamburg.".to_owned(),
    ]
}

#[trace(span_type = SpanType::Tool)]
fn get_order(order: u64) -> Result<Value, OrderNotFound> {
    pause(25);
    if order == 7 {
        return Err(OrderNotFound { order });
    }
    Ok(json!({"order": order, "status": "shipped"}))
}

#[trace(name = "chat demo-model", span_type = SpanType::ChatModel, skip(reply, millis), fields(model = "demo-model"))]
fn chat(messages: &[Value], reply: Value, millis: u64) -> Value {
    pause(millis);
    used(messages, 24);
    reply
}

/// The last answer comes word by word, as models send it.
#[trace(name = "chat demo-model", span_type = SpanType::ChatModel, skip(order), output_reducer = joined, fields(model = "demo-model"))]
fn stream_answer(messages: &[Value], order: u64) -> impl Iterator<Item = String> {
    let messages = messages.to_vec();
    let text = format!("Order {order} was shipped from Hamburg and arrives tomorrow.");
    let mut rest = text;
    let mut asked = false;
    std::iter::from_fn(move || {
        // The iterator runs in its own span; the function around it has returned by then.
        if !std::mem::replace(&mut asked, true) {
            used(&messages, 9);
        }
        let end = rest.find(' ').map_or(rest.len(), |blank| blank + 1);
        let word: String = rest.drain(..end).collect();
        pause(9);
        Some(word).filter(|word| !word.is_empty())
    })
}

fn joined(words: &[String]) -> String {
    words.concat()
}

/// Says what a call of the model took in and gave out.
fn used(messages: &[Value], output_tokens: u64) {
    let bytes: usize = messages
        .iter()
        .map(|message| message.to_string().len())
        .sum();
    let span = current_span();
    span.set_attribute("gen_ai.request.model", "demo-model");
    span.set_attribute("gen_ai.usage.input_tokens", bytes / 4);
    span.set_attribute("gen_ai.usage.output_tokens", output_tokens);
}

fn pause(millis: u64) {
    thread::sleep(Duration::from_millis(millis));
}
