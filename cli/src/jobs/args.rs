use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};

use crate::args::parse_age;

/// What the library has for its default.
pub(crate) const DEFAULT_PATIENCE: &str = "2m";

/// What is done about jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// Keep a new job
    Add(Box<AddArgs>),
    /// List the jobs and how far they have come
    #[command(visible_alias = "ls")]
    List,
    /// Send what a job selects and its target does not have; exits with 6 when something is left
    Run(RunArgs),
    /// Say how far a job has come
    Status {
        /// The job
        name: String,
    },
    /// Show a job, and what its target refused
    Show {
        /// The job
        name: String,
        /// Only what was refused, and what waits although it was tried
        #[arg(long)]
        failed: bool,
    },
    /// Let the next run try again what was refused
    Retry {
        /// The job
        name: String,
        /// Only these traces, by id, the beginning of it, `@` or `@-1`
        #[arg(value_name = "TRACE")]
        traces: Vec<String>,
        /// Also forget what was sent, so that all of it is sent again: for a server that lost it
        #[arg(long, conflicts_with = "traces")]
        sent: bool,
    },
    /// Remove a job and what it remembers; what it sent stays where it is
    Rm {
        /// The job
        name: String,
        /// Do it
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Name of the job
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// Only traces with a match of this query
    #[arg(long = "where", value_name = "QUERY")]
    pub(crate) filter: Option<String>,
    #[command(flatten)]
    pub(crate) how: HowArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The job
    pub(crate) name: String,
    /// Go on until stopped, sending what comes
    #[arg(long)]
    pub(crate) follow: bool,
    /// Seconds between two looks at the store
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 10,
        requires = "follow"
    )]
    pub(crate) interval: u32,
    /// How long a target that does not answer is tried again, such as 90s or 2h; 0s: not at all
    #[arg(long, value_name = "TIME", default_value = DEFAULT_PATIENCE,
        value_parser = parse_age, conflicts_with = "follow")]
    pub(crate) patience: u64,
    /// Only say what would be sent
    #[arg(long, conflicts_with = "follow")]
    pub(crate) dry_run: bool,
    /// Send traces whose program died, as errors, also when the job does not say so
    #[arg(long)]
    pub(crate) include_interrupted: bool,
    /// Batches that are sent at once
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) connections: usize,
    /// The most traces of one request; what was sent is noted after each
    #[arg(long, value_name = "N", default_value_t = 25)]
    pub(crate) batch: usize,
}

/// Where traces go.
#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// The kind of target
    #[arg(long, value_enum, value_name = "TARGET")]
    pub(crate) to: TargetKind,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// How a target is reached.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// Its address, such as `http://10.0.0.5:5000`
    #[arg(long, required_if_eq_any = [("to", "mlflow"), ("to", "otlp")])]
    pub(crate) url: Option<String>,
    /// The experiment on an MLflow server; made when it is not there
    #[arg(long, default_value = "Default")]
    pub(crate) experiment: String,
    /// The workspace on an MLflow server that has them
    #[arg(long)]
    pub(crate) workspace: Option<String>,
    /// An extra header for an OTLP backend, which must not be a secret
    #[arg(long = "header", value_name = "NAME=VALUE")]
    pub(crate) headers: Vec<String>,
    /// A file with `Bearer TOKEN` or `Basic user:password` [default: MLflow's variables]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["bearer_env", "basic_env"])]
    pub(crate) auth_file: Option<PathBuf>,
    /// A variable that holds a bearer token
    #[arg(long, value_name = "VARIABLE", conflicts_with = "basic_env")]
    pub(crate) bearer_env: Option<String>,
    /// A variable that holds `user:password`
    #[arg(long, value_name = "VARIABLE")]
    pub(crate) basic_env: Option<String>,
    /// Certificates in PEM form, trusted instead of the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// What is done to traces on their way.
#[derive(Debug, Default, Args)]
pub(crate) struct HowArgs {
    /// Take out secrets: `default`, `key=NAME` or `pattern=NAME:REGEX`
    #[arg(long = "redact", value_name = "RULE")]
    pub(crate) redact: Vec<String>,
    /// Send traces whose program died, as errors
    #[arg(long)]
    pub(crate) include_interrupted: bool,
    /// Give spans of one name in a trace the suffixes _1, _2, …
    #[arg(long)]
    pub(crate) number_repeats: bool,
    /// When a trace changed after it was sent, replace what was changed on the server too
    #[arg(long)]
    pub(crate) overwrite_edits: bool,
}

/// A kind of target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TargetKind {
    /// An MLflow server with a SQL store
    Mlflow,
    /// Any backend that takes OTLP over HTTP
    Otlp,
}
