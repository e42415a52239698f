//! The arguments as they are typed. Nothing here reads the environment or applies a default that
//! depends on it: `settings.rs` does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "spanlite",
    version,
    about = "Query, show, move and care for traces of LLM applications, offline",
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "Try `spanlite demo` for a store to play with, `spanlite help query` for the \
                  query language."
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
    pub(crate) color: Option<ColorChoice>,
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

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On terminals that have them
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
    /// Write traces to files
    Export(ExportArgs),
    /// Fill a store with made-up traces, to try things out
    Generate(GenerateArgs),
    /// Say what the store holds and how it is
    Info,
    /// Show the settings and where each came from
    Config,
    /// Check every byte of the store; exits with 5 when something is damaged
    Verify,
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

/// Which traces.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SelectArgs {
    /// Only traces that began in the last TIME, such as 30m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = parse_age)]
    pub(crate) since: Option<u64>,
    /// At most this many traces; 0 for all
    #[arg(long, short = 'n', value_name = "N")]
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// A query; only traces with a match are listed
    pub(crate) query: Option<String>,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// A trace id or the beginning of one; `@` is the newest trace, `@-1` the one before
    #[arg(value_name = "TRACE", default_value = "@", allow_hyphen_values = true)]
    pub(crate) trace: String,
    /// Fold nothing
    #[arg(long, short = 'a')]
    pub(crate) all: bool,
    /// Show this many levels of the tree
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) depth: Option<u32>,
    /// Show inputs and outputs too; of model calls the messages that are new
    #[arg(long)]
    pub(crate) io: bool,
    /// With --io: show known messages and long texts whole
    #[arg(long, requires = "io")]
    pub(crate) full: bool,
    /// Number repeated names: `name_1`, `name_2`
    #[arg(long)]
    pub(crate) number_repeats: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SpanArgs {
    /// A span, as TRACE/SPAN with ids or their beginnings; SPAN may be a name
    #[arg(value_name = "TRACE/SPAN", allow_hyphen_values = true)]
    pub(crate) span: String,
    /// Show payloads whole
    #[arg(long)]
    pub(crate) full: bool,
}

#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// The query, or @NAME; with --check, queries come from stdin, one JSON string a line
    #[arg(required_unless_present = "check")]
    pub(crate) query: Option<String>,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// How many matched spans of a span set are listed: a number or `all`
    #[arg(long, value_name = "N", default_value = "3", value_parser = parse_spans)]
    pub(crate) spans: usize,
    /// Check queries from stdin without a store, one verdict a line
    #[arg(long, conflicts_with = "query")]
    pub(crate) check: bool,
}

/// What to do with saved queries.
#[derive(Debug, Subcommand)]
pub(crate) enum QueriesCommand {
    /// Keep a query
    Add {
        /// Its name
        name: String,
        /// The query
        query: String,
    },
    /// List the queries that are kept
    List,
    /// Forget a query
    Rm {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The query, or @NAME
    pub(crate) query: String,
    /// Fewer matches break the bound
    #[arg(long, value_name = "N")]
    pub(crate) min: Option<u64>,
    /// More matches break the bound [default: 0, unless --min is given]
    #[arg(long, value_name = "N")]
    pub(crate) max: Option<u64>,
    /// Count matched spans instead of traces
    #[arg(long)]
    pub(crate) spans: bool,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The first trace
    #[arg(value_name = "A")]
    pub(crate) a: String,
    /// The second trace
    #[arg(value_name = "B")]
    pub(crate) b: String,
    /// Show how inputs and outputs differ
    #[arg(long)]
    pub(crate) io: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// Go on until interrupted
    #[arg(long, short = 'f')]
    pub(crate) follow: bool,
    /// How many lines of what happened before are shown
    #[arg(long, short = 'n', value_name = "N", default_value = "10")]
    pub(crate) lines: usize,
}

#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// How many traces
    #[arg(long, short = 'n', value_name = "N", default_value = "100")]
    pub(crate) traces: u64,
    /// The same seed makes the same traces
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) seed: u64,
    /// Their shape: mixed, chat, tool-agent, coding-agent and others
    #[arg(long, value_name = "PROFILE", default_value = "mixed")]
    pub(crate) profile: spanlite_generate::Profile,
}

