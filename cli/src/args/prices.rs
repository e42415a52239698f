use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use spanlite_model::Price;

use super::SinceArgs;

/// What to do with prices.
#[derive(Debug, Subcommand)]
pub(crate) enum PricesCommand {
    /// List prices, in US dollars per million tokens
    Show {
        /// Only models and providers whose name holds this
        name: Option<String>,
    },
    /// List the models of the store that have no price
    Missing {
        #[command(flatten)]
        since: SinceArgs,
    },
    /// Say what a model costs
    Set(PriceArgs),
    /// Forget what `set` said of a model
    Rm {
        /// The model
        model: String,
        /// Only the price of this provider
        #[arg(long, value_name = "NAME")]
        provider: Option<String>,
    },
    /// Take the table of a file instead of the one that came with spanlite; `set` still holds
    Import {
        /// A table as `prices show --format csv` prints it, `LiteLLM`'s price file, or a catalog
        /// file of `MLflow`
        path: PathBuf,
        /// The day it was made [default: what it says, else today]
        #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse_day)]
        as_of: Option<String>,
    },
    /// Go back to the table that came with spanlite
    Reset,
    /// Compare the costs that came with spans with those by the table
    Recompute {
        /// From now on, which of them holds where a span has both
        #[arg(long = "use", value_enum, value_name = "WHICH")]
        use_: Option<PriceUse>,
        #[command(flatten)]
        since: SinceArgs,
    },
}

/// Which cost holds where a span came with one and the table knows the price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PriceUse {
    /// The one that came with the span
    Recorded,
    /// The one by the table
    Table,
}

/// What a model costs, in US dollars per million tokens.
#[derive(Debug, Args)]
pub(crate) struct PriceArgs {
    /// The model, as spans name it
    pub(crate) model: String,
    /// Of tokens that go in
    #[arg(long, value_name = "USD", value_parser = parse_price)]
    pub(crate) input: f64,
    /// Of tokens that come out
    #[arg(long, value_name = "USD", value_parser = parse_price, default_value = "0")]
    pub(crate) output: f64,
    /// Of tokens that come from a cache [default: as --input]
    #[arg(long, value_name = "USD", value_parser = parse_price)]
    pub(crate) cache_read: Option<f64>,
    /// Of tokens that go into a cache [default: as --input]
    #[arg(long, value_name = "USD", value_parser = parse_price)]
    pub(crate) cache_write: Option<f64>,
    /// Of tokens that are kept in a cache for an hour [default: as --cache-write]
    #[arg(long = "cache-write-1h", value_name = "USD", value_parser = parse_price)]
    pub(crate) cache_write_1h: Option<f64>,
    /// Whose price it is [default: everybody's]
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    /// The first day it holds for [default: for ever]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse_day)]
    pub(crate) from: Option<String>,
    /// It holds for calls of more input tokens than this
    #[arg(long, value_name = "TOKENS", default_value = "0")]
    pub(crate) above_tokens: u64,
}

/// A text that is no price.
#[derive(Debug, thiserror::Error)]
#[error("a price in US dollars was expected, such as 2.5")]
pub(crate) struct PriceError;

fn parse_price(text: &str) -> Result<f64, PriceError> {
    match text.parse::<f64>() {
        Ok(price) if price.is_finite() && price >= 0.0 => Ok(price),
        _ => Err(PriceError),
    }
}

/// A text that is no day.
#[derive(Debug, thiserror::Error)]
#[error("a day was expected, such as 2026-10-05")]
pub(crate) struct DayError;

fn parse_day(text: &str) -> Result<String, DayError> {
    match Price::parse_day(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(DayError),
    }
}
