use std::borrow::Cow;
use std::error::Error as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use spanlite_export::{ConnectError, ExportError};
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
    #[error("nothing was written")]
    Write(#[from] WriteError),
    #[error("the store did not close well")]
    Close(#[from] CloseError),
    #[error("the change was not stored")]
    State(#[from] StateError),
    #[error("no trace begins with `{prefix}`")]
    NoTrace { prefix: String },
    #[error("no trace that could be read begins with `{prefix}`, and some of the store is damaged")]
    NoTraceInDamage { prefix: String },
    #[error("{}", no_such_age(reference, *count))]
    NoSuchAge { reference: String, count: usize },
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

fn no_such_age(reference: &str, count: usize) -> String {
    match count {
        0 => "the store holds no traces".to_owned(),
        1 => format!("the store holds one trace, `{reference}` is further back"),
        _ => format!("the store holds {count} traces, `{reference}` is further back"),
    }
}

impl CliError {
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
            Self::Open(_) => Exit::Unreadable,
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
            reasons.extend(error.to_string().lines().map(ToOwned::to_owned));
            source = error.source();
        }
        reasons
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::NoSuchHelp {
                near: Some(near), ..
            } => {
                return Some(format!("did you mean `{near}`?").into());
            }
            Self::NoSavedQuery {
                near: Some(near), ..
            } => {
                return Some(format!("did you mean `@{near}`?").into());
            }
            Self::NoSuchAge { count: 0, .. } => Some(
                "a traced program writes to it, `spanlite import` reads files, `spanlite demo` plays",
            ),
            Self::NoStore { .. } => Some(
                "your program has not written yet, or pass --store PATH; \
                 `spanlite demo` makes a store to play with",
            ),
            Self::Open(OpenError::NewerFormat { .. }) => {
                Some("upgrade spanlite (no change was made to the store)")
            }
            Self::Open(OpenError::NotAStore { .. }) => {
                Some("a store is a folder with a file STORE; `spanlite import` reads trace files")
            }
            Self::NoTrace { .. } => Some("`spanlite list` shows the ids"),
            Self::NoTraceInDamage { .. } => Some(
                "`spanlite verify` says what is damaged, `spanlite recover --out NEW` saves the rest",
            ),
            Self::AmbiguousTrace { .. } | Self::AmbiguousSpan { .. } => {
                Some("give more digits of the id")
            }
            Self::NotConfirmed => Some("--yes does it without asking, --dry-run only looks"),
            Self::NoSavedQuery { .. } => Some("`spanlite queries list` shows them"),
            Self::NoAssessment { .. } => Some("`spanlite feedback list TRACE` shows them"),
            Self::NoPrice { .. } => Some("`spanlite prices show MODEL` shows what is known of it"),
            Self::PriceFile { .. } => Some(
                "it may be a table as `spanlite prices show --format csv` prints it, LiteLLM's \
                 price file, or a catalog file of MLflow",
            ),
            Self::NoSpan { .. } => Some(
                "`spanlite query '{ trace:id = \"TRACE\" }' --spans all` lists the spans with their ids",
            ),
            Self::Reference { .. } => {
                Some("a trace is named by its id, the beginning of it, `@` or `@-1`")
            }
            Self::Read(ReadError::Storage(StorageError::Damaged { .. })) => {
                Some("spanlite verify says what is damaged")
            }
            #[cfg(feature = "server")]
            Self::Serve(spanlite_server::ServeError::NeedsToken { .. }) => {
                Some("put a token into SPANLITE_TOKEN or into a file for --token-file")
            }
            #[cfg(feature = "server")]
            Self::Serve(spanlite_server::ServeError::Bind { .. }) => {
                Some("another program may listen there; --listen 127.0.0.1:PORT takes another port")
            }
            Self::Exists { .. } => Some("--force writes over it"),
            Self::NotEmpty { .. } => Some("name a folder that is not there yet"),
            Self::NoTerminal { .. } => Some("`spanlite list` and `spanlite show` print"),
            Self::NoSuchHelp { .. } => Some("`spanlite help` lists the commands"),
            Self::Job(spanlite_export::JobError::NoSuchJob { .. }) => {
                Some("`spanlite jobs list` shows them")
            }
            Self::Job(spanlite_export::JobError::Exists { .. }) => {
                Some("take another name, or remove that one by `spanlite jobs rm`")
            }
            Self::Job(spanlite_export::JobError::Target(error)) => hint_of_connection(error),
            Self::Export(error) => match &**error {
                ExportError::Connect(error) => hint_of_connection(error),
                ExportError::Target(error) => {
                    hint_of_answer(error.answer().map(|answer| answer.status))
                }
                _ => None,
            },
            _ => None,
        };
        hint.map(Cow::Borrowed)
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

fn hint_of_connection(error: &ConnectError) -> Option<&'static str> {
    match error {
        ConnectError::Address { .. } => Some(
            "an address begins with its protocol, and a port is at most 65535, such as \
             http://127.0.0.1:5000",
        ),
        _ => None,
    }
}

/// What to do about a target that refuses everything, by the status of its answer.
fn hint_of_answer(status: Option<u16>) -> Option<&'static str> {
    match status {
        Some(401 | 403) => Some(
            "a password or token comes from MLFLOW_TRACKING_USERNAME and _PASSWORD, from \
             MLFLOW_TRACKING_TOKEN, or by --auth-file, --bearer-env or --basic-env of the job",
        ),
        Some(300..=399 | 404 | 405) | None => {
            Some("something else may listen at the address; --to says what it is taken for")
        }
        Some(_) => None,
    }
}

fn storage_exit(error: &StorageError) -> Exit {
    match error {
        StorageError::Damaged { .. } | StorageError::DamagedValue { .. } => Exit::Damage,
        StorageError::DiskFull { .. } => Exit::Failure,
        _ => Exit::Unreadable,
    }
}
