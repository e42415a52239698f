//! Recognises calls of language models in HTTP traffic and reads what a trace wants to know.
//!
//! Nothing here does I/O: whoever sees the traffic (a client's middleware, a proxy) hands over the
//! method and address, the body of the request, and the bytes of the response as they come. Read
//! are the chat, responses, completions and embeddings interfaces of `OpenAI` and those that copy
//! them, Anthropic's messages, Gemini's `generateContent` and Ollama's own interface, plain or
//! streamed.
//!
//! Headers are never looked at, and of an address only scheme, host and path are kept, so that
//! keys cannot be recorded.
//!
//! ```
//! use spanlite_llm::{End, Endpoint, Limits};
//!
//! let endpoint = Endpoint::of("POST", "https://api.openai.com/v1/chat/completions").unwrap();
//! let request = br#"{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "2+2?"}]}"#;
//! let mut recording = endpoint.begin(request, Limits::default());
//! assert_eq!(recording.name(), "chat gpt-4o-mini");
//!
//! recording.respond(200, "application/json");
//! recording.feed(br#"{"choices": [{"message": {"role": "assistant", "content": "4"}}],
//!     "usage": {"prompt_tokens": 12, "completion_tokens": 1}}"#, || 900_000);
//! let exchange = recording.finish(End::Complete);
//! assert_eq!(exchange.usage.input_tokens, Some(12));
//! assert!(exchange.error.is_none());
//! ```

mod endpoint;
mod exchange;
mod join;
mod lines;
mod recording;
mod usage;

pub use endpoint::{Endpoint, Interface, Operation};
pub use exchange::{LlmError, LlmExchange};
pub use recording::{End, Limits, Recording};
