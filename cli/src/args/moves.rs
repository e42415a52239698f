use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{SelectArgs, parse_age};

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Files or folders, stores and bundles among them; `-` is stdin
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The format to write, or the kind of server to send to
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) to: ExportTo,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// Only traces with a match of this query
    #[arg(long = "where", value_name = "QUERY")]
    pub(crate) filter: Option<String>,
    /// HTML: keep what the default rules would redact
    #[arg(long)]
    pub(crate) raw: bool,
    /// Write over a file that is there
    #[arg(long)]
    pub(crate) force: bool,
    /// The file to write; `-` is stdout
    #[arg(value_name = "PATH", required_if_eq_any = FILES.map(|format| ("to", format)))]
    pub(crate) path: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Sending to a server")]
    pub(crate) server: crate::jobs::ServerArgs,
    /// How long a server that does not answer is tried again, such as 90s or 2h; 0s: not at all
    #[arg(long, value_name = "TIME", default_value = crate::jobs::DEFAULT_PATIENCE,
        value_parser = parse_age)]
    pub(crate) patience: u64,
    #[command(flatten)]
    pub(crate) how: crate::jobs::HowArgs,
}

/// The formats that are written to a file.
const FILES: [&str; 6] = [
    "otlp-json",
    "mlflow-json",
    "jsonl",
    "parquet",
    "html",
    "chrome",
];

/// What is exported to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportTo {
    /// OTLP/JSON, one document
    OtlpJson,
    /// MLflow's trace JSON: one document, or a list of them for several traces
    MlflowJson,
    /// Spanlite's own lines, without loss
    Jsonl,
    /// A Parquet file for DuckDB, Spark and the like, one row a span
    Parquet,
    /// One page that shows the traces in a browser and fetches nothing
    Html,
    /// Trace events for Perfetto, speedscope and Chrome's own viewer
    Chrome,
    /// An MLflow server; what it has already is not sent again
    Mlflow,
    /// Any backend that takes OTLP over HTTP, likewise
    Otlp,
}

#[derive(Debug, Args)]
pub(crate) struct BundleArgs {
    /// Only traces with a match of this query
    #[arg(long = "where", value_name = "QUERY")]
    pub(crate) filter: Option<String>,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// Write over a file that is there
    #[arg(long)]
    pub(crate) force: bool,
    /// The file to write; `--store FILE` and `spanlite import FILE` read it
    #[arg(value_name = "FILE")]
    pub(crate) path: PathBuf,
}
