/// A field of a span, an event, a link or a trace, by its place in the language.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Field {
    /// `span.a`, `.a`, `tag.env`
    Attribute {
        /// Where it is looked up.
        scope: Scope,
        /// Its key.
        name: Box<str>,
    },
    /// `parent.a`, `parent.resource.a`; parsed, not answered.
    Parent {
        /// Where it would be looked up.
        scope: Scope,
        /// Its key.
        name: Box<str>,
    },
    /// `span:name`, `duration`
    Builtin(Builtin),
}

/// Where an attribute is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// `.a`: the span, else its resource.
    Either,
    /// `span.a`
    Span,
    /// `resource.a`
    Resource,
    /// `event.a`
    Event,
    /// `link.a`
    Link,
    /// `instrumentation.a`
    Instrumentation,
    /// `tag.a`
    Tag,
    /// `metadata.a`
    Metadata,
    /// `feedback.a`
    Feedback,
    /// `expectation.a`
    Expectation,
}

impl Scope {
    /// The word before the dot.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Either => "",
            Self::Span => "span",
            Self::Resource => "resource",
            Self::Event => "event",
            Self::Link => "link",
            Self::Instrumentation => "instrumentation",
            Self::Tag => "tag",
            Self::Metadata => "metadata",
            Self::Feedback => "feedback",
            Self::Expectation => "expectation",
        }
    }

    /// Whether it belongs to the trace rather than to a span.
    pub(crate) fn is_of_trace(self) -> bool {
        matches!(
            self,
            Self::Tag | Self::Metadata | Self::Feedback | Self::Expectation
        )
    }

    pub(crate) const WORDS: [(&'static str, Self); 11] = [
        ("span", Self::Span),
        ("resource", Self::Resource),
        ("event", Self::Event),
        ("link", Self::Link),
        ("instrumentation", Self::Instrumentation),
        ("tag", Self::Tag),
        ("tags", Self::Tag),
        ("metadata", Self::Metadata),
        ("request_metadata", Self::Metadata),
        ("feedback", Self::Feedback),
        ("expectation", Self::Expectation),
    ];

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::WORDS
            .iter()
            .find(|(name, _)| *name == word)
            .map(|(_, scope)| *scope)
    }
}

/// What static checks know of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// Known at run time only.
    Any,
    Nil,
    Bool,
    Int,
    Float,
    Duration,
    Text,
    Status,
    Kind,
    /// A point in time; compares with dates in texts and with Unix nanoseconds.
    Time,
    /// The state of a trace or a span as MLflow writes it; compares with texts and statuses.
    State,
    /// A JSON value.
    Json,
}

impl Type {
    pub(crate) fn is_numeric(self) -> bool {
        matches!(self, Self::Int | Self::Float | Self::Duration)
    }

    /// The type in a message.
    pub(crate) fn described(self) -> &'static str {
        match self {
            Self::Any => "an attribute",
            Self::Nil => "nil",
            Self::Bool => "true or false",
            Self::Int => "a whole number",
            Self::Float => "a number",
            Self::Duration => "a duration",
            Self::Text => "a string",
            Self::Status => "a status",
            Self::Kind => "a kind",
            Self::Time => "a time",
            Self::State => "a state",
            Self::Json => "a JSON value",
        }
    }
}

/// What a built-in is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Trace,
    Span,
    Event,
    Link,
}

macro_rules! builtins {
    ($($(#[$doc:meta])* $name:ident: $level:ident $type:ident = $canonical:literal $(| $alias:literal)* $(; filter $filter:literal $(| $falias:literal)*)?),* $(,)?) => {
        /// A field that every span or trace has a place for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub(crate) enum Builtin {
            $($(#[$doc])* $name,)*
        }

        impl Builtin {
            /// Every built-in with the names it has inside braces (the canonical one first) and
            /// those it has in the filter form only.
            pub(crate) const ALL: &[(Self, &[&str], &[&str])] = &[
                $((Self::$name, &[$canonical $(, $alias)*], &[$($filter $(, $falias)*)?]),)*
            ];

            /// How the canonical form writes it inside braces.
            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $canonical,)*
                }
            }

            pub(crate) fn level(self) -> Level {
                match self {
                    $(Self::$name => Level::$level,)*
                }
            }

            pub(crate) fn ty(self) -> Type {
                match self {
                    $(Self::$name => Type::$type,)*
                }
            }
        }
    };
}

