//! A function that gives the chunks of an answer on as they come; a reducer makes one completion
//! of them for its span. The call below it is traced by itself.
//!
//! `OPENAI_API_KEY=… cargo run -p spanlite-clients --example aggregate`

use std::future::ready;
use std::io::Write as _;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::types::chat::{
    ChatCompletionRequestMessage, ChatCompletionRequestUserMessage,
    CreateChatCompletionRequestArgs, CreateChatCompletionStreamResponse,
};
use futures_util::stream::{self, Stream, StreamExt as _};
use spanlite::{reducers, trace};

#[trace(output_reducer = reducers::openai_chat, skip(client))]
pub(crate) fn predict(
    client: Client<OpenAIConfig>,
    messages: Vec<ChatCompletionRequestMessage>,
) -> impl Stream<Item = CreateChatCompletionStreamResponse> {
    let opened = stream::once(async move {
        let request = CreateChatCompletionRequestArgs::default()
            .model("gpt-4o-mini")
            .messages(messages)
            .build()?;
        client.chat().create_stream(request).await
    });
    // An error ends the stream; the span of the call tells it.
    let opened = opened.filter_map(|opened| ready(opened.ok()));
    opened.flatten().filter_map(|chunk| ready(chunk.ok()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _tracing = spanlite::init("traces.spans")?;
    let client = spanlite_auto::traced_openai(Client::new());
    let hello = ChatCompletionRequestUserMessage::from("Hello").into();
    let mut chunks = Box::pin(predict(client, vec![hello]));
    while let Some(chunk) = chunks.next().await {
        writeln!(std::io::stdout(), "{chunk:?}")?;
    }
    Ok(())
}
