use std::cmp::Reverse;
use std::collections::HashMap;

use super::names;

/// What a model costs, in US dollars per million tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Price {
    /// Whose price it is; empty for every provider.
    pub provider: String,
    /// The model, in lower case.
    pub model: String,
    /// The first day it holds for, as days since 1970-01-01 (UTC); 0 for ever.
    pub from_day: u32,
    /// It holds for calls of more input tokens than this.
    pub above_tokens: u64,
    /// Of tokens that go in.
    pub input: f64,
    /// Of tokens that come out.
    pub output: f64,
    /// Of tokens that come from a cache; as [`Price::input`] where it is not said.
    pub cache_read: Option<f64>,
    /// Of tokens that go into a cache; as [`Price::input`] where it is not said.
    pub cache_write: Option<f64>,
    /// Of tokens that are kept in a cache for an hour; as [`Price::cache_write`] where it is not
    /// said.
    pub cache_write_1h: Option<f64>,
}

/// Prices as they stood on a day. Tables can be [laid](PriceTable::lay_over) over each other.
#[derive(Debug, Clone, Default)]
pub struct PriceTable {
    as_of: Option<String>,
    replaces_recorded: bool,
    prices: Vec<Price>,
    /// How many tables were laid below the one that a row came with, by row.
    layers: Vec<u32>,
    by_model: HashMap<String, Vec<usize>>,
}

/// Why a text is no table of prices.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PriceTableError {
    /// The first line that is no comment does not name the columns.
    #[error("line {line}: the columns are {COLUMNS}")]
    Header {
        /// The line.
        line: usize,
    },
    /// A row has another number of values.
    #[error("line {line} has {found} values, as many as columns are needed")]
    Row {
        /// The line.
        line: usize,
        /// How many there are.
        found: usize,
    },
    /// A value cannot be read.
    #[error("line {line}: `{value}` is no {column}")]
    Value {
        /// The line.
        line: usize,
        /// What it should be.
        column: &'static str,
        /// What it is, the first characters.
        value: String,
    },
}

const COLUMNS: &str =
    "provider,model,from,above_tokens,input,output,cache_read,cache_write,cache_write_1h";
/// Tables without the last column are read too.
const N_COLUMNS: usize = 9;
/// Begins the comment that dates a table.
const AS_OF: &str = "# as of ";
const NANOS_PER_DAY: u64 = 86_400_000_000_000;

impl PriceTable {
    /// Reads rows of comma-separated values under a line that names the columns; prices are in US
    /// dollars per million tokens. The last column, `cache_write_1h`, may be left out. Lines that
    /// begin with `#` are comments; `# as of 2026-10-05` dates the table.
    pub fn from_csv(text: &str) -> Result<Self, PriceTableError> {
        let mut table = Self::default();
        let mut n_columns = None;
        for (number, line) in text.lines().enumerate() {
            let (number, line) = (number + 1, line.trim());
            if let Some(day) = line.strip_prefix(AS_OF) {
                table.as_of = Some(day.chars().take(10).collect());
            }
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some(n_columns) = n_columns else {
                n_columns = match COLUMNS.strip_prefix(line) {
                    Some("") => Some(N_COLUMNS),
                    Some(",cache_write_1h") => Some(N_COLUMNS - 1),
                    _ => return Err(PriceTableError::Header { line: number }),
                };
                continue;
            };
            table.push(row(line, number, n_columns)?);
        }
        Ok(table)
    }

    /// The table as [`PriceTable::from_csv`] reads it.
    pub fn to_csv(&self) -> String {
        let mut text = String::new();
        if let Some(day) = &self.as_of {
            text.push_str(AS_OF);
            text.push_str(day);
            text.push('\n');
        }
        text.push_str(COLUMNS);
        for price in &self.prices {
            let some = |price: Option<f64>| price.map(|price| price.to_string());
            let values = [
                price.provider.clone(),
                price.model.clone(),
                price.from().unwrap_or_default(),
                Some(price.above_tokens)
                    .filter(|tokens| *tokens > 0)
                    .map(|tokens| tokens.to_string())
                    .unwrap_or_default(),
                price.input.to_string(),
                price.output.to_string(),
                some(price.cache_read).unwrap_or_default(),
                some(price.cache_write).unwrap_or_default(),
                some(price.cache_write_1h).unwrap_or_default(),
            ];
            text.push('\n');
            text.push_str(&values.join(","));
        }
        text.push('\n');
        text
    }

