use rmcp::handler::server::tool::schema_for_input;
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use rmcp::schemars::{self, JsonSchema};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::args::{
    Command, DiffArgs, ListArgs, PageArgs, QueryArgs, RowArgs, ScopeArgs, SelectArgs, SinceArgs,
    StatsArgs, ValuesArgs, parse_since,
};

/// Traces, groups or values that a call returns when it does not say how many.
const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 500;

/// A call of a tool as it is meant.
pub(super) enum Call {
    /// As a command of ours.
    Command(Box<Command>),
    /// A trace or a span, of bounded size.
    Show(ShowCall),
}

/// Why a call cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("there is no such tool")]
    NoSuchTool,
    #[error("wrong arguments: {0}")]
    Arguments(#[from] serde_json::Error),
    #[error("`since`: {0}")]
    Since(#[from] crate::args::SinceError),
    #[error("`after` is no `next` of an earlier result")]
    After(#[from] spanlite_query::CursorError),
}

/// Which traces, and how much of the result: what several tools take beside their own arguments.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
struct Which {
    /// Only traces that began in the last time, such as `30m`, `2h`, `7d`.
    since: Option<String>,
    /// At most so many traces, groups or values; 20 if not given, 500 at most.
    limit: Option<usize>,
    /// Continue behind this place: `next` of an earlier result.
    after: Option<String>,
}

/// The arguments of [`Which`] that tools take whose result comes in pages.
const PAGED: &[&str] = &["since", "limit", "after"];
/// Those of tools whose result is one page.
const BOUNDED: &[&str] = &["since", "limit"];

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(deny_unknown_fields)]
struct ListCall {
    /// Only traces with a match of this query.
    query: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(deny_unknown_fields)]
struct QueryCall {
    /// The query: `TraceQL`, also for metrics such as `{ } | rate()`, or an `MLflow` filter.
    query: String,
    /// How many matched spans of each trace are listed; 3 if not given.
    spans: Option<usize>,
}

/// What to show, and how much of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct ShowCall {
    /// A trace: its id, the beginning of one, `@` for the newest, `@-1` for the one before.
    pub(super) trace: String,
    /// One span of it, whole: its id, the beginning of one, or a name that comes once.
    pub(super) span: Option<String>,
    /// With it, the inputs and outputs of every span come too.
    #[serde(default)]
    pub(super) payloads: bool,
    /// Texts longer than so many bytes are cut; 2,000 if not given, 100,000 at most.
    pub(super) text_bytes: Option<usize>,
    /// Skip so many spans: `next` of an earlier result. 300 spans come at once.
    #[serde(default)]
    pub(super) skip: usize,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(deny_unknown_fields)]
struct StatsCall {
    /// Fields to group by, such as `["name", "model"]` or `["span.tool.name"]`.
    by: Option<Vec<String>>,
    /// Count only spans that match this query.
    query: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(deny_unknown_fields)]
struct DiffCall {
    /// The first trace.
    a: String,
    /// The second trace.
    b: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(deny_unknown_fields)]
struct ValuesCall {
    /// A field, such as `name`, `model`, `tag.env`, `span.tool.name`.
    field: String,
    /// Count only spans that match this query.
    query: Option<String>,
}

/// The tools, with the schemas of what they take.
pub(super) fn all() -> Vec<Tool> {
    vec![
        tool::<ListCall>(
            "list",
            PAGED,
            "List traces, newest first: id, name, state, error, duration, tokens, cost, session.",
        ),
        tool::<QueryCall>(
            "query",
            PAGED,
            "Ask for traces and the spans in them that match, in TraceQL or as an MLflow filter.",
        ),
        tool::<ShowCall>(
            "show",
            &[],
            "Show one trace: every span with its place in the tree, type, status, error, \
             duration, tokens and cost; with `span`, one span with its inputs and outputs.",
        ),
        tool::<StatsCall>(
            "stats",
            BOUNDED,
            "Count spans by fields: errors, p50, p95, p99 of the duration, tokens, cost.",
        ),
        tool::<DiffCall>(
            "diff",
            &[],
            "Compare two traces: totals, where they part first, which spans differ.",
        ),
        tool::<ValuesCall>(
            "values",
            BOUNDED,
            "List the values of a field with how often they come.",
        ),
    ]
}

