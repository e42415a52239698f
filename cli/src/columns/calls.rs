//! What the attributes of spans tell of model calls: models, tokens and costs, by row of a block.

use std::collections::HashMap;

use spanlite_model::{
    Cost, ModelPrices, PriceTable, SpanType, TokenCount, TokenUsage, Value, keys,
};
use spanlite_store::block::{
    AttributeKind, AttributePart, AttributeReader, BlockError, BlockReader, ColumnValues,
    LoadSection, ValueType,
};

use crate::group::Counted;

/// Why a block cannot be counted by its columns.
#[derive(Debug)]
pub(super) enum Untold {
    /// A value that counts stands outside the columns.
    Elsewhere,
    Damaged,
}

impl From<BlockError> for Untold {
    fn from(_reported_by_others: BlockError) -> Self {
        Self::Damaged
    }
}

/// Stands for a count that a row does not have: more than any count can be.
const NONE: u64 = u64::MAX;

/// Texts as numbers from 1; 0 is none.
#[derive(Debug, Default)]
pub(super) struct Words {
    codes: HashMap<String, u32>,
    words: Vec<String>,
}

impl Words {
    pub(super) fn code(&mut self, word: &str) -> u32 {
        if let Some(code) = self.codes.get(word) {
            return *code;
        }
        self.words.push(word.to_owned());
        let code = self.words.len() as u32;
        self.codes.insert(word.to_owned(), code);
        code
    }

    /// All of them, in the order of their numbers.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(String::as_str)
    }

    pub(super) fn word(&self, code: u32) -> Option<&str> {
        let place = (code as usize).checked_sub(1)?;
        self.words.get(place).map(String::as_str)
    }
}

/// The calls of a block, by row.
#[derive(Debug)]
pub(super) struct Calls {
    /// Of [`Models`].
    models: Vec<u32>,
    providers: Vec<u32>,
    /// By [`TokenCount`]; empty where no row has it.
    counts: [Vec<u64>; TokenCount::ALL.len()],
    of_claude_code: Vec<bool>,
    /// What MLflow's map says, by row, ascending.
    usages: Vec<(u32, TokenUsage)>,
    /// The costs that were recorded, by row, ascending.
    costs: Vec<(u32, Cost)>,
}

/// The models and providers of several blocks, and what they cost.
#[derive(Debug)]
pub(super) struct Models<'p> {
    table: &'p PriceTable,
    pub(super) models: Words,
    pub(super) providers: Words,
    /// By model and provider.
    prices: HashMap<(u32, u32), ModelPrices<'p>>,
}

impl<'p> Models<'p> {
    pub(super) fn new(table: &'p PriceTable) -> Self {
        Self {
            table,
            models: Words::default(),
            providers: Words::default(),
            prices: HashMap::new(),
        }
    }

    /// What a call cost by the table.
    fn cost(&mut self, model: u32, provider: u32, start: u64, usage: TokenUsage) -> Option<Cost> {
        let name = self.models.word(model)?;
        let prices = self
            .prices
            .entry((model, provider))
            .or_insert_with(|| self.table.of_model(self.providers.word(provider), name));
        let price = prices.find(start, usage.input_tokens.unwrap_or(0))?;
        price.cost(usage)
    }
}

impl Calls {
    /// Reads the columns that tell calls.
    pub(super) fn read<L: LoadSection>(
        block: &BlockReader<L>,
        known: &mut Models<'_>,
    ) -> Result<Self, Untold> {
        let mut counts = [const { Vec::new() }; TokenCount::ALL.len()];
        for (count, rows) in TokenCount::ALL.into_iter().zip(&mut counts) {
            *rows = counts_of(block, count.keys())?;
        }
        let mut usages = Vec::new();
        each_value(block, keys::MLFLOW_TOKEN_USAGE, |row, map| {
            usages.push((row as u32, TokenUsage::from_map(&map)));
        })?;
        let mut costs = Vec::new();
        each_value(block, keys::MLFLOW_LLM_COST, |row, map| {
            costs.push((row as u32, Cost::from_map(&map)));
        })?;
        let mut of_claude_code = Vec::new();
        let names = block.names()?;
        let mut failed = None;
        each_value(block, keys::CLAUDE_CODE_SPAN_TYPE, |row, span_type| {
            let Some(span_type) = span_type.as_str() else {
                return;
            };
            of_claude_code.resize(block.n_spans(), false);
            match names.get(row) {
                Ok(name) => {
                    let name = name.unwrap_or_default();
                    of_claude_code[row] = TokenUsage::is_of_claude_code(span_type, name);
                }
                Err(error) => failed = Some(error),
            }
        })?;
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(Self {
                models: codes_of(block, keys::MODEL_KEYS, &mut known.models)?,
                providers: codes_of(block, keys::PROVIDER_KEYS, &mut known.providers)?,
                counts,
                of_claude_code,
                usages,
                costs,
            }),
        }
    }

    /// The model of a row, by its number.
    pub(super) fn model(&self, row: usize) -> u32 {
        self.models.get(row).copied().unwrap_or(0)
    }

    /// The provider of a row, by its number.
    pub(super) fn provider(&self, row: usize) -> u32 {
        self.providers.get(row).copied().unwrap_or(0)
    }

    /// Puts the tokens and the cost of a row into what is counted of it.
    pub(super) fn count(
        &self,
        row: usize,
        span_type: &SpanType,
        known: &mut Models<'_>,
        counted: &mut Counted,
    ) {
        let usage = match at(&self.usages, row) {
            Some(usage) => usage,
            None => TokenUsage::from_counts(self.of_claude_code.get(row) == Some(&true), |count| {
                let rows = &self.counts[count as usize];
                rows.get(row).copied().filter(|count| *count != NONE)
            }),
        };
        counted.usage = usage;
        counted.is_model_call = span_type.is_model_call();
        let table = known.table;
        let cost = table.choose_cost(span_type, at(&self.costs, row), || {
            let (model, provider) = (self.model(row), self.provider(row));
            known.cost(model, provider, counted.start_unix_nano, usage)
        });
        counted.cost = cost.total_cost;
    }
}