/// Which spans are counted.
#[derive(Debug, Args)]
pub(crate) struct ScopeArgs {
    /// A query; only the spans that match are counted
    pub(crate) query: Option<String>,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// Fields to group by, such as name,model or span.tool.name
    #[arg(
        long,
        value_name = "FIELDS",
        value_delimiter = ',',
        default_value = "name,model"
    )]
    pub(crate) by: Vec<String>,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ValuesArgs {
    /// A field, such as name, model, tag.env, span.tool.name
    pub(crate) field: String,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SessionsArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,
}

/// What to do with feedback.
#[derive(Debug, Subcommand)]
pub(crate) enum FeedbackCommand {
    /// Judge a trace or a span
    Add(FeedbackAddArgs),
    /// List what was said, of one trace or of all
    List(FeedbackListArgs),
    /// Take a judgement back
    Rm(FeedbackRmArgs),
}

/// What is judged, and who does.
#[derive(Debug, Args)]
pub(crate) struct JudgeArgs {
    /// A trace, or a span as TRACE/SPAN
    #[arg(value_name = "TRACE")]
    pub(crate) trace: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) why: Option<String>,
    /// Who judges: a name, a model, a function
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
    /// The sort of judge: human, `llm_judge`, code
    #[arg(long, value_name = "SORT", default_value = "human")]
    pub(crate) source: String,
}

#[derive(Debug, Args)]
pub(crate) struct FeedbackAddArgs {
    #[command(flatten)]
    pub(crate) judge: JudgeArgs,
    /// What is judged, such as correctness
    pub(crate) name: String,
    /// The judgement: JSON, or a text
    #[arg(allow_hyphen_values = true)]
    pub(crate) value: String,
}

#[derive(Debug, Args)]
pub(crate) struct FeedbackListArgs {
    /// A trace
    pub(crate) trace: Option<String>,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
}

#[derive(Debug, Args)]
pub(crate) struct FeedbackRmArgs {
    /// A trace
    pub(crate) trace: String,
    /// The id or the name of the judgement
    pub(crate) assessment: String,
}

#[derive(Debug, Args)]
pub(crate) struct ExpectArgs {
    #[command(flatten)]
    pub(crate) judge: JudgeArgs,
    /// What is expected, such as answer
    pub(crate) name: String,
    /// The expected value: JSON, or a text
    #[arg(allow_hyphen_values = true)]
    pub(crate) value: String,
}

#[derive(Debug, Args)]
pub(crate) struct TagArgs {
    /// A trace
    pub(crate) trace: String,
    /// Tags to set
    #[arg(value_name = "KEY=VALUE", required_unless_present = "remove")]
    pub(crate) tags: Vec<String>,
    /// A tag to remove
    #[arg(long = "rm", value_name = "KEY")]
    pub(crate) remove: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PinArgs {
    /// A trace
    pub(crate) trace: String,
    /// Unpin it
    #[arg(long = "rm")]
    pub(crate) remove: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Files or folders; `-` is stdin
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The format to write
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) to: ExportFormat,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// Only traces with a match of this query
    #[arg(long = "where", value_name = "QUERY")]
    pub(crate) filter: Option<String>,
    /// The file to write; `-` is stdout
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,
}

/// A format to export to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// OTLP/JSON, one document
    OtlpJson,
    /// MLflow's trace JSON: one document, or a list of them for several traces
    MlflowJson,
    /// Spanlite's own lines, without loss
    Jsonl,
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
    pub(crate) command: Option<String>,
}

/// A text that is no length of time.
#[derive(Debug, thiserror::Error)]
#[error("a number with a unit was expected, such as 90s, 30m, 2h, 7d")]
pub(crate) struct AgeError;

/// Reads `90s`, `30m`, `2h`, `7d`, `1w` as nanoseconds.
fn parse_age(text: &str) -> Result<u64, AgeError> {
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

/// A text that is no number of spans.
#[derive(Debug, thiserror::Error)]
#[error("a number or `all` was expected")]
pub(crate) struct SpansError;

fn parse_spans(text: &str) -> Result<usize, SpansError> {
    match text {
        "all" => Ok(usize::MAX),
        _ => text.parse().map_err(|_no_number| SpansError),
    }
}

impl ShowArgs {
    /// Shows a trace as it is shown without options.
    pub(crate) fn of(trace: &str) -> Self {
        Self {
            trace: trace.to_owned(),
            all: false,
            depth: None,
            io: false,
            full: false,
            number_repeats: false,
        }
    }
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
}