    /// The day the table was made, such as `2026-10-05`, where it says so.
    pub fn as_of(&self) -> Option<&str> {
        self.as_of.as_deref()
    }

    /// Dates the table.
    pub fn set_as_of(&mut self, day: impl Into<String>) {
        self.as_of = Some(day.into());
    }

    /// Whether its prices also hold where a span came with a cost.
    pub fn replaces_recorded(&self) -> bool {
        self.replaces_recorded
    }

    /// Says whether its prices also hold where a span came with a cost.
    pub fn set_replaces_recorded(&mut self, replaces: bool) {
        self.replaces_recorded = replaces;
    }

    /// The rows, in order.
    pub fn prices(&self) -> &[Price] {
        &self.prices
    }

    /// Adds a row. One of the same provider, model, day and length is replaced.
    pub fn push(&mut self, price: Price) {
        let layer = self.layers.last().copied().unwrap_or(0);
        self.put(price, layer);
    }

    /// Lays another table over this one: its rows hold before those that are there.
    pub fn lay_over(&mut self, other: Self) {
        let layer = self.layers.last().map_or(0, |layer| layer + 1);
        for price in other.prices {
            self.put(price, layer);
        }
    }

    fn put(&mut self, mut price: Price, layer: u32) {
        price.model = price.model.trim().to_ascii_lowercase();
        price.provider = names::provider(&price.provider);
        let rows = self.by_model.entry(price.model.clone()).or_default();
        let same = rows
            .iter()
            .copied()
            .find(|row| self.layers[*row] == layer && self.prices[*row].key() == price.key());
        if let Some(row) = same {
            self.prices[row] = price;
        } else {
            rows.push(self.prices.len());
            self.prices.push(price);
            self.layers.push(layer);
        }
    }

    /// Removes the rows that `matches` picks. Returns how many there were.
    pub fn remove(&mut self, matches: impl Fn(&Price) -> bool) -> usize {
        let before = self.prices.len();
        let rows: Vec<(Price, u32)> = self.prices.drain(..).zip(self.layers.drain(..)).collect();
        self.by_model.clear();
        for (price, layer) in rows {
            if !matches(&price) {
                self.put(price, layer);
            }
        }
        before - self.prices.len()
    }

    /// The price of a model at a moment, for a call of so many input tokens. Where the provider is
    /// not known, the model's name alone decides.
    pub fn find(
        &self,
        provider: Option<&str>,
        model: &str,
        time_unix_nano: u64,
        input_tokens: u64,
    ) -> Option<&Price> {
        self.of_model(provider, model)
            .find(time_unix_nano, input_tokens)
    }

    /// All prices of a model, for whoever asks for many calls of it.
    pub fn of_model(&self, provider: Option<&str>, model: &str) -> ModelPrices<'_> {
        let provider = provider.map(names::provider);
        let is_of_provider = |row: &usize| {
            let own = &self.prices[*row].provider;
            own.is_empty() || provider.as_ref().is_none_or(|name| name == own)
        };
        let of_spelling = |model: &String| {
            let rows = self.by_model.get(model)?.iter().copied();
            let mut rows: Vec<usize> = rows.filter(is_of_provider).collect();
            rows.sort_by_cached_key(|row| Reverse(self.rank(*row)));
            Some(rows.into_iter().map(|row| &self.prices[row]).collect())
        };
        let spellings = names::spellings(model);
        ModelPrices {
            by_spelling: spellings.iter().filter_map(of_spelling).collect(),
        }
    }

    /// What makes a row hold before another: the table it came with, a provider that it names, of
    /// several providers the one that stands first, then the day, then the length.
    fn rank(&self, row: usize) -> (u32, bool, Reverse<usize>, u32, u64) {
        let price = &self.prices[row];
        let rows = &self.by_model[&price.model];
        let first = rows.iter().position(|other| {
            self.layers[*other] == self.layers[row]
                && self.prices[*other].provider == price.provider
        });
        (
            self.layers[row],
            !price.provider.is_empty(),
            Reverse(first.unwrap_or(row)),
            price.from_day,
            price.above_tokens,
        )
    }
}

