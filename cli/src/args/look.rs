use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};

use super::{PageArgs, RowArgs, SinceArgs};

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// A query; only traces with a match are listed
    pub(crate) query: Option<String>,
    #[command(flatten)]
    pub(crate) page: PageArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// A trace id or the beginning of one; `@` is the newest trace, `@-1` the one before
    #[arg(value_name = "TRACE", default_value = "@")]
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
    #[arg(value_name = "TRACE/SPAN")]
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
    pub(crate) page: PageArgs,
    /// How many matched spans of a span set are listed: a number or `all`
    #[arg(long, value_name = "N", default_value = "3", value_parser = parse_spans)]
    pub(crate) spans: usize,
    /// Print how the query was answered, and what was read, instead of the results
    #[arg(long)]
    pub(crate) explain: bool,
    /// Metrics: the length of a step, such as 1m, 1h [default: the whole range is one]
    #[arg(long, value_name = "TIME", value_parser = super::parse_age)]
    pub(crate) step: Option<u64>,
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
        #[arg(value_parser = NonEmptyStringValueParser::new())]
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
    pub(crate) since: SinceArgs,
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
    /// A query; only spans that match are shown
    pub(crate) query: Option<String>,
    /// Go on until interrupted
    #[arg(long, short = 'f')]
    pub(crate) follow: bool,
    /// How many lines of what happened before are shown
    #[arg(long, short = 'n', value_name = "N", default_value = "10")]
    pub(crate) lines: usize,
}

#[derive(Debug, Args)]
pub(crate) struct TuiArgs {
    /// A query to begin with
    pub(crate) query: Option<String>,
}

/// Which spans are counted.
#[derive(Debug, Args)]
pub(crate) struct ScopeArgs {
    /// A query; only the spans that match are counted
    pub(crate) query: Option<String>,
    #[command(flatten)]
    pub(crate) rows: RowArgs,
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
    pub(crate) rows: RowArgs,
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
