use spanlite_model::SpanType;

use crate::recording::{Limits, Recording};

/// The shape of requests and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Interface {
    /// `OpenAI`'s `/chat/completions`, which many copy.
    OpenAiChat,
    /// `OpenAI`'s `/responses`.
    OpenAiResponses,
    /// `OpenAI`'s older `/completions`.
    OpenAiCompletions,
    /// `OpenAI`'s `/embeddings`.
    OpenAiEmbeddings,
    /// Anthropic's `/v1/messages`.
    AnthropicMessages,
    /// Gemini's `:generateContent` and `:streamGenerateContent`.
    GeminiGenerate,
    /// Gemini's `:embedContent` and `:batchEmbedContents`.
    GeminiEmbed,
    /// Ollama's `/api/chat`.
    OllamaChat,
    /// Ollama's `/api/generate`.
    OllamaGenerate,
    /// Ollama's `/api/embed` and `/api/embeddings`.
    OllamaEmbed,
}

/// What is asked of the model, by the name of the GenAI conventions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// An answer to a list of messages.
    Chat,
    /// An answer to contents of several sorts.
    GenerateContent,
    /// The continuation of a text.
    TextCompletion,
    /// Vectors for texts.
    Embeddings,
}

impl Operation {
    /// The name of the GenAI conventions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::GenerateContent => "generate_content",
            Self::TextCompletion => "text_completion",
            Self::Embeddings => "embeddings",
        }
    }

    /// The span type, as MLflow maps these names.
    pub fn span_type(self) -> SpanType {
        match self {
            Self::Chat => SpanType::ChatModel,
            Self::GenerateContent | Self::TextCompletion => SpanType::Llm,
            Self::Embeddings => SpanType::Embedding,
        }
    }
}

impl Interface {
    /// What is asked of the model.
    pub fn operation(self) -> Operation {
        match self {
            Self::OpenAiChat
            | Self::OpenAiResponses
            | Self::AnthropicMessages
            | Self::OllamaChat => Operation::Chat,
            Self::GeminiGenerate => Operation::GenerateContent,
            Self::OpenAiCompletions | Self::OllamaGenerate => Operation::TextCompletion,
            Self::OpenAiEmbeddings | Self::GeminiEmbed | Self::OllamaEmbed => Operation::Embeddings,
        }
    }

    /// The dialect of the messages, as MLflow names it for viewers.
    pub fn message_format(self) -> &'static str {
        match self {
            Self::AnthropicMessages => "anthropic",
            Self::GeminiGenerate | Self::GeminiEmbed => "gemini",
            _ => "openai",
        }
    }
}

/// An address that a model is called at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    interface: Interface,
    /// The scheme, host and path; neither user, query nor fragment, where keys may stand.
    url: String,
    host: String,
    port: Option<u16>,
    /// The model, where the path names it.
    model: Option<String>,
    streams: bool,
}

/// How paths end. The longer of two that share an end stands first.
const PATHS: &[(&str, Interface)] = &[
    ("/chat/completions", Interface::OpenAiChat),
    ("/completions", Interface::OpenAiCompletions),
    ("/responses", Interface::OpenAiResponses),
    ("/api/embeddings", Interface::OllamaEmbed),
    ("/api/embed", Interface::OllamaEmbed),
    ("/embeddings", Interface::OpenAiEmbeddings),
    ("/v1/messages", Interface::AnthropicMessages),
    ("/api/chat", Interface::OllamaChat),
    ("/api/generate", Interface::OllamaGenerate),
    (":generateContent", Interface::GeminiGenerate),
    (":streamGenerateContent", Interface::GeminiGenerate),
    (":embedContent", Interface::GeminiEmbed),
    (":batchEmbedContents", Interface::GeminiEmbed),
];