/// A tool that takes the fields of `T` and those of [`Which`] that are named.
fn tool<T: JsonSchema + 'static>(
    name: &'static str,
    which: &[&str],
    description: &'static str,
) -> Tool {
    // Only a type that is no object has no schema.
    let mut schema = JsonObject::clone(&schema_for_input::<T>().unwrap_or_default());
    let shared = schema_for_input::<Which>().unwrap_or_default();
    let own = schema.entry("properties").or_insert_with(|| json!({}));
    if let (Some(own), Some(Value::Object(shared))) =
        (own.as_object_mut(), shared.get("properties"))
    {
        let named = shared
            .iter()
            .filter(|(name, _)| which.contains(&name.as_str()));
        own.extend(named.map(|(name, of)| (name.clone(), of.clone())));
    }
    Tool::new(name, description, schema).with_annotations(
        ToolAnnotations::new()
            .read_only(true)
            .idempotent(true)
            .open_world(false),
    )
}

impl From<SelectArgs> for RowArgs {
    fn from(select: SelectArgs) -> Self {
        Self {
            since: select.since,
            limit: select.limit,
        }
    }
}

impl Which {
    fn page(self) -> Result<PageArgs, CallError> {
        let since = self.since.as_deref().map(parse_since).transpose()?;
        Ok(PageArgs {
            select: SelectArgs {
                since: SinceArgs { since },
                limit: Some(self.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT)),
            },
            after: self.after.map(|after| after.parse()).transpose()?,
        })
    }
}

fn read<T: DeserializeOwned>(arguments: JsonObject) -> Result<T, CallError> {
    Ok(serde_json::from_value(Value::Object(arguments))?)
}

/// What a tool takes of its own, and which traces it is asked for.
fn read_selected<T: DeserializeOwned>(
    arguments: JsonObject,
    which: &[&str],
) -> Result<(T, PageArgs), CallError> {
    let of_which = |name: &String| which.contains(&name.as_str());
    let (which, own) = arguments.into_iter().partition(|(name, _)| of_which(name));
    Ok((read(own)?, read::<Which>(which)?.page()?))
}

impl Call {
    /// Takes a call as it came.
    pub(super) fn read(name: &str, arguments: JsonObject) -> Result<Self, CallError> {
        let command = match name {
            "list" => {
                let (ListCall { query }, page) = read_selected(arguments, PAGED)?;
                Command::List(ListArgs { query, page })
            }
            "query" => {
                let (QueryCall { query, spans }, page) = read_selected(arguments, PAGED)?;
                Command::Query(QueryArgs {
                    query: Some(query),
                    page,
                    spans: spans.unwrap_or(3).min(MAX_LIMIT),
                    explain: false,
                    step: None,
                    check: false,
                })
            }
            "show" => return Ok(Self::Show(read(arguments)?)),
            "stats" => {
                let (StatsCall { by, query }, page) = read_selected(arguments, BOUNDED)?;
                let by = by.unwrap_or_else(|| vec!["name".to_owned(), "model".to_owned()]);
                let rows = page.select.into();
                let scope = ScopeArgs { query, rows };
                Command::Stats(StatsArgs { by, scope })
            }
            "diff" => {
                let DiffCall { a, b } = read(arguments)?;
                Command::Diff(DiffArgs { a, b, io: false })
            }
            "values" => {
                let (ValuesCall { field, query }, page) = read_selected(arguments, BOUNDED)?;
                let rows = page.select.into();
                let scope = ScopeArgs { query, rows };
                Command::Values(ValuesArgs { field, scope })
            }
            _ => return Err(CallError::NoSuchTool),
        };
        Ok(Self::Command(Box::new(command)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_says_that_it_only_reads_and_takes_an_object() {
        for tool in all() {
            let annotations = tool.annotations.unwrap();
            assert_eq!(annotations.read_only_hint, Some(true), "{}", tool.name);
            assert_eq!(tool.input_schema.get("type").unwrap(), "object");
            let called = Call::read(&tool.name, JsonObject::new());
            let properties = tool.input_schema["properties"].as_object().unwrap();
            let shared = |name: &str| properties.contains_key(name);
            let has = (shared("since"), shared("limit"), shared("after"));
            let expected = match &*tool.name {
                "list" | "query" => (true, true, true),
                "stats" | "values" => (true, true, false),
                _ => (false, false, false),
            };
            assert_eq!(has, expected, "{}", tool.name);
            let needs_nothing = matches!(&*tool.name, "list" | "stats");
            assert_eq!(called.is_ok(), needs_nothing, "{}", tool.name);
        }
    }

    #[test]
    fn limits_are_bounded() {
        let arguments = serde_json::json!({"limit": 1_000_000});
        let Ok(Call::Command(command)) = Call::read("list", arguments.as_object().unwrap().clone())
        else {
            panic!("it is a call");
        };
        assert!(
            matches!(*command, Command::List(args) if args.page.select.limit == Some(MAX_LIMIT))
        );
    }
}
