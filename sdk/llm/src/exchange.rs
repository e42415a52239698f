use serde_json::Value as JsonValue;
use spanlite_model::{Attributes, Json, Span, Status, TokenUsage, Value, keys};

use crate::endpoint::{Interface, Operation};
use crate::usage::usage;

/// A call of a model, as far as it was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct LlmExchange {
    /// The shape of request and answer.
    pub interface: Interface,
    /// Whose model it is, by the name of the GenAI conventions.
    pub provider: &'static str,
    /// Scheme, host and path that were called.
    pub url: String,
    /// The host.
    pub host: String,
    /// The port, if the address names one.
    pub port: Option<u16>,
    /// The model that was asked for.
    pub model: Option<String>,
    /// The model that answered.
    pub response_model: Option<String>,
    /// The provider's id of the answer.
    pub response_id: Option<String>,
    /// The body of the request.
    pub inputs: Json,
    /// The body of the response; a stream is joined to what the same call gives unstreamed.
    pub outputs: Option<Json>,
    /// The tools that the model was offered.
    pub tools: Option<Json>,
    /// The temperature that was asked for.
    pub temperature: Option<f64>,
    /// The share of probability that was asked for.
    pub top_p: Option<f64>,
    /// How many tokens may come out.
    pub max_tokens: Option<i64>,
    /// The seed that was asked for.
    pub seed: Option<i64>,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// The tokens that the provider counted. `OpenAI`'s streams tell them only when asked to.
    pub usage: TokenUsage,
    /// How long the first piece of a streamed answer took from the request.
    pub time_to_first_token_nanos: Option<u64>,
    /// Why the model stopped, for each answer.
    pub finish_reasons: Vec<String>,
    /// The status of the response.
    pub status: Option<u16>,
    /// What went wrong.
    pub error: Option<LlmError>,
    /// Whether the answer came to its end. False when the program stopped reading.
    pub complete: bool,
    /// Whether inputs or outputs are cut because of a limit.
    pub truncated: bool,
}

/// What went wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LlmError {
    /// The class of the error: the provider's, else the HTTP status, else the client's.
    pub class: String,
    /// Its text.
    pub message: String,
}

impl LlmError {
    /// The error that an answer tells; nothing when its status is that of a success and it
    /// names none.
    pub(crate) fn of_answer(status: Option<u16>, answer: Option<&JsonValue>) -> Option<Self> {
        let error = answer.and_then(|answer| answer.get("error"));
        let error = error.filter(|error| !error.is_null());
        let failed = status.is_some_and(|status| status >= 400);
        if !failed && error.is_none() {
            return None;
        }
        let text = |field: &str| error.and_then(|error| error.get(field)?.as_str());
        let class = text("type")
            .or_else(|| text("status"))
            .or_else(|| text("code"));
        let message = text("message").or_else(|| error.and_then(JsonValue::as_str));
        let by_status = status.map(|status| status.to_string());
        Some(Self {
            class: class
                .map(str::to_owned)
                .or_else(|| by_status.filter(|_| failed))
                .unwrap_or_else(|| "error".to_owned()),
            message: message.unwrap_or_default().to_owned(),
        })
    }
}

/// Why the model stopped, for each answer.
pub(crate) fn finish_reasons(interface: Interface, answer: &JsonValue) -> Vec<String> {
    let each = |list: &str, field: &str| -> Vec<String> {
        let list = answer.get(list).and_then(JsonValue::as_array);
        let texts = list.into_iter().flatten();
        texts
            .filter_map(|one| one.get(field)?.as_str().map(str::to_owned))
            .collect()
    };
    let one = |path: &str| -> Vec<String> {
        let text = answer.pointer(path).and_then(JsonValue::as_str);
        text.map(str::to_owned).into_iter().collect()
    };
    match interface {
        Interface::AnthropicMessages => one("/stop_reason"),
        Interface::GeminiGenerate => each("candidates", "finishReason"),
        Interface::OllamaChat | Interface::OllamaGenerate => one("/done_reason"),
        Interface::OpenAiResponses => match one("/incomplete_details/reason") {
            reasons if reasons.is_empty() => one("/status"),
            reasons => reasons,
        },
        _ => each("choices", "finish_reason"),
    }
}

impl LlmExchange {
    /// What was asked of the model.
    pub fn operation(&self) -> Operation {
        self.interface.operation()
    }

    /// A name for the span of the call: the operation and the model.
    pub fn name(&self) -> String {
        let operation = self.operation().as_str();
        match &self.model {
            Some(model) => format!("{operation} {model}"),
            None => operation.to_owned(),
        }
    }