/// The value of a row among those of few rows.
fn at<T: Copy>(rows: &[(u32, T)], row: usize) -> Option<T> {
    let place = rows.binary_search_by_key(&(row as u32), |(row, _)| *row);
    place.ok().map(|place| rows[place].1)
}

/// The column of an attribute; an error if some of its values are not in it.
fn attribute<'b, L: LoadSection>(
    block: &'b BlockReader<L>,
    key: &str,
) -> Result<AttributeReader<'b>, Untold> {
    let reader = block.attribute(AttributeKind::Span, key)?;
    if reader.parts().iter().all(AttributePart::has_values) {
        Ok(reader)
    } else {
        Err(Untold::Elsewhere)
    }
}

fn each_value<L: LoadSection>(
    block: &BlockReader<L>,
    key: &str,
    mut each: impl FnMut(usize, Value),
) -> Result<(), Untold> {
    let reader = attribute(block, key)?;
    let mut failed = None;
    reader.for_each(|row, part, index| match reader.parts()[part].value(index) {
        Ok(value) => each(row, value),
        Err(error) => failed = Some(error),
    });
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// The first count of each row under some keys; empty if no row has any.
fn counts_of<L: LoadSection>(block: &BlockReader<L>, keys: &[&str]) -> Result<Vec<u64>, Untold> {
    let mut counts = Vec::new();
    // What is written last holds.
    for key in keys.iter().rev() {
        let reader = attribute(block, key)?;
        let mut failed = None;
        reader.for_each(|row, part, index| {
            let part = &reader.parts()[part];
            let count = match (&part.values, part.value_type) {
                (ColumnValues::Ints(values), ValueType::Int) => {
                    u64::try_from(values.get(index)).ok()
                }
                _ => part.value(index).map_or_else(
                    |error| {
                        failed = Some(error);
                        None
                    },
                    |value| TokenCount::read(&value),
                ),
            };
            if let Some(count) = count {
                counts.resize(block.n_spans(), NONE);
                counts[row] = count;
            }
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
    }
    Ok(counts)
}

/// The number of the first text of each row under some keys; empty if no row has any.
fn codes_of<L: LoadSection>(
    block: &BlockReader<L>,
    keys: &[&str],
    words: &mut Words,
) -> Result<Vec<u32>, Untold> {
    let mut codes = Vec::new();
    for key in keys.iter().rev() {
        let reader = attribute(block, key)?;
        // For every part that holds texts, the numbers of its entries.
        let mut numbers = Vec::with_capacity(reader.parts().len());
        for part in reader.parts() {
            numbers.push(match (&part.values, part.value_type) {
                (ColumnValues::Strings(texts), ValueType::String) => {
                    let entries = 0..texts.n_entries();
                    let entries = entries.map(|entry| Ok(words.code(texts.entry(entry)?)));
                    Some((texts, entries.collect::<Result<Vec<u32>, BlockError>>()?))
                }
                _ => None,
            });
        }
        reader.for_each(|row, part, index| {
            let Some((texts, numbers)) = &numbers[part] else {
                return;
            };
            let entry = (texts.code(index) as usize).wrapping_sub(1);
            if let Some(code) = numbers.get(entry) {
                codes.resize(block.n_spans(), 0);
                codes[row] = *code;
            }
        });
    }
    Ok(codes)
}
