use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};

use super::RowArgs;

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
    /// Why: MLflow's rationale
    #[arg(long, visible_alias = "rationale", value_name = "TEXT")]
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
    #[arg(value_parser = NonEmptyStringValueParser::new())]
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
    pub(crate) rows: RowArgs,
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
    #[arg(value_parser = NonEmptyStringValueParser::new())]
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
