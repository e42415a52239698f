//! The arguments as they are typed. Nothing here reads the environment or applies a default that
//! depends on it: `settings` does.

mod care;
mod judge;
mod look;
mod moves;
mod prices;

use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, NaiveTime};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use care::{
    BackupArgs, DeleteArgs, GcArgs, InitArgs, OpenArgs, RecoverArgs, RedactArgs,
};
pub(crate) use judge::{
    ExpectArgs, FeedbackAddArgs, FeedbackCommand, FeedbackListArgs, FeedbackRmArgs, JudgeArgs,
    PinArgs, TagArgs,
};
pub(crate) use look::{
    CheckArgs, DiffArgs, ListArgs, QueriesCommand, QueryArgs, ScopeArgs, SessionsArgs, ShowArgs,
    SpanArgs, StatsArgs, TailArgs, TuiArgs, ValuesArgs,
};
pub(crate) use moves::{BundleArgs, ExportArgs, ExportTo, ImportArgs};
pub(crate) use prices::{PriceArgs, PriceUse, PricesCommand};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "spanlite",
    version,
    about = "Query, show, move and care for traces of LLM applications, offline",
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "Try `spanlite demo` for a store to play with, `spanlite help query` for the \
                  query language.",
    after_long_help = "Settings come from a flag, else the environment, else the nearest \
`.spanlite.toml`, else `$XDG_CONFIG_HOME/spanlite/config.toml`; `spanlite config` shows each with \
its origin.\n\n  \
  SPANLITE_STORE       folder of the store\n  \
  SPANLITE_COLOR       auto, always or never; NO_COLOR and CLICOLOR_FORCE hold too\n  \
  SPANLITE_HYPERLINKS  auto, always or never\n  \
  SPANLITE_TRACE_URL   where a trace is seen in a browser, with {trace_id} in it\n  \
  SPANLITE_UTC         1 for times in UTC\n  \
  SPANLITE_PAGER       the pager, before PAGER\n  \
  SPANLITE_TOKEN       what senders to `receive` and `proxy` must know\n  \
  SPANLITE_NOW         a time taken for the present in what is shown and by --since\n\n\
Exit codes: 0 done; 1 failed; 2 wrong usage, or no query; 3 what was named is not there; 4 the store \
is locked, too new or unreadable; 5 damage was found; 6 done in part, and safe to repeat; 7 a bound \
of `check` is broken; 130 interrupted. Ctrl-C is how `receive` and `proxy` end: 0; `jobs run` stops \
behind the batch that is under way: 6."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Folder of the store [default: `$SPANLITE_STORE`, else `./traces.spans`]
    #[arg(long, short = 's', global = true, value_name = "PATH")]
    pub(crate) store: Option<PathBuf>,
    /// Form of the output
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,
    /// Short for --format json
    #[arg(long, global = true, conflicts_with = "format")]
    pub(crate) json: bool,
    /// When to use colours
    #[arg(long, global = true, value_enum, value_name = "WHEN")]
    pub(crate) color: Option<When>,
    /// When ids and paths are links that a click opens
    #[arg(long, global = true, value_enum, value_name = "WHEN")]
    pub(crate) hyperlinks: Option<When>,
    /// Draw with ASCII only
    #[arg(long, global = true)]
    pub(crate) ascii: bool,
    /// Columns to draw in [default: those of the terminal, else COLUMNS, else 100]
    #[arg(long, global = true, value_name = "COLUMNS")]
    pub(crate) width: Option<usize>,
    /// Show times in UTC instead of local time
    #[arg(long, global = true)]
    pub(crate) utc: bool,
    /// Never start a pager
    #[arg(long, global = true)]
    pub(crate) no_pager: bool,
    /// Change nothing in the store, not even to repair it after a kill
    #[arg(long, global = true)]
    pub(crate) read_only: bool,
    /// Say nothing on stderr but errors
    #[arg(long, short = 'q', global = true)]
    pub(crate) quiet: bool,
}

/// A form of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns
    Table,
    /// Tree beside a waterfall
    Tree,
    /// One JSON document
    Json,
    /// One JSON object a line
    Ndjson,
    /// Comma-separated values
    Csv,
    /// Markdown
    Md,
}

