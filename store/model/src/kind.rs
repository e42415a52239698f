use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// OpenTelemetry's role of a span between services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum SpanKind {
    /// Not said.
    #[default]
    Unspecified = 0,
    /// Inside one program.
    Internal = 1,
    /// Answers a request.
    Server = 2,
    /// Makes a request.
    Client = 3,
    /// Puts a message into a queue.
    Producer = 4,
    /// Takes a message from a queue.
    Consumer = 5,
}

impl SpanKind {
    /// All kinds, by their OTLP number.
    pub const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::Internal,
        Self::Server,
        Self::Client,
        Self::Producer,
        Self::Consumer,
    ];

    /// The kind with an OTLP number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The name in lower case, as the query language writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

macro_rules! span_types {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// MLflow's role of a span in an LLM application.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub enum SpanType {
            $($(#[$doc])* $variant,)*
            /// Any other name, kept as it was written.
            Other(Box<str>),
        }

        impl SpanType {
            /// MLflow's own names.
            pub const NAMES: &[&str] = &[$($name),*];

            /// The name as MLflow writes it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Other(name) => name,
                }
            }
        }

        impl From<&str> for SpanType {
            /// Takes MLflow's names as they are written, in capitals; anything else is `Other`.
            fn from(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)*
                    other => Self::Other(other.into()),
                }
            }
        }
    };
}

span_types! {
    /// A text completion or any model call.
    Llm = "LLM",
    /// A chain of steps.
    Chain = "CHAIN",
    /// An agent's run.
    Agent = "AGENT",
    /// A tool call.
    Tool = "TOOL",
    /// A chat completion.
    ChatModel = "CHAT_MODEL",
    /// A look-up of documents.
    Retriever = "RETRIEVER",
    /// A parser of outputs.
    Parser = "PARSER",
    /// The making of embeddings.
    Embedding = "EMBEDDING",
    /// A reranking of documents.
    Reranker = "RERANKER",
    /// A memory operation.
    Memory = "MEMORY",
    /// Not said.
    #[default]
    Unknown = "UNKNOWN",
    /// A workflow.
    Workflow = "WORKFLOW",
    /// A task.
    Task = "TASK",
    /// A guardrail.
    Guardrail = "GUARDRAIL",
    /// An evaluator.
    Evaluator = "EVALUATOR",
}

impl SpanType {
    /// Returns whether this is a call of a model that writes text: `LLM` or `CHAT_MODEL`.
    pub fn is_model_call(&self) -> bool {
        matches!(self, Self::Llm | Self::ChatModel)
    }
}

impl AsRef<str> for SpanType {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl From<String> for SpanType {
    fn from(name: String) -> Self {
        Self::from(name.as_str())
    }
}

impl FromStr for SpanType {
    type Err = Infallible;

    fn from_str(name: &str) -> Result<Self, Infallible> {
        Ok(Self::from(name))
    }
}

impl fmt::Display for SpanType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The code of a span's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum StatusCode {
    /// Not said; it went as it should as far as anyone knows.
    #[default]
    Unset = 0,
    /// The program said that it went well.
    Ok = 1,
    /// It failed.
    Error = 2,
}

impl StatusCode {
    /// The code with an OTLP number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Unset, Self::Ok, Self::Error]
            .get(usize::from(number))
            .copied()
    }

    /// The name in lower case, as the query language writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }
}

/// How a span ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// Whether it failed.
    pub code: StatusCode,
    /// What went wrong; empty otherwise, though OTLP lets any status carry a text.
    pub message: String,
}

impl Status {
    /// A failure with its message.
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            code: StatusCode::Error,
            message: message.into(),
        }
    }
}

/// The state of a whole trace.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(u8)]
pub enum TraceState {
    /// Not said, and no root span tells.
    #[default]
    #[serde(rename = "STATE_UNSPECIFIED")]
    Unspecified = 0,
    /// It ended well.
    Ok = 1,
    /// Its root span failed, or the program said that it failed.
    Error = 2,
    /// A span is open and its writer lives, or the root has not come yet.
    InProgress = 3,
    /// A span is open and its writer is gone.
    Interrupted = 4,
}

impl TraceState {
    /// All states, by their number.
    pub const ALL: [Self; 5] = [
        Self::Unspecified,
        Self::Ok,
        Self::Error,
        Self::InProgress,
        Self::Interrupted,
    ];

    /// The name as MLflow writes it; `INTERRUPTED` is ours.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "STATE_UNSPECIFIED",
            Self::Ok => "OK",
            Self::Error => "ERROR",
            Self::InProgress => "IN_PROGRESS",
            Self::Interrupted => "INTERRUPTED",
        }
    }
}

impl fmt::Display for TraceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TraceState {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == name)
            .ok_or_else(|| UnknownName {
                name: Cow::Owned(name.to_owned()),
            })
    }
}

/// A name that is none of the allowed ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not one of the names allowed here")]
pub struct UnknownName {
    name: Cow<'static, str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_types_keep_foreign_names() {
        for name in SpanType::NAMES.iter().chain(&["func", "llm", ""]) {
            assert_eq!(SpanType::from(*name).as_str(), *name);
        }
        assert_eq!(SpanType::from("AGENT"), SpanType::Agent);
        assert_eq!(SpanType::from("agent"), SpanType::Other("agent".into()));
    }

    #[test]
    fn states_are_read_as_they_are_written() {
        for state in TraceState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert!("ok".parse::<TraceState>().is_err());
    }
}
