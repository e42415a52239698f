//! The prices of a store: the table that came with spanlite or one that was imported, and over it
//! what the user has set.

use std::path::Path;

use serde_json::Value as Json;
use spanlite_model::{Price, PriceTable, PriceTableError, Trace, keys};
use spanlite_store::Store;

use crate::error::CliError;

/// The table that comes with spanlite.
const BUNDLED: &str = include_str!("prices.csv");
/// Where prices lie in the store.
const SPACE: &str = "prices";
/// The table that was imported.
const BASE: &[u8] = b"base";
/// What was set.
const OWN: &[u8] = b"own";
/// There when the table holds before recorded costs.
const REPLACES: &[u8] = b"replaces";

/// A change of what a store has of prices.
#[derive(Debug)]
pub(crate) enum Change<'a> {
    Own(&'a PriceTable),
    Base(&'a PriceTable),
    Bundled,
    Replaces(bool),
}

/// What a store has of prices, by where it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Prices {
    pub(crate) own: PriceTable,
    pub(crate) base: PriceTable,
    /// Whether `base` was imported.
    pub(crate) is_imported: bool,
    pub(crate) replaces_recorded: bool,
}

impl Prices {
    pub(crate) fn read(store: &Store) -> Result<Self, CliError> {
        let state = store.state();
        let table = |key: &'static [u8]| -> Result<Option<PriceTable>, CliError> {
            let Some(found) = state.get(SPACE, key)? else {
                return Ok(None);
            };
            let text = String::from_utf8_lossy(&found.bytes);
            Ok(Some(PriceTable::from_csv(&text)?))
        };
        let base = table(BASE)?;
        Ok(Self {
            own: table(OWN)?.unwrap_or_default(),
            is_imported: base.is_some(),
            base: match base {
                Some(base) => base,
                None => bundled()?,
            },
            replaces_recorded: state.get(SPACE, REPLACES)?.is_some(),
        })
    }

    /// The table that calls are priced by.
    pub(crate) fn table(self) -> PriceTable {
        let mut table = self.base;
        table.lay_over(self.own);
        table.set_replaces_recorded(self.replaces_recorded);
        table
    }
}

/// The table that the calls of a store are priced by.
pub(crate) fn of_store(store: &Store) -> Result<PriceTable, CliError> {
    Ok(Prices::read(store)?.table())
}

/// The table that comes with spanlite.
pub(crate) fn bundled() -> Result<PriceTable, CliError> {
    Ok(PriceTable::from_csv(BUNDLED)?)
}

/// Takes out of a trace what [`PriceTable::apply`] put in: it is no part of what was recorded.
pub(crate) fn forget(trace: &mut Trace) {
    for span in &mut trace.spans {
        span.attributes.remove(keys::SPANLITE_COST);
    }
}

/// Changes the prices of a store.
pub(crate) fn change(store: &Store, change: &Change<'_>) -> Result<(), CliError> {
    let mut state = store.state().change();
    match change {
        Change::Own(table) => state.put(SPACE, OWN, table.to_csv().as_bytes()),
        Change::Base(table) => state.put(SPACE, BASE, table.to_csv().as_bytes()),
        Change::Bundled => state.remove(SPACE, BASE),
        Change::Replaces(true) => state.put(SPACE, REPLACES, b"1"),
        Change::Replaces(false) => state.remove(SPACE, REPLACES),
    }
    Ok(state.commit()?)
}

/// Reads a file of prices: our own table, the price file of `LiteLLM`, or a provider's file of
/// MLflow's model catalog, whose name is the provider.
pub(crate) fn read_file(path: &Path) -> Result<PriceTable, CliError> {
    let text = std::fs::read_to_string(path).map_err(|source| CliError::Input {
        path: path.to_owned(),
        source,
    })?;
    if !text.trim_start().starts_with('{') {
        return Ok(PriceTable::from_csv(&text)?);
    }
    let document: Json = serde_json::from_str(&text).map_err(|source| CliError::PriceFile {
        path: path.to_owned(),
        source: Some(source),
    })?;
    let provider = path.file_stem().and_then(|stem| stem.to_str());
    let table = match document.get("models") {
        Some(Json::Object(models)) => catalog(provider.unwrap_or_default(), models),
        _ => lite_llm(&document),
    };
    if table.prices().is_empty() {
        return Err(CliError::PriceFile {
            path: path.to_owned(),
            source: None,
        });
    }
    Ok(table)
}

type Models = serde_json::Map<String, Json>;

fn number(value: Option<&Json>) -> Option<f64> {
    value?.as_f64().filter(|price| *price >= 0.0)
}

/// What keeping tokens for an hour costs in calls beyond a length, where that is not said: more by
/// as much as tokens that go in.
fn hour_beyond(base: &Price, input: f64) -> Option<f64> {
    Some(base.cache_write_1h? * (input / base.input)).filter(|price| price.is_finite())
}