/// When something is used that not every terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On terminals that have it
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List traces, newest first
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show a trace as a tree beside a waterfall
    Show(ShowArgs),
    /// Show everything of one span
    Span(SpanArgs),
    /// Ask for traces and spans in the query language
    #[command(visible_alias = "q")]
    Query(QueryArgs),
    /// Keep queries under names, to be asked as @NAME
    #[command(subcommand)]
    Queries(QueriesCommand),
    /// Compare the number of matches with a bound; exits with 7 when it is broken
    Check(CheckArgs),
    /// Compare two traces: totals, the first divergence, the aligned tree
    Diff(DiffArgs),
    /// Show spans as they begin and end, in every program that writes
    Tail(TailArgs),
    /// Count spans by fields: errors, durations, tokens, cost
    Stats(StatsArgs),
    /// List the values of a field with how often they come
    Values(ValuesArgs),
    /// List sessions, the one that was active last first
    Sessions(SessionsArgs),
    /// Judge traces and spans
    #[command(subcommand)]
    Feedback(FeedbackCommand),
    /// Say what should have come out of a trace
    Expect(ExpectArgs),
    /// Set and remove tags of a trace
    Tag(TagArgs),
    /// Keep a trace from retention
    Pin(PinArgs),
    /// Read trace files into the store
    Import(ImportArgs),
    /// Take spans of other programs into the store, by OTLP, until told to end
    #[cfg(feature = "server")]
    Receive(crate::serve::ReceiveArgs),
    /// Record calls of models on their way to the provider, until told to end
    #[cfg(feature = "server")]
    Proxy(crate::serve::ProxyArgs),
    /// Write traces to files, or send them to a server
    Export(Box<ExportArgs>),
    /// Send selected traces to MLflow or an OTLP backend, by jobs kept in the store
    #[command(subcommand)]
    Jobs(crate::jobs::JobsCommand),
    /// Say what models cost, and what calls therefore cost
    #[command(subcommand)]
    Prices(PricesCommand),
    /// Answer a coding agent over stdin and stdout, by the Model Context Protocol
    #[cfg(feature = "mcp")]
    Mcp,
    /// Fill a store with made-up traces, to try things out
    Generate(GenerateArgs),
    /// Write traces into one file, to carry to another machine
    Bundle(BundleArgs),
    /// Say what the store holds and how it is
    Info,
    /// Show the settings and where each came from
    Config,
    /// Check every byte of the store; exits with 5 when something is damaged
    Verify,
    /// Look for what keeps spanlite from working well, and say what to do
    Doctor,
    /// Remove old traces
    Gc(GcArgs),
    /// Delete chosen traces for good
    Delete(DeleteArgs),
    /// Take secrets out of stored traces for good
    Redact(RedactArgs),
    /// Make what is stored small: complete traces into blocks, small segments into one
    Compact,
    /// Copy the store while programs go on writing
    Backup(BackupArgs),
    /// Write what can be read of a damaged store into a new one
    Recover(RecoverArgs),
    /// Make a store, and say how a program writes to it
    Init(InitArgs),
    /// Show traces in the browser, from one page that fetches nothing
    Open(OpenArgs),
    /// Look around on the whole screen
    Tui(TuiArgs),
    /// Run a small traced agent into the store and show what can be seen
    Demo,
    /// Print help: of spanlite, of a command, or of the query language (`help query`)
    Help(HelpArgs),
    /// Print the version
    Version,
    /// Print the completion script of a shell
    Completions(CompletionsArgs),
    /// Print the manual page, of spanlite or of a command
    Man(ManArgs),
}

/// When the traces began.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SinceArgs {
    /// Only traces that began in the last TIME, such as 30m, 2h, 7d, or since a day or a time, such
    /// as 2026-08-12 or 2026-08-12T14:00:00Z, in UTC unless it says otherwise
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    pub(crate) since: Option<Since>,
}

/// From when on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// So many nanoseconds before the present.
    Ago(u64),
    /// A time in Unix nanoseconds.
    At(u64),
}

