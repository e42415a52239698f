use chrono::{DateTime, Local, Utc};
use spanlite_model::{SpanType, Trace, TraceState};

use super::link::Hyperlinks;

/// How output looks to a person: settled once, by the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    /// Columns of the terminal.
    pub(crate) width: usize,
    /// Whether roles become colours.
    pub(crate) color: bool,
    /// Where ids and paths lead; nothing where the terminal has no links.
    pub(crate) hyperlinks: Option<Hyperlinks>,
    /// Whether only ASCII is drawn.
    pub(crate) ascii: bool,
    /// The zone of times shown to people.
    pub(crate) zone: Zone,
}

/// The zone of times shown to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    /// The zone of the machine.
    Local,
    /// UTC.
    Utc,
}

/// What a piece of text means. Colours follow from this alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Role {
    #[default]
    Plain,
    Strong,
    Dim,
    Heading,
    Id,
    Ok,
    Error,
    Running,
    Interrupted,
    Warning,
    Key,
    Text,
    Number,
    Added,
    Removed,
    Changed,
    Model,
    Tool,
    Agent,
    Lookup,
}

impl Role {
    /// The parameters of the terminal's "select graphic rendition"; nothing for plain text.
    pub(crate) fn sgr(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "1",
            Self::Dim => "2",
            Self::Heading => "1;2",
            Self::Id | Self::Lookup => "36",
            Self::Ok | Self::Added | Self::Text => "32",
            Self::Error => "1;31",
            Self::Removed => "31",
            Self::Running | Self::Key | Self::Tool => "34",
            Self::Interrupted | Self::Warning | Self::Changed => "33",
            Self::Number => "35",
            Self::Model => "32;1",
            Self::Agent => "35;1",
        }
    }

    /// The role of a span's type.
    pub(crate) fn of_type(span_type: &SpanType) -> Self {
        match span_type {
            SpanType::Llm | SpanType::ChatModel => Self::Model,
            SpanType::Tool => Self::Tool,
            SpanType::Agent | SpanType::Workflow => Self::Agent,
            SpanType::Retriever | SpanType::Embedding | SpanType::Reranker | SpanType::Memory => {
                Self::Lookup
            }
            _ => Self::Dim,
        }
    }

    /// The role of a trace's state.
    pub(crate) fn of_state(state: TraceState) -> Self {
        match state {
            TraceState::Ok => Self::Ok,
            TraceState::Error => Self::Error,
            TraceState::InProgress => Self::Running,
            TraceState::Interrupted => Self::Interrupted,
            TraceState::Unspecified => Self::Dim,
        }
    }
}

impl Look {
    /// Date and time of Unix nanoseconds, `2026-08-12 21:18:08`.
    pub(crate) fn date_time(&self, unix_nano: u64) -> String {
        self.format_time(unix_nano, "%Y-%m-%d %H:%M:%S")
    }

    /// The time of day, `14:02:11`.
    pub(crate) fn time_of_day(&self, unix_nano: u64) -> String {
        self.format_time(unix_nano, "%H:%M:%S")
    }

    /// The time of day with milliseconds, `14:02:11.120`.
    pub(crate) fn time_of_day_millis(&self, unix_nano: u64) -> String {
        self.format_time(unix_nano, "%H:%M:%S%.3f")
    }

    /// Month, day and time, `08-12 21:18:08`.
    pub(crate) fn month_day_time(&self, unix_nano: u64) -> String {
        self.format_time(unix_nano, "%m-%d %H:%M:%S")
    }

    /// The date alone, `2026-08-12`.
    pub(crate) fn date(&self, unix_nano: u64) -> String {
        self.format_time(unix_nano, "%Y-%m-%d")
    }

    fn format_time(&self, unix_nano: u64, format: &str) -> String {
        // 2^64 ns after 1970 is the year 2554: every value is a date.
        let utc = DateTime::<Utc>::from_timestamp(
            (unix_nano / 1_000_000_000) as i64,
            (unix_nano % 1_000_000_000) as u32,
        )
        .unwrap_or_default();
        match self.zone {
            Zone::Utc => utc.format(format).to_string(),
            Zone::Local => utc.with_timezone(&Local).format(format).to_string(),
        }
    }
}

/// Whether time passes in a trace: it has not ended, and a span of it is open.
pub(crate) fn is_running(trace: &Trace) -> bool {
    trace.state() == TraceState::InProgress
        && trace
            .spans
            .iter()
            .any(|span| span.end_time_unix_nano.is_none())
}

/// What people see of a trace's state: its role, its sign, its word. A trace that has not ended
/// though no span of it is open lacks its root: it is incomplete, and may stay so.
pub(crate) fn state_mark(trace: &Trace) -> (Role, &'static str, &'static str) {
    let state = trace.state();
    if state == TraceState::InProgress && !is_running(trace) {
        return (Role::Interrupted, "◌", "incomplete");
    }
    (Role::of_state(state), state_sign(state), state_word(state))
}

/// The state of a trace as a word for people.
fn state_word(state: TraceState) -> &'static str {
    match state {
        TraceState::Ok => "ok",
        TraceState::Error => "error",
        TraceState::InProgress => "running",
        TraceState::Interrupted => "interrupted",
        TraceState::Unspecified => "unknown",
    }
}

/// The sign of a trace's state.
pub(crate) fn state_sign(state: TraceState) -> &'static str {
    match state {
        TraceState::Ok => "✓",
        TraceState::Error => "✗",
        TraceState::InProgress => "●",
        TraceState::Interrupted => "◌",
        TraceState::Unspecified => " ",
    }
}