/// Providers by the end of their host, with the names of the GenAI conventions.
const HOSTS: &[(&str, &str)] = &[
    ("api.openai.com", "openai"),
    ("openai.azure.com", "azure.ai.openai"),
    ("services.ai.azure.com", "azure.ai.inference"),
    ("anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("groq.com", "groq"),
    ("deepseek.com", "deepseek"),
    ("mistral.ai", "mistral_ai"),
    ("x.ai", "x_ai"),
    ("perplexity.ai", "perplexity"),
    ("moonshot.ai", "moonshot_ai"),
    ("moonshot.cn", "moonshot_ai"),
    ("cohere.com", "cohere"),
    ("openrouter.ai", "openrouter"),
];

impl Endpoint {
    /// Recognises the call of a model by its method and the end of its path.
    pub fn of(method: &str, url: &str) -> Option<Self> {
        if !method.eq_ignore_ascii_case("POST") {
            return None;
        }
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let end = rest.find(['?', '#']).unwrap_or(rest.len());
        let (rest, _) = rest.split_at_checked(end)?;
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at_checked(slash)?,
            None => (rest, ""),
        };
        let host_port = authority.rsplit('@').next().unwrap_or_default();
        let path = path.trim_end_matches('/');
        let (ending, interface) = PATHS.iter().find(|(ending, _)| path.ends_with(ending))?;
        let (host, port) = match host_port.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                (host, port.parse().ok())
            }
            _ => (host_port, None),
        };
        let model = ending.starts_with(':').then(|| {
            let before = path.strip_suffix(ending).unwrap_or(path);
            before.rsplit('/').next().unwrap_or_default().to_owned()
        });
        let origin = if scheme.is_empty() {
            String::new()
        } else {
            format!("{scheme}://{host_port}")
        };
        Some(Self {
            interface: *interface,
            url: format!("{origin}{path}"),
            host: host.to_owned(),
            port,
            model,
            streams: *ending == ":streamGenerateContent",
        })
    }

    /// The shape of the request and the answer.
    pub fn interface(&self) -> Interface {
        self.interface
    }

    /// Scheme, host and path of the address. What may hold a key is left out.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The host of the address; empty when only a path was given.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if the address names one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The model that the path names, as Gemini's do.
    pub(crate) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Returns whether the path asks for a stream.
    pub(crate) fn streams(&self) -> bool {
        self.streams
    }

    /// The provider: by the host, else by whose interface it is.
    pub fn provider(&self) -> &'static str {
        let host = self.host.as_str();
        let of_host = HOSTS.iter().find(|(known, _)| {
            let before = host.strip_suffix(known);
            before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
        });
        match (of_host, self.interface) {
            (Some((_, provider)), _) => provider,
            (None, Interface::AnthropicMessages) => "anthropic",
            (None, Interface::GeminiGenerate | Interface::GeminiEmbed) => "gcp.gemini",
            (None, Interface::OllamaChat | Interface::OllamaGenerate | Interface::OllamaEmbed) => {
                "ollama"
            }
            (None, _) => "openai",
        }
    }

    /// Begins to record a call with the body of its request.
    pub fn begin(self, request_body: &[u8], limits: Limits) -> Recording {
        Recording::new(self, request_body, limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_recognised_by_their_ends() {
        for (url, interface, provider) in [
            (
                "https://api.openai.com/v1/chat/completions",
                Interface::OpenAiChat,
                "openai",
            ),
            (
                "https://x.openai.azure.com/openai/deployments/d/chat/completions?api-version=1",
                Interface::OpenAiChat,
                "azure.ai.openai",
            ),
            (
                "http://127.0.0.1:8080/v1/responses/",
                Interface::OpenAiResponses,
                "openai",
            ),
            (
                "https://api.groq.com/openai/v1/embeddings",
                Interface::OpenAiEmbeddings,
                "groq",
            ),
            (
                "https://api.anthropic.com/v1/messages",
                Interface::AnthropicMessages,
                "anthropic",
            ),
            (
                "http://localhost:11434/api/chat",
                Interface::OllamaChat,
                "ollama",
            ),
            (
                "http://localhost:11434/api/embed",
                Interface::OllamaEmbed,
                "ollama",
            ),
            ("/v1/completions", Interface::OpenAiCompletions, "openai"),
        ] {
            let endpoint = Endpoint::of("post", url).unwrap();
            assert_eq!(endpoint.interface(), interface, "{url}");
            assert_eq!(endpoint.provider(), provider, "{url}");
        }
        for (method, url) in [
            ("GET", "https://api.openai.com/v1/chat/completions"),
            ("POST", "https://api.openai.com/v1/models"),
            ("POST", "https://api.anthropic.com/v1/messages/count_tokens"),
            ("POST", "https://example.com/chat"),
            ("POST", ""),
        ] {
            assert_eq!(Endpoint::of(method, url), None, "{url}");
        }
        assert_eq!(
            Endpoint::of("POST", "https://fax.ai/v1/responses")
                .unwrap()
                .provider(),
            "openai"
        );
    }

    #[test]
    fn keys_in_addresses_are_dropped() {
        let url = "https://user:secret@generativelanguage.googleapis.com:443/v1beta/models/\
                   gemini-2.5-flash:streamGenerateContent?alt=sse&key=secret#secret";
        let endpoint = Endpoint::of("POST", url).unwrap();
        assert_eq!(
            endpoint.url(),
            "https://generativelanguage.googleapis.com:443/v1beta/models/\
             gemini-2.5-flash:streamGenerateContent"
        );
        assert_eq!(endpoint.model(), Some("gemini-2.5-flash"));
        assert_eq!(endpoint.port(), Some(443));
        assert!(endpoint.streams());
        assert!(!format!("{endpoint:?}").contains("secret"));
    }
}