/// Which traces are counted, and how many rows of what was counted are listed.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RowArgs {
    #[command(flatten)]
    pub(crate) since: SinceArgs,
    /// At most this many rows, of all that was counted; 0 for all
    #[arg(long, short = 'n', value_name = "N")]
    pub(crate) limit: Option<usize>,
}

/// Which traces.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SelectArgs {
    #[command(flatten)]
    pub(crate) since: SinceArgs,
    /// At most this many traces; 0 for all
    #[arg(long, short = 'n', value_name = "N")]
    pub(crate) limit: Option<usize>,
}

/// Which traces, page by page.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PageArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// Continue behind this place: `next` of the page before, as --json has it
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<spanlite_query::Cursor>,
}

#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// How many traces
    #[arg(long, short = 'n', value_name = "N", default_value = "100")]
    pub(crate) traces: u64,
    /// The same seed makes the same traces
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) seed: u64,
    /// Their shape
    #[arg(long, value_name = "PROFILE", default_value = "mixed", value_parser = profile_parser())]
    pub(crate) profile: spanlite_generate::Profile,
}

/// Reads the name of a profile; help lists them.
fn profile_parser() -> impl TypedValueParser<Value = spanlite_generate::Profile> {
    let names = spanlite_generate::Profile::ALL.map(spanlite_generate::Profile::as_str);
    PossibleValuesParser::new(names).try_map(|name| name.parse())
}

#[derive(Debug, Args)]
pub(crate) struct HelpArgs {
    /// A command, or `query`
    pub(crate) topic: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// A command
    pub(crate) command: Vec<String>,
}

/// A text that is no length of time.
#[derive(Debug, thiserror::Error)]
#[error("a number with a unit was expected, such as 90s, 30m, 2h, 7d")]
pub(crate) struct AgeError;

/// Reads `90s`, `30m`, `2h`, `7d`, `1w` as nanoseconds.
pub(crate) fn parse_age(text: &str) -> Result<u64, AgeError> {
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or(AgeError)?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_out_of_range| AgeError)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(AgeError),
    };
    number.checked_mul(seconds * 1_000_000_000).ok_or(AgeError)
}

/// A text that is no time.
#[derive(Debug, thiserror::Error)]
#[error(
    "a length of time such as 30m, 2h, 7d was expected, or a day or a time such as 2026-08-12 or \
     2026-08-12T14:00:00Z"
)]
pub(crate) struct SinceError;

/// Reads a length of time, a day, or a time of RFC 3339.
pub(crate) fn parse_since(text: &str) -> Result<Since, SinceError> {
    if let Ok(age) = parse_age(text) {
        return Ok(Since::Ago(age));
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d");
    let time = match day {
        Ok(day) => day.and_time(NaiveTime::MIN).and_utc(),
        Err(_no_day) => DateTime::parse_from_rfc3339(text)
            .map_err(|_no_time| SinceError)?
            .to_utc(),
    };
    let nanos = time.timestamp_nanos_opt().ok_or(SinceError)?;
    u64::try_from(nanos)
        .map(Since::At)
        .map_err(|_before_1970| SinceError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn ages_have_units() {
        assert_eq!(parse_age("2h").unwrap(), 7_200_000_000_000);
        for wrong in ["", "h", "2", "2y", "-1h", "99999999999999w", "1.5h"] {
            assert!(parse_age(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_is_a_length_a_day_or_a_moment() {
        let moment = 1_786_543_200_000_000_000;
        for (text, expected) in [
            ("2h", Since::Ago(7_200_000_000_000)),
            ("2026-08-12T14:00:00Z", Since::At(moment)),
            ("2026-08-12T16:00:00+02:00", Since::At(moment)),
            ("2026-08-12", Since::At(moment - 14 * 3_600_000_000_000)),
        ] {
            assert_eq!(parse_since(text).unwrap(), expected, "{text}");
        }
        for wrong in [
            "yesterday",
            "2026-13-01",
            "1960-01-01",
            "9999-01-01",
            "12:00",
        ] {
            assert!(parse_since(wrong).is_err(), "{wrong}");
        }
    }
}