/// The prices of one model of a [`PriceTable`].
#[derive(Debug, Clone, Default)]
pub struct ModelPrices<'t> {
    /// By the spellings of the model's name, the most exact first; of each the price that holds
    /// before others first.
    by_spelling: Vec<Vec<&'t Price>>,
}

impl<'t> ModelPrices<'t> {
    /// The price at a moment, for a call of so many input tokens.
    pub fn find(&self, time_unix_nano: u64, input_tokens: u64) -> Option<&'t Price> {
        let day = (time_unix_nano / NANOS_PER_DAY) as u32;
        let fits = |price: &&&Price| {
            price.from_day <= day && (price.above_tokens == 0 || input_tokens > price.above_tokens)
        };
        let mut spellings = self.by_spelling.iter();
        spellings.find_map(|prices| prices.iter().find(fits).copied())
    }
}

impl Price {
    fn key(&self) -> (&str, u32, u64) {
        (&self.provider, self.from_day, self.above_tokens)
    }

    /// The first day it holds for, such as `2026-10-05`; nothing if it holds for ever.
    pub fn from(&self) -> Option<String> {
        (self.from_day > 0).then(|| {
            let (year, month, day) = date_of(self.from_day);
            format!("{year:04}-{month:02}-{day:02}")
        })
    }

    /// Reads a day, such as `2026-10-05`, as [`Price::from_day`] has it.
    pub fn parse_day(text: &str) -> Option<u32> {
        let mut parts = text.splitn(3, '-').map(|part| part.parse::<u32>().ok());
        let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
        let found = days_of(year, month, day)?;
        (date_of(found) == (year, month, day)).then_some(found)
    }
}

fn row(line: &str, number: usize, n_columns: usize) -> Result<Price, PriceTableError> {
    let mut values: Vec<&str> = line.split(',').map(str::trim).collect();
    let found = values.len();
    let wrong_count = PriceTableError::Row {
        line: number,
        found,
    };
    if found != n_columns {
        return Err(wrong_count);
    }
    values.resize(N_COLUMNS, "");
    let Ok(
        [
            provider,
            model,
            from,
            above,
            input,
            output,
            read,
            write,
            write_1h,
        ],
    ) = <[&str; N_COLUMNS]>::try_from(values)
    else {
        return Err(wrong_count);
    };
    let wrong = |column, value: &str| PriceTableError::Value {
        line: number,
        column,
        value: value.chars().take(40).collect(),
    };
    let price = |column, value: &str| match value.parse::<f64>() {
        Ok(price) if price.is_finite() && price >= 0.0 => Ok(price),
        _ => Err(wrong(column, value)),
    };
    let some = |column, value: &str| {
        (!value.is_empty())
            .then(|| price(column, value))
            .transpose()
    };
    if model.is_empty() {
        return Err(wrong("model", model));
    }
    Ok(Price {
        provider: provider.to_owned(),
        model: model.to_owned(),
        from_day: match from {
            "" => 0,
            day => Price::parse_day(day).ok_or_else(|| wrong("day", day))?,
        },
        above_tokens: match above {
            "" => 0,
            tokens => tokens
                .parse()
                .map_err(|_no_number| wrong("number of tokens", tokens))?,
        },
        input: price("price", input)?,
        output: price("price", output)?,
        cache_read: some("price", read)?,
        cache_write: some("price", write)?,
        cache_write_1h: some("price", write_1h)?,
    })
}