builtins! {
    /// The span's name.
    SpanName: Span Text = "name" | "span:name"; filter "span.name",
    /// End minus start.
    SpanDuration: Span Duration = "duration" | "span:duration",
    /// `ok`, `error` or `unset`.
    SpanStatus: Span Status = "status" | "span:status",
    /// The text of the status.
    SpanStatusMessage: Span Text = "statusMessage" | "span:statusMessage",
    /// OpenTelemetry's role.
    SpanKind: Span Kind = "kind" | "span:kind",
    /// The span's id, hex.
    SpanId: Span Text = "span:id",
    /// The id of the parent, hex; empty for a root.
    SpanParentId: Span Text = "span:parentID",
    /// How many direct children.
    SpanChildCount: Span Int = "span:childCount",
    /// The number of ancestors.
    SpanDepth: Span Int = "span:depth",
    /// MLflow's role.
    SpanType: Span Text = "span:type" | "type"; filter "span.type",
    /// What went in.
    SpanInput: Span Json = "input" | "span:input",
    /// What came out.
    SpanOutput: Span Json = "output" | "span:output",
    /// Name, input, output, status text, errors and events, all together.
    SpanText: Span Text = "text" | "span:text"; filter "span.content" | "trace.text" | "attribute.text" | "attributes.text",
    /// The class of the error.
    SpanErrorType: Span Text = "span:errorType",
    /// The text of the error.
    SpanErrorMessage: Span Text = "span:errorMessage",
    /// When it began.
    SpanStart: Span Time = "span:start",
    /// When it ended; nil while it is open.
    SpanEnd: Span Time = "span:end",
    /// Tokens that went in.
    SpanInputTokens: Span Int = "span:inputTokens"; filter "span.input_tokens",
    /// Tokens that came out.
    SpanOutputTokens: Span Int = "span:outputTokens"; filter "span.output_tokens",
    /// Both together.
    SpanTotalTokens: Span Int = "span:totalTokens"; filter "span.total_tokens",
    /// US dollars.
    SpanCost: Span Float = "span:cost"; filter "span.cost",
    /// The model that answered.
    SpanModel: Span Text = "span:model"; filter "span.model",
    /// Who runs the model.
    SpanProvider: Span Text = "span:provider"; filter "span.provider",
    /// The status as MLflow writes it: `OK`, `ERROR`, `UNSET`.
    SpanState: Span State = "span:state"; filter "span.status",
    /// The library's name.
    InstrumentationName: Span Any = "instrumentation:name",
    /// The library's version.
    InstrumentationVersion: Span Any = "instrumentation:version",
    /// Pre-order number, from 1.
    NestedSetLeft: Span Int = "nestedSetLeft",
    /// The number that closes the span's interval.
    NestedSetRight: Span Int = "nestedSetRight",
    /// The left number of the parent, -1 for a root.
    NestedSetParent: Span Int = "nestedSetParent",
    /// Parsed, not answered.
    Parent: Span Nil = "parent",
    /// The event's name.
    EventName: Event Text = "event:name",
    /// From the span's start to the event.
    EventTimeSinceStart: Event Duration = "event:timeSinceStart",
    /// The trace a link points to.
    LinkTraceId: Link Text = "link:traceID",
    /// The span a link points to.
    LinkSpanId: Link Text = "link:spanID",
    /// The trace's id; `tr-` is allowed before the digits.
    TraceId: Trace Text = "trace:id"; filter "request_id" | "trace.request_id" | "attribute.request_id" | "attributes.request_id" | "trace_id" | "trace.id" | "trace.trace_id",
    /// Last end minus first start.
    TraceDuration: Trace Duration = "traceDuration" | "trace:duration",
    /// The name of the root span.
    TraceRootName: Trace Text = "rootName" | "trace:rootName",
    /// The service of the root span.
    TraceRootService: Trace Text = "rootServiceName" | "trace:rootService",
    /// The first start.
    TraceStart: Trace Time = "trace:start",
    /// The last end.
    TraceEnd: Trace Time = "trace:end",
    /// `OK`, `ERROR` or `IN_PROGRESS`, as MLflow says.
    TraceStatus: Trace State = "trace:status"; filter "status" | "trace.status" | "attribute.status" | "attributes.status",
    /// As `trace:status`, and `INTERRUPTED`.
    TraceState: Trace State = "trace:state"; filter "trace.state",
    /// The name given to the trace, else the root span's.
    TraceName: Trace Text = "trace:name"; filter "name" | "trace.name" | "attribute.name" | "attributes.name",
    /// What went into the root span.
    TraceInput: Trace Json = "trace:input",
    /// What came out of the root span.
    TraceOutput: Trace Json = "trace:output",
    /// How many spans.
    TraceSpanCount: Trace Int = "trace:spanCount",
    /// How many failed spans.
    TraceErrorCount: Trace Int = "trace:errorCount",
    /// The session.
    TraceSession: Trace Text = "trace:session"; filter "trace.session",
    /// The user.
    TraceUser: Trace Text = "trace:user"; filter "trace.user",
    /// The program's own id of the request.
    TraceClientRequestId: Trace Text = "trace:clientRequestID"; filter "client_request_id" | "trace.client_request_id" | "attribute.client_request_id" | "attributes.client_request_id",
    /// MLflow's run.
    TraceRun: Trace Text = "trace:run"; filter "run_id" | "trace.run_id" | "attribute.run_id" | "attributes.run_id",
    /// Prompts linked in MLflow, as `name/version`.
    TracePrompt: Trace Text = "trace:prompt"; filter "prompt" | "trace.prompt" | "attribute.prompt" | "attributes.prompt",
    /// Whether retention leaves the trace alone.
    TracePinned: Trace Bool = "trace:pinned"; filter "trace.pinned",
    /// Tokens that went in, over the trace.
    TraceInputTokens: Trace Int = "trace:inputTokens"; filter "trace.input_tokens",
    /// Tokens that came out, over the trace.
    TraceOutputTokens: Trace Int = "trace:outputTokens"; filter "trace.output_tokens",
    /// Both together, over the trace.
    TraceTotalTokens: Trace Int = "trace:totalTokens"; filter "trace.total_tokens",
    /// US dollars, over the trace.
    TraceCost: Trace Float = "trace:cost"; filter "trace.cost",
    /// MLflow's issues found in the trace, by id.
    TraceIssue: Trace Text = "trace:issue"; filter "issue.id",
    /// As `trace:start`; plain numbers are Unix milliseconds.
    Timestamp: Trace Time = "trace:timestamp"; filter "timestamp" | "timestamp_ms" | "trace.timestamp" | "trace.timestamp_ms" | "attribute.timestamp" | "attribute.timestamp_ms" | "attributes.timestamp" | "attributes.timestamp_ms",
    /// As `trace:duration`; plain numbers are milliseconds.
    ExecutionTime: Trace Duration = "trace:executionTime"; filter "execution_time" | "execution_time_ms" | "trace.execution_time" | "trace.execution_time_ms" | "attribute.execution_time" | "attribute.execution_time_ms" | "attributes.execution_time" | "attributes.execution_time_ms",
    /// As `trace:end`; plain numbers are Unix milliseconds.
    EndTime: Trace Time = "trace:endTime"; filter "end_time" | "end_time_ms" | "trace.end_time" | "trace.end_time_ms" | "attribute.end_time" | "attribute.end_time_ms" | "attributes.end_time" | "attributes.end_time_ms",
}

