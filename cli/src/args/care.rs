use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("bound")
    .args(["older", "max_bytes", "max_traces"])
    .multiple(true)
    .required(true))]
pub(crate) struct GcArgs {
    /// Remove traces that began longer ago than TIME, such as 30d
    #[arg(long, value_name = "TIME", value_parser = super::parse_age)]
    pub(crate) older: Option<u64>,
    /// Remove the oldest files of traces until the store takes no more than this many bytes; the
    /// newest file goes at a later gc, once there is a newer one
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub(crate) max_bytes: Option<u64>,
    /// Remove the oldest files of traces until no more than this many traces are left
    #[arg(long, value_name = "N")]
    pub(crate) max_traces: Option<u64>,
    /// Only say what would go
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Remove without asking
    #[arg(long)]
    pub(crate) yes: bool,
    /// Also remove what a job has not sent yet
    #[arg(long)]
    pub(crate) include_unexported: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RedactArgs {
    /// What is taken out: `default`, `key=NAME` or `pattern=NAME:REGEX` [default: `default`]
    #[arg(long = "rule", value_name = "RULE")]
    pub(crate) rules: Vec<String>,
    /// Only traces with a match of this query
    #[arg(long = "where", value_name = "QUERY")]
    pub(crate) filter: Option<String>,
    #[command(flatten)]
    pub(crate) select: super::SelectArgs,
    /// Only say what would be taken out
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Take out without asking
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Traces: ids, or the beginnings of ids
    #[arg(value_name = "TRACE", required_unless_present = "query")]
    pub(crate) traces: Vec<String>,
    /// Traces that a query finds
    #[arg(long = "where", value_name = "QUERY", conflicts_with = "traces")]
    pub(crate) query: Option<String>,
    /// Only say what would go
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Delete without asking
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Also write `.spanlite.toml` here, so that commands below this folder find the store
    #[arg(long)]
    pub(crate) config: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OpenArgs {
    /// A trace id or the beginning of one; `@` is the newest trace, `@-1` the one before
    #[arg(value_name = "TRACE", default_value = "@")]
    pub(crate) trace: String,
    /// Instead of one trace, those with a match of this query
    #[arg(long = "where", value_name = "QUERY", conflicts_with = "trace")]
    pub(crate) filter: Option<String>,
    #[command(flatten)]
    pub(crate) select: super::SelectArgs,
    /// Keep what the default rules would redact
    #[arg(long)]
    pub(crate) raw: bool,
    /// Only write the page and print its path
    #[arg(long)]
    pub(crate) print: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// A folder that is not there yet, or is empty
    #[arg(value_name = "FOLDER")]
    pub(crate) to: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct RecoverArgs {
    /// The new store
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: PathBuf,
}

/// A text that is no number of bytes.
#[derive(Debug, thiserror::Error)]
#[error("a number of bytes was expected, such as 500MB or 2GiB")]
pub(crate) struct BytesError;

/// Reads `1000`, `500MB`, `2GiB`.
fn parse_bytes(text: &str) -> Result<u64, BytesError> {
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_out_of_range| BytesError)?;
    let unit: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        _ => return Err(BytesError),
    };
    number.checked_mul(unit).ok_or(BytesError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        assert_eq!(parse_bytes("2GiB").unwrap(), 2 << 30);
        assert_eq!(parse_bytes("500MB").unwrap(), 500_000_000);
        assert_eq!(parse_bytes("7").unwrap(), 7);
        for wrong in ["", "GB", "1.5GB", "1XB", "99999999999GiB"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
