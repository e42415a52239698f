//! What to do about an error.

use std::borrow::Cow;

use spanlite_export::{ConnectError, ExportError, JobError};
use spanlite_store::{OpenError, ReadError, StorageError, WriteError};

use super::CliError;

impl CliError {
    /// What to do, if there is something.
    pub(super) fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::NoSuchHelp {
                near: Some(near), ..
            } => Some(format!("did you mean `{near}`?").into()),
            Self::NoSavedQuery {
                near: Some(near), ..
            } => Some(format!("did you mean `@{near}`?").into()),
            _ => self.fixed_hint().map(Cow::Borrowed),
        }
    }

    fn fixed_hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoStore { .. } => {
                "your program has not written yet, or pass --store PATH; \
                 `spanlite demo` makes a store to play with"
            }
            Self::Open(error) => return of_open(error),
            Self::Read(ReadError::Storage(StorageError::Damaged { .. })) => {
                "spanlite verify says what is damaged"
            }
            Self::Write(WriteError::Storage(error)) if is_disk_full(error) => {
                "what was stored before stays; make room, then run it again"
            }
            Self::NoTraceInDamage { .. }
            | Self::NoSuchAge {
                in_damage: true, ..
            } => {
                "`spanlite verify` says what is damaged, `spanlite recover --out NEW` saves the rest"
            }
            Self::NoSuchAge { count: 0, .. } => {
                "a traced program writes to it, `spanlite import` reads files, `spanlite demo` plays"
            }
            Self::NoTrace { .. } => "`spanlite list` shows the ids",
            Self::AmbiguousTrace { .. } | Self::AmbiguousSpan { .. } => {
                "give more digits of the id"
            }
            Self::NoSpan { .. } => {
                "`spanlite query '{ trace:id = \"TRACE\" }' --spans all` lists the spans with their ids"
            }
            Self::Reference { .. } => {
                "a trace is named by its id, the beginning of it, `@` or `@-1`"
            }
            Self::NotConfirmed => "--yes does it without asking",
            Self::NoSavedQuery { .. } => "`spanlite queries list` shows them",
            Self::NoAssessment { .. } => "`spanlite feedback list TRACE` shows them",
            Self::NoPrice { .. } => "`spanlite prices show MODEL` shows what is known of it",
            Self::PriceFile { .. } => {
                "it may be a table as `spanlite prices show --format csv` prints it, LiteLLM's \
                 price file, or a catalog file of MLflow"
            }
            _ if self.is_refused_by_damage() => {
                "a damaged file is read as far as it goes and not changed: `spanlite recover --out \
                 FOLDER` writes all that can be read into a new store and says what is lost"
            }
            Self::Exists { .. } => "--force writes over it",
            Self::NotEmpty { .. } => "name a folder that is not there yet",
            Self::NoTerminal { .. } => "`spanlite list` and `spanlite show` print",
            Self::NoSuchHelp { .. } => "`spanlite help` lists the commands",
            #[cfg(feature = "server")]
            Self::Serve(spanlite_server::ServeError::NeedsToken { .. }) => {
                "put a token into SPANLITE_TOKEN or into a file for --token-file"
            }
            #[cfg(feature = "server")]
            Self::Serve(spanlite_server::ServeError::Bind { .. }) => {
                "another program may listen there; --listen 127.0.0.1:PORT takes another port"
            }
            Self::Job(error) => return of_job(error),
            Self::Export(error) => return of_export(error),
            _ => return None,
        })
    }
}

fn of_open(error: &OpenError) -> Option<&'static str> {
    match error {
        OpenError::NewerFormat { .. } => Some("upgrade spanlite (no change was made to the store)"),
        OpenError::NotAStore { .. } => {
            Some("a store is a folder with a file STORE; `spanlite import` reads trace files")
        }
        OpenError::Bundle { .. } => Some("`spanlite import` takes its traces into a store"),
        OpenError::Writer(error) if is_disk_full(error) => Some(
            "make a little room on the disk; `spanlite gc` makes more, and needs some to begin",
        ),
        _ => None,
    }
}

fn of_job(error: &JobError) -> Option<&'static str> {
    match error {
        JobError::NoSuchJob { .. } => Some("`spanlite jobs list` shows them"),
        JobError::Exists { .. } => {
            Some("take another name, or remove that one by `spanlite jobs rm`")
        }
        JobError::Target(error) => of_connection(error),
        _ => None,
    }
}

fn of_export(error: &ExportError) -> Option<&'static str> {
    match error {
        ExportError::Connect(error) => of_connection(error),
        ExportError::Target(error) => of_answer(error.answer().map(|answer| answer.status)),
        _ => None,
    }
}

fn of_connection(error: &ConnectError) -> Option<&'static str> {
    match error {
        ConnectError::Address { .. } => Some(
            "an address begins with its protocol, and a port is at most 65535, such as \
             http://127.0.0.1:5000",
        ),
        _ => None,
    }
}

/// What to do about a target that refuses everything, by the status of its answer.
fn of_answer(status: Option<u16>) -> Option<&'static str> {
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

fn is_disk_full(error: &StorageError) -> bool {
    matches!(error, StorageError::DiskFull { .. })
}