impl Builtin {
    /// The built-in with a name that is legal inside braces, as a whole: `span:name`, `duration`.
    pub(crate) fn in_braces(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, names, _)| names.contains(&name))
            .map(|(builtin, ..)| *builtin)
    }

    /// The built-in with one of MLflow's names, as a whole: `span.type`, `execution_time_ms`.
    pub(crate) fn in_filter(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, _, names)| names.contains(&name))
            .map(|(builtin, ..)| *builtin)
    }

    /// How the canonical form writes it in the filter form.
    pub(crate) fn filter_name(self) -> &'static str {
        let (_, braces, filter) = Self::ALL
            .iter()
            .find(|(builtin, ..)| *builtin == self)
            .copied()
            .unwrap_or((self, &[""], &[]));
        let colon = braces.iter().find(|name| name.contains(':'));
        filter.first().or(colon).unwrap_or(&braces[0])
    }

    /// Whether TraceQL has it too and says that it always exists.
    pub(crate) fn always_exists(self) -> bool {
        matches!(
            self,
            Self::SpanName
                | Self::SpanDuration
                | Self::SpanStatus
                | Self::SpanStatusMessage
                | Self::SpanKind
                | Self::SpanId
                | Self::SpanParentId
                | Self::SpanChildCount
                | Self::InstrumentationName
                | Self::InstrumentationVersion
                | Self::NestedSetLeft
                | Self::NestedSetRight
                | Self::NestedSetParent
                | Self::EventName
                | Self::EventTimeSinceStart
                | Self::LinkTraceId
                | Self::LinkSpanId
                | Self::TraceId
                | Self::TraceDuration
                | Self::TraceRootName
                | Self::TraceRootService
        )
    }
}

impl Field {
    pub(crate) fn ty(&self) -> Type {
        match self {
            Self::Builtin(builtin) => builtin.ty(),
            Self::Attribute { .. } | Self::Parent { .. } => Type::Any,
        }
    }

    /// Whether it is a time or a duration of MLflow's, whose plain numbers are milliseconds.
    pub(crate) fn is_in_millis(&self) -> bool {
        matches!(
            self,
            Self::Builtin(Builtin::Timestamp | Builtin::ExecutionTime | Builtin::EndTime)
        )
    }
}
