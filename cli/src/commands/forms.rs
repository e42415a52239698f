use clap::ValueEnum as _;

use crate::args::{Command, FeedbackCommand, Format, PricesCommand, QueriesCommand};
use crate::error::CliError;
use crate::jobs::JobsCommand;

/// What a command prints, and so the forms that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forms {
    /// Rows of columns.
    Rows,
    /// A page of its own, or one object.
    Page,
    /// Sentences, or one object.
    Facts,
    /// A text that has no other form.
    Text,
}

/// Fails if a form was asked for that the command does not have, before anything is done.
pub(super) fn check(command: &Command, format: Option<Format>) -> Result<(), CliError> {
    let Some(format) = format else {
        return Ok(());
    };
    let (has_it, forms) = match Forms::of(command) {
        Forms::Rows => (format != Format::Tree, "table, json, ndjson, csv and md"),
        Forms::Page => (format != Format::Csv, "tree, json, ndjson and md"),
        Forms::Facts => (
            matches!(format, Format::Json | Format::Ndjson),
            "json and ndjson, else plain text",
        ),
        Forms::Text => (false, "only its own"),
    };
    if has_it {
        return Ok(());
    }
    let name = format.to_possible_value();
    Err(CliError::NoSuchForm {
        form: name.map_or_else(String::new, |value| value.get_name().to_owned()),
        forms,
    })
}

impl Forms {
    fn of(command: &Command) -> Self {
        match command {
            Command::Query(args) if args.check || args.explain => Self::Facts,
            Command::List(_)
            | Command::Query(_)
            | Command::Queries(QueriesCommand::List)
            | Command::Demo
            | Command::Stats(_)
            | Command::Values(_)
            | Command::Sessions(_)
            | Command::Feedback(FeedbackCommand::List(_))
            | Command::Jobs(JobsCommand::List | JobsCommand::Show { failed: true, .. })
            | Command::Prices(
                PricesCommand::Show { .. }
                | PricesCommand::Missing { .. }
                | PricesCommand::Recompute { .. },
            )
            | Command::Config
            | Command::Doctor => Self::Rows,
            Command::Show(_) | Command::Span(_) | Command::Diff(_) => Self::Page,
            Command::Tui(_) | Command::Help(_) | Command::Completions(_) | Command::Man(_) => {
                Self::Text
            }
            #[cfg(feature = "mcp")]
            Command::Mcp => Self::Text,
            #[cfg(feature = "server")]
            Command::Receive(_) | Command::Proxy(_) => Self::Facts,
            Command::Queries(_)
            | Command::Check(_)
            | Command::Tail(_)
            | Command::Jobs(_)
            | Command::Generate(_)
            | Command::Feedback(_)
            | Command::Expect(_)
            | Command::Tag(_)
            | Command::Pin(_)
            | Command::Import(_)
            | Command::Export(_)
            | Command::Bundle(_)
            | Command::Gc(_)
            | Command::Delete(_)
            | Command::Redact(_)
            | Command::Compact
            | Command::Init(_)
            | Command::Open(_)
            | Command::Backup(_)
            | Command::Recover(_)
            | Command::Info
            | Command::Verify
            | Command::Prices(_)
            | Command::Version => Self::Facts,
        }
    }
}
