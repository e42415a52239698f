//! Functions traced by hand around a call that is traced by itself: one tree.
//!
//! `OPENAI_API_KEY=… cargo run -p spanlite-clients --example combined`

use std::io::Write as _;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::chat::{
    ChatCompletionRequestMessage, ChatCompletionRequestSystemMessage,
    ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs,
    CreateChatCompletionResponse,
};
use spanlite::{SpanType, trace};

#[trace(span_type = SpanType::Chain, skip(client))]
pub(crate) async fn run(
    client: &Client<OpenAIConfig>,
    question: &str,
) -> Result<Option<String>, OpenAIError> {
    let request = CreateChatCompletionRequestArgs::default()
        .model("gpt-4o-mini")
        .max_completion_tokens(100_u32)
        .messages(build_messages(question))
        .build()?;
    // The span of this call is made by the client.
    let response = client.chat().create(request).await?;
    Ok(parse_response(&response))
}

#[trace]
fn build_messages(question: &str) -> Vec<ChatCompletionRequestMessage> {
    vec![
        ChatCompletionRequestSystemMessage::from("You are a helpful chatbot.").into(),
        ChatCompletionRequestUserMessage::from(question).into(),
    ]
}

#[trace(skip(response))]
fn parse_response(response: &CreateChatCompletionResponse) -> Option<String> {
    response.choices.first()?.message.content.clone()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _tracing = spanlite::init("traces.spans")?;
    let client = spanlite_auto::traced_openai(Client::new());
    let answer = run(&client, "What is MLflow?").await?;
    writeln!(std::io::stdout(), "{}", answer.unwrap_or_default())?;
    Ok(())
}
