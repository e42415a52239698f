//! Attribute, tag and metadata keys that have a meaning here, by their owner.
//!
//! MLflow's are those of its 3.17 release; GenAI's those of the semantic conventions after they
//! moved to a repository of their own (2026-05), with older names where old data has them.

/// MLflow: role of the span.
pub const MLFLOW_SPAN_TYPE: &str = "mlflow.spanType";
/// MLflow: what went in, as JSON.
pub const MLFLOW_SPAN_INPUTS: &str = "mlflow.spanInputs";
/// MLflow: what came out, as JSON.
pub const MLFLOW_SPAN_OUTPUTS: &str = "mlflow.spanOutputs";
/// MLflow: name of the traced function.
pub const MLFLOW_FUNCTION_NAME: &str = "mlflow.spanFunctionName";
/// MLflow: public trace id, repeated on every span.
pub const MLFLOW_TRACE_REQUEST_ID: &str = "mlflow.traceRequestId";
/// MLflow: token counts, a map.
pub const MLFLOW_TOKEN_USAGE: &str = "mlflow.chat.tokenUsage";
/// MLflow: definitions of the tools a model was offered.
pub const MLFLOW_CHAT_TOOLS: &str = "mlflow.chat.tools";
/// MLflow: cost in US dollars, a map.
pub const MLFLOW_LLM_COST: &str = "mlflow.llm.cost";
/// Ours: cost in US dollars by a table of prices, a map as [`MLFLOW_LLM_COST`]. In memory only:
/// it is computed when a trace is read.
pub const SPANLITE_COST: &str = "spanlite.cost";
/// MLflow: name of the model.
pub const MLFLOW_LLM_MODEL: &str = "mlflow.llm.model";
/// MLflow: name of the provider.
pub const MLFLOW_LLM_PROVIDER: &str = "mlflow.llm.provider";
/// MLflow: dialect of the chat messages, for viewers.
pub const MLFLOW_MESSAGE_FORMAT: &str = "mlflow.message.format";
/// MLflow: prefix of events that hold one item of a stream; the item's number follows.
pub const MLFLOW_CHUNK_EVENT_PREFIX: &str = "mlflow.chunk.item.";
/// MLflow: attribute of such an event that holds the item, as JSON text.
pub const MLFLOW_CHUNK_VALUE: &str = "mlflow.chunk.value";

/// MLflow tag: name of the trace.
pub const MLFLOW_TRACE_NAME: &str = "mlflow.traceName";
/// MLflow metadata: session of the trace.
pub const MLFLOW_TRACE_SESSION: &str = "mlflow.trace.session";
/// MLflow metadata: user of the trace.
pub const MLFLOW_TRACE_USER: &str = "mlflow.trace.user";
/// MLflow metadata: token counts of the trace, JSON text.
pub const MLFLOW_TRACE_TOKEN_USAGE: &str = "mlflow.trace.tokenUsage";
/// MLflow metadata: cost of the trace, JSON text.
pub const MLFLOW_TRACE_COST: &str = "mlflow.trace.cost";
/// MLflow metadata: run that the trace belongs to.
pub const MLFLOW_SOURCE_RUN: &str = "mlflow.sourceRun";
/// MLflow metadata: version of the trace schema, `3`.
pub const MLFLOW_SCHEMA_VERSION: &str = "mlflow.trace_schema.version";
/// MLflow metadata: logged model of the trace.
pub const MLFLOW_MODEL_ID: &str = "mlflow.modelId";

/// Session of a span, in OpenTelemetry and OpenInference.
pub const SESSION_ID: &str = "session.id";
/// Session of a span, in the GenAI conventions.
pub const GEN_AI_CONVERSATION_ID: &str = "gen_ai.conversation.id";
/// User of a span.
pub const USER_ID: &str = "user.id";
/// Name of the service, on a resource.
pub const SERVICE_NAME: &str = "service.name";

/// Name of an exception event.
pub const EXCEPTION: &str = "exception";
/// Class of the exception.
pub const EXCEPTION_TYPE: &str = "exception.type";
/// Text of the exception.
pub const EXCEPTION_MESSAGE: &str = "exception.message";
/// Where it was raised.
pub const EXCEPTION_STACKTRACE: &str = "exception.stacktrace";
/// Class of the error, on a span.
pub const ERROR_TYPE: &str = "error.type";

/// GenAI: model that answered.
pub const GEN_AI_RESPONSE_MODEL: &str = "gen_ai.response.model";
/// GenAI: model that was asked.
pub const GEN_AI_REQUEST_MODEL: &str = "gen_ai.request.model";
/// GenAI: provider.
pub const GEN_AI_PROVIDER_NAME: &str = "gen_ai.provider.name";
/// GenAI: provider, until 2025.
pub const GEN_AI_SYSTEM: &str = "gen_ai.system";

/// Where the model of a call may stand: MLflow's key, the GenAI conventions' (who answered before
/// who was asked), `OpenInference`'s and Traceloop's. The first that holds a text counts.
pub const MODEL_KEYS: &[&str] = &[
    MLFLOW_LLM_MODEL,
    GEN_AI_RESPONSE_MODEL,
    GEN_AI_REQUEST_MODEL,
    "llm.response.model_name",
    "llm.model_name",
    "llm.request.model_name",
    "embedding.model_name",
];
/// Where its provider may stand; the first that holds a text counts.
pub const PROVIDER_KEYS: &[&str] = &[
    MLFLOW_LLM_PROVIDER,
    GEN_AI_PROVIDER_NAME,
    GEN_AI_SYSTEM,
    "llm.provider",
];
/// Claude Code: the type of a span, which tells whether its counts are Claude Code's own.
pub const CLAUDE_CODE_SPAN_TYPE: &str = "span.type";
