//! A chat: the attribute around the session, a guard around each turn of the user, and the calls
//! traced by themselves.
//!
//! `OPENAI_API_KEY=… cargo run -p spanlite-clients --example chat_session`

use std::io::Write as _;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::chat::{
    ChatCompletionRequestAssistantMessage, ChatCompletionRequestMessage,
    ChatCompletionRequestSystemMessage, ChatCompletionRequestUserMessage,
    CreateChatCompletionRequestArgs,
};
use spanlite::{SpanType, span, trace};

/// What the user types, until there is no more or it is `BYE`.
fn ask(lines: &mut dyn Iterator<Item = String>, so_far: &[ChatCompletionRequestMessage]) -> String {
    let user = span("User").start();
    user.set_inputs(so_far);
    let line = lines.next().unwrap_or_else(|| "BYE".to_owned());
    user.set_outputs(&line);
    line
}

#[trace(span_type = SpanType::Chain, skip(client, lines))]
pub(crate) async fn start_session(
    client: &Client<OpenAIConfig>,
    lines: &mut dyn Iterator<Item = String>,
) -> Result<(), OpenAIError> {
    let system = ChatCompletionRequestSystemMessage::from("You are a friendly chat bot");
    let mut messages = vec![system.into()];
    loop {
        let line = ask(lines, &messages);
        if line == "BYE" {
            return Ok(());
        }
        messages.push(ChatCompletionRequestUserMessage::from(line).into());
        let request = CreateChatCompletionRequestArgs::default()
            .model("gpt-4o-mini")
            .max_completion_tokens(100_u32)
            .messages(messages.clone())
            .build()?;
        let response = client.chat().create(request).await?;
        let answer = response.choices.into_iter().next();
        let answer = answer.and_then(|choice| choice.message.content);
        let answer = answer.unwrap_or_default();
        // A closed terminal ends the session with the next line.
        drop(writeln!(std::io::stdout(), "bot: {answer}"));
        messages.push(ChatCompletionRequestAssistantMessage::from(answer.as_str()).into());
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _tracing = spanlite::init("traces.spans")?;
    let client = spanlite_auto::traced_openai(Client::new());
    let mut lines = std::io::stdin().lines().map_while(Result::ok);
    start_session(&client, &mut lines).await?;
    Ok(())
}
