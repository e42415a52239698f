mod hint;

use std::borrow::Cow;
use std::error::Error as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use spanlite_export::ExportError;
use spanlite_query::RunError;
use spanlite_store::{
    CloseError, OpenError, ReadError, RecoverError, StateError, StorageError, WriteError,
};

use crate::render::{Line, Look, Role, Sheet, Zone};

/// How a command that did its work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As it should.
    Done,
    /// Something in the store is damaged.
    DamageFound,
    /// Something that was named could not be used; the rest was done.
    Refused,
    /// A bound of `check` is broken.
    CheckFailed,
    /// Not everything was done; asking again is safe.
    PartlyDone,
    /// The user ended it.
    Interrupted,
}

/// The exit codes. They are part of the interface and never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    Failure = 1,
    /// Wrong usage, or a query that is none.
    Usage = 2,
    /// A store, trace or span that was named is not there.
    NotFound = 3,
    /// The store is locked, too new, or not readable.
    Unreadable = 4,
    /// Damage was found.
    Damage = 5,
    /// An export or import was done in part; asking again is safe.
    PartlyDone = 6,
    /// A bound of `check` is broken.
    CheckFailed = 7,
    /// The user ended it, as shells say it.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            Outcome::DamageFound => Self::Damage,
            Outcome::Refused => Self::Failure,
            Outcome::CheckFailed => Self::CheckFailed,
            Outcome::PartlyDone => Self::PartlyDone,
            Outcome::Interrupted => Self::Interrupted,
        }
    }
}

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error("no store at {}", path.display())]
    NoStore {
        path: PathBuf,
        looked_at: Vec<String>,
    },
    #[error("the store did not open")]
    Open(#[from] OpenError),
    #[error("the store cannot be read")]
    Read(#[from] ReadError),
    #[error("writing to the store failed")]
    Write(#[from] WriteError),
    #[error("{} cannot be written", path.display())]
    Copy {
        path: PathBuf,
        #[source]
        source: WriteError,
    },
    #[error("the store did not close well")]
    Close(#[from] CloseError),
    #[error("the change was not stored")]
    State(#[from] StateError),
    #[error("no trace begins with `{prefix}`")]
    NoTrace { prefix: String },
    #[error("no trace that could be read begins with `{prefix}`, and some of the store is damaged")]
    NoTraceInDamage { prefix: String },
    #[error("{}", no_such_age(reference, *count, *in_damage))]
    NoSuchAge {
        reference: String,
        /// Traces that could be read.
        count: usize,
        in_damage: bool,
    },
    #[error("`{reference}` names no trace: {why}")]
    Reference {
        reference: String,
        why: &'static str,
    },
    #[error("prefix {prefix} is not unique")]
    AmbiguousTrace {
        prefix: String,
        /// Ids and names, the first few.
        candidates: Vec<String>,
    },
    #[error("no span of the trace begins with, or is named, `{reference}`")]
    NoSpan { reference: String },
    #[error("`{reference}` is not one span")]
    AmbiguousSpan {
        reference: String,
        /// Ids and names, the first few.
        candidates: Vec<String>,
    },
    #[error("{source}")]
    Query {
        /// The message, then the place in the query.
        drawn: String,
        source: Box<spanlite_query::QueryError>,
    },
    #[error("the query failed")]
    Run(#[from] RunError),
    #[error("there is no saved query `@{name}`")]
    NoSavedQuery {
        name: String,
        /// The name that is spelled most alike.
        near: Option<String>,
    },
    #[error("a line of the input is no JSON string")]
    CheckInput(#[source] serde_json::Error),
    #[error("the prices cannot be read")]
    Prices(#[source] spanlite_model::PriceTableError),
    #[error("{} holds no prices", path.display())]
    PriceFile {
        path: PathBuf,
        #[source]
        source: Option<serde_json::Error>,
    },
    #[error("no price of `{model}` was set")]
    NoPrice { model: String },
    #[error("the server of the Model Context Protocol failed: {reason}")]
    Mcp { reason: String },
    #[error("the demo cannot be traced")]
    Demo(#[from] spanlite::InitError),
    #[cfg(feature = "server")]
    #[error("calls cannot be recorded")]
    Tracer(#[source] spanlite::InitError),
    #[cfg(feature = "server")]
    #[error("the server does not start")]
    Serve(#[source] spanlite_server::ServeError),
    #[error("nothing could be recovered")]
    Recover(#[from] RecoverError),
    #[error("nothing was changed: it was not confirmed")]
    NotConfirmed,
    #[error("the trace has no assessment `{reference}`")]
    NoAssessment { reference: String },
    #[error("no count is at least {min} and at most {max}")]
    Bounds { min: u64, max: u64 },
    #[error("{} is there already", path.display())]
    Exists { path: PathBuf },
    #[error("`{text}` is no KEY=VALUE")]
    Pair { text: String },
    #[error("this command has no form {form}")]
    NoSuchForm { form: String, forms: &'static str },
    #[error("{name} is none of its values")]
    Variable {
        name: &'static str,
        expected: &'static str,
    },
    #[error("{} is no configuration", path.display())]
    Config {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    #[error("{} cannot be read", path.display())]
    Input {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} cannot be written", path.display())]
    Destination {
        path: PathBuf,
        #[source]
        source: spanlite_formats::WriteError,
    },
    #[error("the trace cannot be written")]
    Document(#[from] spanlite_formats::WriteError),
    #[error("the job was not carried out")]
    Export(#[from] Box<ExportError>),
    #[error("the job cannot be used")]
    Job(#[from] spanlite_export::JobError),
    #[error("`--limit` says nothing about a server: everything selected is sent")]
    LimitOfServer,
    #[error("`{rule}` is no redaction rule")]
    RedactionRule { rule: String },
    #[error("a redaction rule cannot be used")]
    RedactionPattern(#[source] spanlite_export::PatternError),
    #[error("{} is a folder with files in it", path.display())]
    NotEmpty { path: PathBuf },
    #[error("`{command}` needs a terminal to draw on")]
    NoTerminal { command: &'static str },
    #[error("no such help: `{topic}`")]
    NoSuchHelp {
        topic: String,
        /// The command that is spelled most alike.
        near: Option<String>,
    },
    #[error("the output cannot be written")]
    Output(#[from] io::Error),
}

fn no_such_age(reference: &str, count: usize, in_damage: bool) -> String {
    let holds = match count {
        0 => "no traces".to_owned(),
        1 => "one trace".to_owned(),
        _ => format!("{count} traces"),
    };
    let read = if in_damage { " that could be read" } else { "" };
    let back = format!(", `{reference}` is further back");
    let back = if count > 0 { back.as_str() } else { "" };
    let damage = if in_damage {
        ", and some of it is damaged"
    } else {
        ""
    };
    format!("the store holds {holds}{read}{back}{damage}")
}

impl CliError {
    /// Whether a change was refused because the file that it goes into is damaged.
    fn is_refused_by_damage(&self) -> bool {
        let error = match self {
            Self::Write(WriteError::Storage(error)) => &**error,
            Self::State(StateError::Storage(error)) => error,
            _ => return false,
        };
        storage_exit(error) == Exit::Damage
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::NoStore { .. }
            | Self::NoTrace { .. }
            | Self::NoTraceInDamage { .. }
            | Self::NoSuchAge { .. }
            | Self::AmbiguousTrace { .. }
            | Self::NoSpan { .. }
            | Self::NoSavedQuery { .. }
            | Self::NoAssessment { .. }
            | Self::NoPrice { .. }
            | Self::AmbiguousSpan { .. }
            | Self::Job(spanlite_export::JobError::NoSuchJob { .. })
            | Self::Open(OpenError::NoStore { .. }) => Exit::NotFound,
            Self::Reference { .. }
            | Self::Pair { .. }
            | Self::Bounds { .. }
            | Self::Query { .. }
            | Self::Run(RunError::Query(_) | RunError::YieldsMetrics | RunError::YieldsTraces)
            | Self::CheckInput(_)
            | Self::NotConfirmed
            | Self::NoSuchForm { .. }
            | Self::NoTerminal { .. }
            | Self::LimitOfServer
            | Self::Job(spanlite_export::JobError::Target(_))
            | Self::RedactionRule { .. }
            | Self::RedactionPattern(_)
            | Self::Variable { .. }
            | Self::Config { .. }
            | Self::NoSuchHelp { .. } => Exit::Usage,
            Self::Open(OpenError::Storage(error)) | Self::Read(ReadError::Storage(error)) => {
                storage_exit(error)
            }
            Self::Open(OpenError::Writer(error)) => storage_exit(error),
            Self::Open(_) => Exit::Unreadable,
            _ if self.is_refused_by_damage() => Exit::Damage,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            _ => Exit::Failure,
        }
    }

    /// Why, in lines of their own; the chain of causes where nothing says it better.
    fn reasons(&self) -> Vec<String> {
        let mut reasons = match self {
            Self::Query { drawn, .. } => {
                return drawn.lines().skip(1).map(ToOwned::to_owned).collect();
            }
            Self::NoStore { looked_at, .. } => vec![format!("looked at {}", looked_at.join(", "))],
            Self::AmbiguousTrace { candidates, .. } | Self::AmbiguousSpan { candidates, .. } => {
                candidates.clone()
            }
            Self::Variable { expected, .. } => vec![format!("it may be {expected}")],
            Self::NoSuchForm { forms, .. } => vec![format!("it has {forms}")],
            Self::RedactionRule { .. } => {
                vec!["a rule is default, key=NAME or pattern=NAME:REGEX".to_owned()]
            }
            _ => Vec::new(),
        };
        let mut source = self.source();
        while let Some(error) = source {
            if !repeats_its_heading(error) {
                reasons.extend(error.to_string().lines().map(ToOwned::to_owned));
            }
            source = error.source();
        }
        reasons
    }

    /// All of it in one text: what, why, what to do.
    #[cfg(feature = "mcp")]
    pub(crate) fn text(&self) -> String {
        let mut lines = vec![self.to_string()];
        lines.extend(self.reasons());
        lines.extend(self.hint().map(|hint| format!("hint: {hint}")));
        lines.join("\n")
    }

    /// What to do, if there is something.
    pub(crate) fn advice(&self) -> Option<String> {
        self.hint().map(Cow::into_owned)
    }

    /// The last cause, which says most.
    pub(crate) fn cause_text(&self) -> String {
        self.reasons().pop().unwrap_or_else(|| self.to_string())
    }

    /// Says it on stderr: what, why, what to do. A closed pipe says nothing.
    pub(crate) fn print(&self, color: bool) {
        if matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe) {
            return;
        }
        let look = Look {
            width: 200,
            color,
            hyperlinks: None,
            ascii: false,
            zone: Zone::Utc,
        };
        let mut stderr = io::stderr().lock();
        let mut sheet = Sheet::new(&mut stderr, &look);
        let mut line = Line::of(Role::Error, "error: ");
        line.text(Role::Plain, &self.to_string());
        let mut lines = vec![line];
        lines.extend(self.reasons().iter().map(|reason| {
            let mut line = Line::new();
            line.pad(2).text(Role::Plain, reason);
            line
        }));
        if let Some(hint) = self.hint() {
            let mut line = Line::new();
            line.pad(2)
                .text(Role::Key, "hint: ")
                .text(Role::Plain, &hint);
            lines.push(line);
        }
        for line in &lines {
            // Nobody is left to be told that stderr is closed.
            if sheet.line(line).is_err() {
                return;
            }
        }
        drop(stderr.flush());
    }
}

/// Whether a cause says no more than what was tried, as the heading does.
fn repeats_its_heading(cause: &(dyn std::error::Error + 'static)) -> bool {
    matches!(cause.downcast_ref(), Some(OpenError::Storage(_)))
        || matches!(cause.downcast_ref(), Some(ReadError::Storage(_)))
        || matches!(cause.downcast_ref(), Some(WriteError::Storage(_)))
}

fn storage_exit(error: &StorageError) -> Exit {
    match error {
        StorageError::Damaged { .. } | StorageError::DamagedValue { .. } => Exit::Damage,
        StorageError::DiskFull { .. } => Exit::Failure,
        _ => Exit::Unreadable,
    }
}