/// `model_prices_and_context_window.json`: dollars a token, by model.
fn lite_llm(document: &Json) -> PriceTable {
    let mut table = PriceTable::default();
    for (model, facts) in document.as_object().into_iter().flatten() {
        let dollars = |name: &str| number(facts.get(name)).map(|price| price * 1e6);
        let Some(input) = dollars("input_cost_per_token") else {
            continue;
        };
        let provider = facts.get("litellm_provider").and_then(Json::as_str);
        let mut price = Price {
            provider: provider.unwrap_or_default().to_owned(),
            model: bare(model),
            from_day: 0,
            above_tokens: 0,
            input,
            output: dollars("output_cost_per_token").unwrap_or(0.0),
            cache_read: dollars("cache_read_input_token_cost"),
            cache_write: dollars("cache_creation_input_token_cost"),
            cache_write_1h: dollars("cache_creation_input_token_cost_above_1hr"),
        };
        table.push(price.clone());
        let long = |name: &str| dollars(&format!("{name}_above_200k_tokens"));
        if let Some(input) = long("input_cost_per_token") {
            price.above_tokens = 200_000;
            price.input = input;
            price.output = long("output_cost_per_token").unwrap_or(price.output);
            price.cache_read = long("cache_read_input_token_cost").or(price.cache_read);
            price.cache_write = long("cache_creation_input_token_cost").or(price.cache_write);
            let base = table.prices().last();
            price.cache_write_1h = long("cache_creation_input_token_cost_above_1hr")
                .or_else(|| base.and_then(|base| hour_beyond(base, price.input)));
            table.push(price);
        }
    }
    table
}

/// A file of MLflow's model catalog: dollars a million tokens, by model.
fn catalog(provider: &str, models: &Models) -> PriceTable {
    let mut table = PriceTable::default();
    let mut newest = "";
    for (model, facts) in models {
        let Some(pricing) = facts.get("pricing") else {
            continue;
        };
        let of = |facts: &Json, name: &str| number(facts.get(format!("{name}_per_million_tokens")));
        let Some(input) = of(pricing, "input") else {
            continue;
        };
        let day = facts.get("last_updated_at").and_then(Json::as_str);
        newest = newest.max(day.unwrap_or_default());
        let price = Price {
            provider: provider.to_owned(),
            model: bare(model),
            from_day: 0,
            above_tokens: 0,
            input,
            output: of(pricing, "output").unwrap_or(0.0),
            cache_read: of(pricing, "cache_read"),
            cache_write: of(pricing, "cache_write"),
            cache_write_1h: of(pricing, "cache_write_1hr"),
        };
        let longer = pricing.get("long_context").and_then(Json::as_array);
        for tier in longer.into_iter().flatten() {
            let Some(above_tokens) = tier.get("threshold_tokens").and_then(Json::as_u64) else {
                continue;
            };
            table.push(Price {
                above_tokens,
                input: of(tier, "input").unwrap_or(price.input),
                output: of(tier, "output").unwrap_or(price.output),
                cache_read: of(tier, "cache_read").or(price.cache_read),
                cache_write: of(tier, "cache_write").or(price.cache_write),
                cache_write_1h: of(tier, "cache_write_1hr")
                    .or_else(|| hour_beyond(&price, of(tier, "input").unwrap_or(price.input))),
                ..price.clone()
            });
        }
        table.push(price);
    }
    if !newest.is_empty() {
        table.set_as_of(newest);
    }
    table
}

/// A model without the provider before it; commas, which our table cannot hold, become dots.
fn bare(model: &str) -> String {
    let bare = model.rsplit('/').next().unwrap_or(model);
    bare.replace(',', ".")
}

impl From<PriceTableError> for CliError {
    fn from(error: PriceTableError) -> Self {
        Self::Prices(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<PriceTable, CliError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        read_file(&path)
    }

    #[test]
    fn the_bundled_table_knows_models_and_its_day() {
        let table = bundled().unwrap();
        assert_eq!(table.as_of(), Some("2026-10-05"));
        assert!(table.prices().len() > 500);
        let price = table.find(None, "gpt-4o-mini-2024-07-18", 0, 0).unwrap();
        assert_eq!((price.provider.as_str(), price.input), ("openai", 0.15));
        let price = table.find(Some("gcp.gemini"), "models/gemini-2.5-pro", 0, 300_000);
        assert_eq!(price.map(|price| price.input), Some(2.5));
    }

    #[test]
    fn price_files_of_others_are_read() {
        let text = r#"{"sample_spec":{"input_cost_per_token":"x"},
            "xai/grok-9":{"input_cost_per_token":2e-6,"output_cost_per_token":1e-5,
              "cache_read_input_token_cost":5e-7,"litellm_provider":"xai",
              "input_cost_per_token_above_200k_tokens":4e-6}}"#;
        let table = read("prices.json", text).unwrap();
        let price = |tokens| table.find(Some("x_ai"), "grok-9", 0, tokens).unwrap();
        assert_eq!((price(0).input, price(0).cache_read), (2.0, Some(0.5)));
        assert_eq!((price(200_001).input, price(200_001).output), (4.0, 10.0));

        let text = r#"{"schema_version":"1.0","models":{"m-1":{"last_updated_at":"2026-01-02",
            "pricing":{"input_per_million_tokens":1,"output_per_million_tokens":2,
            "long_context":[{"threshold_tokens":10,"input_per_million_tokens":3}]}},"m-2":{}}}"#;
        let table = read("acme.json", text).unwrap();
        assert_eq!(table.as_of(), Some("2026-01-02"));
        let price = |tokens| table.find(Some("acme"), "m-1", 0, tokens).unwrap();
        assert_eq!(
            (price(10).input, price(11).input, price(11).output),
            (1.0, 3.0, 2.0)
        );
        for wrong in ["{}", "{\"a\":1}", "[", "{", "no table"] {
            assert!(read("wrong.json", wrong).is_err(), "{wrong}");
        }
    }
}