    pub(crate) fn read_answer(&mut self, answer: &JsonValue) {
        let text = |fields: &[&str]| {
            let found = fields.iter().find_map(|field| answer.get(*field)?.as_str());
            found.map(str::to_owned)
        };
        self.response_model = text(&["model", "modelVersion"]);
        self.response_id = text(&["id", "responseId"]);
        self.usage = usage(self.interface, answer);
        self.finish_reasons = finish_reasons(self.interface, answer);
    }

    /// The attributes of the span of the call, with the names of MLflow and of the GenAI
    /// conventions. Inputs and outputs are fields of a span and not among them.
    pub fn attributes(&self) -> Attributes {
        let mut out = Attributes::new();
        let mut put = |key: &str, value: Value| {
            if value != Value::Null {
                out.push(key, value);
            }
        };
        let model = self.response_model.as_deref().or(self.model.as_deref());
        put(keys::MLFLOW_LLM_MODEL, model.into());
        put(keys::MLFLOW_LLM_PROVIDER, self.provider.into());
        put(
            keys::MLFLOW_MESSAGE_FORMAT,
            self.interface.message_format().into(),
        );
        if let Some(tools) = self.tools.as_ref().and_then(|tools| tools.to_value().ok()) {
            put(keys::MLFLOW_CHAT_TOOLS, Value::from(&tools));
        }
        put(keys::MLFLOW_TOKEN_USAGE, self.usage_map());
        put("gen_ai.operation.name", self.operation().as_str().into());
        put(keys::GEN_AI_PROVIDER_NAME, self.provider.into());
        put(keys::GEN_AI_REQUEST_MODEL, self.model.as_deref().into());
        put(
            keys::GEN_AI_RESPONSE_MODEL,
            self.response_model.as_deref().into(),
        );
        put("gen_ai.response.id", self.response_id.as_deref().into());
        put("gen_ai.request.temperature", self.temperature.into());
        put("gen_ai.request.top_p", self.top_p.into());
        put("gen_ai.request.max_tokens", self.max_tokens.into());
        put("gen_ai.request.seed", self.seed.into());
        put("gen_ai.request.stream", self.stream.then_some(true).into());
        let count = |count: Option<u64>| Value::from(count.and_then(|n| i64::try_from(n).ok()));
        put("gen_ai.usage.input_tokens", count(self.usage.input_tokens));
        put(
            "gen_ai.usage.output_tokens",
            count(self.usage.output_tokens),
        );
        let seconds = self
            .time_to_first_token_nanos
            .map(|nanos| nanos as f64 / 1e9);
        put("gen_ai.response.time_to_first_chunk", seconds.into());
        if !self.finish_reasons.is_empty() {
            let reasons = self.finish_reasons.iter().map(|one| one.as_str().into());
            put(
                "gen_ai.response.finish_reasons",
                Value::Array(reasons.collect()),
            );
        }
        if !self.host.is_empty() {
            put("server.address", self.host.as_str().into());
        }
        put("server.port", self.port.map(u32::from).into());
        put(
            "http.response.status_code",
            self.status.map(u32::from).into(),
        );
        put(
            keys::ERROR_TYPE,
            self.error.as_ref().map(|error| error.class.as_str()).into(),
        );
        put(
            "spanlite.stopped_early",
            (!self.complete).then_some(true).into(),
        );
        put("spanlite.truncated", self.truncated.then_some(true).into());
        out
    }

    fn usage_map(&self) -> Value {
        let usage = &self.usage;
        let entries = [
            ("input_tokens", usage.input_tokens),
            ("output_tokens", usage.output_tokens),
            ("total_tokens", usage.total_tokens),
            ("cache_read_input_tokens", usage.cache_read_input_tokens),
            (
                "cache_creation_input_tokens",
                usage.cache_creation_input_tokens,
            ),
            (
                "cache_creation_input_tokens_above_1hr",
                usage.cache_creation_input_tokens_above_1hr,
            ),
        ];
        let entries: Vec<(String, Value)> = entries
            .into_iter()
            .filter_map(|(name, count)| {
                let count = i64::try_from(count?).ok()?;
                Some((name.to_owned(), Value::Int(count)))
            })
            .collect();
        if entries.is_empty() {
            return Value::Null;
        }
        Value::Map(entries)
    }

    /// Puts all of the call into its span: type, inputs, outputs, attributes and the error.
    /// What the span says already stays.
    pub fn apply(&self, span: &mut Span) {
        if span.span_type == spanlite_model::SpanType::Unknown {
            span.span_type = self.operation().span_type();
        }
        span.inputs.get_or_insert_with(|| self.inputs.clone());
        if span.outputs.is_none() {
            span.outputs.clone_from(&self.outputs);
        }
        for (key, value) in self.attributes() {
            if span.attributes.get(&key).is_none() {
                span.attributes.push(key, value);
            }
        }
        if let Some(error) = &self.error {
            span.status = Status::error(format!("{}: {}", error.class, error.message));
        }
    }
}