/// The day a civil date is, after Howard Hinnant's `days_from_civil`.
fn days_of(year: u32, month: u32, day: u32) -> Option<u32> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

/// The civil date of a day, after `civil_from_days`.
fn date_of(day: u32) -> (u32, u32, u32) {
    let day = day + 719_468;
    let (era, day_of_era) = (day / 146_097, day % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + u32::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(Price::parse_day("1970-01-02"), Some(1));
        assert_eq!(Price::parse_day("2000-03-01"), Some(11_017));
        assert_eq!(Price::parse_day("2024-02-29"), Some(19_782));
        for wrong in [
            "",
            "2023-02-29",
            "2026-13-01",
            "1969-12-31",
            "2026-1",
            "x-y-z",
        ] {
            assert_eq!(Price::parse_day(wrong), None, "{wrong}");
        }
        for day in (1..60_000).step_by(37) {
            let (year, month, date) = date_of(day);
            assert_eq!(days_of(year, month, date), Some(day));
        }
    }

    #[test]
    fn a_table_is_written_as_it_is_read() {
        let text = "# as of 2026-10-05\n\
                    provider,model,from,above_tokens,input,output,cache_read,cache_write,\
                    cache_write_1h\n\
                    openai,gpt-4o,2026-01-01,,2.5,10,1.25,,\n\
                    gemini,gemini-2.5-pro,,200000,2.5,15,,0.1,0.2\n";
        let mut table = PriceTable::from_csv(text).unwrap();
        assert_eq!(table.to_csv(), text);
        let older = "provider,model,from,above_tokens,input,output,cache_read,cache_write\n\
                     ,m,,,1,2,3,4\n";
        let older = PriceTable::from_csv(older).unwrap();
        assert_eq!(older.prices()[0].cache_write, Some(4.0));
        assert_eq!(older.prices()[0].cache_write_1h, None);
        assert_eq!(table.as_of(), Some("2026-10-05"));
        assert_eq!(table.remove(|price| price.provider == "openai"), 1);
        assert_eq!(table.find(None, "gpt-4o", u64::MAX, 0), None);
        assert!(table.find(None, "gemini-2.5-pro", 0, 200_001).is_some());
        assert!(table.find(None, "gemini-2.5-pro", 0, 200_000).is_none());
    }

    #[test]
    fn an_upper_table_hides_a_lower_one_and_the_first_provider_stands_for_all() {
        let read = |rows: &str| PriceTable::from_csv(&format!("{COLUMNS}\n{rows}")).unwrap();
        let mut table =
            read("openai,m,,,1,1,,,\nopenai,m,2020-01-01,,2,1,,,\nazure,m,2021-01-01,,3,1,,,");
        let input = |table: &PriceTable, provider| {
            let found = table.find(provider, "m", u64::MAX, 0);
            found.map(|price| price.input)
        };
        assert_eq!(input(&table, None), Some(2.0));
        assert_eq!(input(&table, Some("azure.ai.openai")), Some(3.0));
        table.lay_over(read(",m,,,9,1,,,"));
        assert_eq!(input(&table, None), Some(9.0));
        assert_eq!(input(&table, Some("openai")), Some(9.0));
        assert_eq!(table.prices().len(), 4);
    }

    #[test]
    fn a_wrong_table_is_told_where() {
        let error = |rows: &str| PriceTable::from_csv(rows).unwrap_err();
        assert_eq!(error("model,price"), PriceTableError::Header { line: 1 });
        let with = |row: &str| format!("{COLUMNS}\n{row}");
        assert_eq!(
            error(&with("a,b")),
            PriceTableError::Row { line: 2, found: 2 }
        );
        for row in [
            ",,,,1,1,,,",
            ",m,today,,1,1,,,",
            ",m,,x,1,1,,,",
            ",m,,,-1,1,,,",
            ",m,,,1,NaN,,,",
        ] {
            let error = error(&with(row));
            assert!(
                matches!(error, PriceTableError::Value { line: 2, .. }),
                "{error}"
            );
        }
    }
}
