use std::collections::BTreeMap;

use spanlite_model::{Cost, Price, PriceTable, Span, TokenUsage, keys};

use crate::args::{PriceArgs, PriceUse, PricesCommand, SinceArgs};
use crate::ask;
use crate::error::{CliError, Outcome};
use crate::prices::{self, Change, Prices};
use crate::render::{Column, Line, Listing, Role, object, units};
use crate::session::Session;

/// Says what models cost, and what calls therefore cost.
pub(super) fn run(command: &PricesCommand, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    match command {
        PricesCommand::Show { name } => show(name.as_deref(), session),
        PricesCommand::Missing { since } => missing(since, session),
        PricesCommand::Set(args) => set(args, session),
        PricesCommand::Rm { model, provider } => rm(model, provider.as_deref(), session),
        PricesCommand::Import { path, as_of } => import(path, as_of.as_deref(), session),
        PricesCommand::Reset => {
            let store = session.store_to_write(false)?;
            prices::change(&store, &Change::Bundled)?;
            store.close()?;
            let line = Line::of(Role::Dim, "the table that came with spanlite holds");
            session.out.done(line, &object([("reset", true.into())]))?;
            Ok(Outcome::Done)
        }
        PricesCommand::Recompute { use_, since } => recompute(*use_, since, session),
    }
}

fn show(name: Option<&str>, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let found = match session.store() {
        Ok(store) => Prices::read(&store)?,
        // Without a store there are the prices that came with spanlite.
        Err(CliError::NoStore { .. }) => Prices {
            own: PriceTable::default(),
            base: prices::bundled()?,
            is_imported: false,
            replaces_recorded: false,
        },
        Err(error) => return Err(error),
    };
    let wanted = name.unwrap_or_default().to_lowercase();
    let mut listing = Listing::new(vec![
        Column::left("PROVIDER"),
        Column::left("MODEL").shrinks_to(20),
        Column::left("FROM"),
        Column::right("ABOVE"),
        Column::right("IN"),
        Column::right("OUT"),
        Column::right("CACHE READ").dropped(2),
        Column::right("CACHE WRITE").dropped(1),
        Column::right("1 H").dropped(1),
        Column::left("SET"),
    ]);
    let own = found.own.prices().iter().map(|price| (price, "here"));
    let base = found.base.prices().iter().map(|price| (price, ""));
    for (price, origin) in own.chain(base) {
        if price.model.contains(&wanted) || price.provider.contains(&wanted) {
            listing.push(cells(price, origin), item(price));
        }
    }
    session.out.list(&listing)?;
    let origin = if found.is_imported {
        "imported table"
    } else {
        "table that came with spanlite"
    };
    let day = found.base.as_of().unwrap_or("no known day");
    session.out.hint(&format!(
        "US dollars per million tokens · {origin}, as of {day}{}",
        if found.replaces_recorded {
            " · holds before recorded costs"
        } else {
            ""
        }
    ));
    Ok(Outcome::Done)
}

fn cells(price: &Price, origin: &str) -> Vec<(Role, String)> {
    let plain = |text: String| (Role::Plain, text);
    let some = |price: Option<f64>| plain(price.map(|price| price.to_string()).unwrap_or_default());
    vec![
        (Role::Dim, price.provider.clone()),
        plain(price.model.clone()),
        (Role::Dim, price.from().unwrap_or_default()),
        plain(match price.above_tokens {
            0 => String::new(),
            tokens => units::short_count(tokens),
        }),
        plain(price.input.to_string()),
        plain(price.output.to_string()),
        some(price.cache_read),
        some(price.cache_write),
        some(price.cache_write_1h),
        (Role::Key, origin.to_owned()),
    ]
}

/// A row with the columns of the table, so that CSV is a table again.
fn item(price: &Price) -> crate::render::Node {
    object([
        ("provider", price.provider.as_str().into()),
        ("model", price.model.as_str().into()),
        ("from", price.from().into()),
        (
            "above_tokens",
            Some(price.above_tokens).filter(|tokens| *tokens > 0).into(),
        ),
        ("input", price.input.into()),
        ("output", price.output.into()),
        ("cache_read", price.cache_read.into()),
        ("cache_write", price.cache_write.into()),
        ("cache_write_1h", price.cache_write_1h.into()),
    ])
}

fn set(args: &PriceArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = session.store_to_write(false)?;
    let mut own = Prices::read(&store)?.own;
    let price = Price {
        provider: args.provider.clone().unwrap_or_default(),
        model: args.model.clone(),
        from_day: args.from.as_deref().and_then(Price::parse_day).unwrap_or(0),
        above_tokens: args.above_tokens,
        input: args.input,
        output: args.output,
        cache_read: args.cache_read,
        cache_write: args.cache_write,
        cache_write_1h: args.cache_write_1h,
    };
    let item = item(&price);
    own.push(price);
    prices::change(&store, &Change::Own(&own))?;
    store.close()?;
    let text = "it holds for everything recorded, from the next command on";
    session.out.done(Line::of(Role::Dim, text), &item)?;
    Ok(Outcome::Done)
}

fn rm(model: &str, provider: Option<&str>, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = session.store_to_write(false)?;
    let mut own = Prices::read(&store)?.own;
    let model = model.to_lowercase();
    let removed = own.remove(|price| {
        price.model == model && provider.is_none_or(|provider| price.provider == provider)
    });
    if removed == 0 {
        return Err(CliError::NoPrice { model });
    }
    prices::change(&store, &Change::Own(&own))?;
    store.close()?;
    let text = format!("{} forgotten", units::plural(removed as u64, "price"));
    let item = object([("model", model.into()), ("removed", removed.into())]);
    session.out.done(Line::of(Role::Dim, &text), &item)?;
    Ok(Outcome::Done)
}

fn import(
    path: &std::path::Path,
    as_of: Option<&str>,
    session: &mut Session<'_>,
) -> Result<Outcome, CliError> {
    let mut table = prices::read_file(path)?;
    if let Some(day) = as_of {
        table.set_as_of(day);
    } else if table.as_of().is_none() {
        let today = crate::render::json::time(session.settings.now_unix_nano);
        table.set_as_of(today.chars().take(10).collect::<String>());
    }
    let store = session.store_to_write(false)?;
    prices::change(&store, &Change::Base(&table))?;
    store.close()?;
    let text = format!(
        "{} as of {}; `spanlite prices reset` goes back",
        units::plural(table.prices().len() as u64, "price"),
        table.as_of().unwrap_or_default()
    );
    let item = object([
        ("prices", table.prices().len().into()),
        ("as_of", table.as_of().into()),
    ]);
    session.out.done(Line::of(Role::Dim, &text), &item)?;
    Ok(Outcome::Done)
}

/// What is known of a model's calls.
#[derive(Default)]
struct Calls {
    calls: u64,
    usage: TokenUsage,
    recorded: Option<f64>,
    computed: Option<f64>,
}

/// A provider and a model.
type Model = (String, String);

/// The calls of the store by model.
fn calls(
    since: &SinceArgs,
    session: &mut Session<'_>,
) -> Result<(BTreeMap<Model, Calls>, bool), CliError> {
    let store = session.store()?;
    let snapshot = store.snapshot()?;
    let table = session.prices(&store)?;
    let mut asked = session.ask(&store, since)?;
    asked.prices = None;
    let progress = session.progress("counting");
    let mut models: BTreeMap<Model, Calls> = BTreeMap::new();
    for found in ask::matches(&snapshot, None, asked)? {
        for span in &found?.trace.spans {
            if is_call(span) {
                let model = span.model().unwrap_or_default().to_owned();
                let provider = span.provider().unwrap_or_default().to_owned();
                models
                    .entry((provider, model))
                    .or_default()
                    .add(span, &table);
            }
        }
    }
    drop(progress);
    Ok((models, session.warn_of_damage(&snapshot)))
}

/// Whether a span stands for tokens that were paid: the sums of agents do not.
fn is_call(span: &Span) -> bool {
    span.span_type != spanlite_model::SpanType::Agent && !TokenUsage::of(span).is_empty()
}

impl Calls {
    fn add(&mut self, span: &Span, table: &PriceTable) {
        self.calls += 1;
        self.usage = self.usage.plus(TokenUsage::of(span));
        let plus = |sum: &mut Option<f64>, cost: Option<f64>| {
            if let Some(cost) = cost {
                *sum = Some(sum.unwrap_or(0.0) + cost);
            }
        };
        let has_recorded = span.attributes.get(keys::MLFLOW_LLM_COST).is_some();
        plus(
            &mut self.recorded,
            Cost::of(span).total_cost.filter(|_| has_recorded),
        );
        let computed = table.cost_of(span);
        plus(
            &mut self.computed,
            computed.and_then(|cost| cost.total_cost),
        );
    }
}

/// Lists the models that calls were made to and that have no price.
fn missing(since: &SinceArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let (models, complete) = calls(since, session)?;
    let mut listing = Listing::new(vec![
        Column::left("PROVIDER"),
        Column::left("MODEL").shrinks_to(20),
        Column::right("CALLS"),
        Column::right("IN"),
        Column::right("OUT"),
    ]);
    listing.complete = complete;
    let n_models = models.len() as u64;
    for ((provider, model), calls) in models {
        if calls.computed.is_some() || calls.recorded.is_some() {
            continue;
        }
        let tokens = |count: Option<u64>| count.map(units::short_count).unwrap_or_default();
        let name = if model.is_empty() {
            "(not said)"
        } else {
            &model
        };
        listing.push(
            vec![
                (Role::Dim, provider.clone()),
                (Role::Plain, name.to_owned()),
                (Role::Plain, units::count(calls.calls)),
                (Role::Plain, tokens(calls.usage.input_tokens)),
                (Role::Plain, tokens(calls.usage.output_tokens)),
            ],
            object([
                ("provider", provider.into()),
                ("model", model.into()),
                ("calls", calls.calls.into()),
                ("input_tokens", calls.usage.input_tokens.into()),
                ("output_tokens", calls.usage.output_tokens.into()),
            ]),
        );
    }
    session.out.list(&listing)?;
    session.out.hint(&match listing.len() as u64 {
        0 if n_models == 0 => "no calls of models".to_owned(),
        0 => format!("every model has a price, {} of {0}", units::count(n_models)),
        _ => "spanlite prices set MODEL --input USD --output USD, per million tokens".to_owned(),
    });
    Ok(Outcome::Done)
}

/// Compares recorded costs with those by the table.
fn recompute(
    use_: Option<PriceUse>,
    since: &SinceArgs,
    session: &mut Session<'_>,
) -> Result<Outcome, CliError> {
    let (models, complete) = calls(since, session)?;
    let mut listing = Listing::new(vec![
        Column::left("PROVIDER").dropped(1),
        Column::left("MODEL").shrinks_to(20),
        Column::right("CALLS"),
        Column::right("RECORDED"),
        Column::right("BY TABLE"),
        Column::right("CHANGE"),
    ]);
    listing.complete = complete;
    for ((provider, model), calls) in models {
        let dollars = |cost: Option<f64>| cost.map_or_else(|| "unknown".to_owned(), units::dollars);
        let change = match (calls.recorded, calls.computed) {
            (Some(recorded), Some(computed)) if recorded > 0.0 => {
                format!("{:+.1}%", (computed / recorded - 1.0) * 100.0)
            }
            _ => String::new(),
        };
        listing.push(
            vec![
                (Role::Dim, provider.clone()),
                (Role::Plain, model.clone()),
                (Role::Plain, units::count(calls.calls)),
                (Role::Plain, dollars(calls.recorded)),
                (Role::Plain, dollars(calls.computed)),
                (Role::Changed, change),
            ],
            object([
                ("provider", provider.into()),
                ("model", model.into()),
                ("calls", calls.calls.into()),
                ("recorded_usd", calls.recorded.into()),
                ("computed_usd", calls.computed.into()),
            ]),
        );
    }
    session.out.list(&listing)?;
    let Some(use_) = use_ else {
        session
            .out
            .hint("recorded costs hold before the table; --use table turns that round");
        return Ok(Outcome::Done);
    };
    let store = session.store_to_write(false)?;
    prices::change(&store, &Change::Replaces(use_ == PriceUse::Table))?;
    store.close()?;
    session.out.hint(match use_ {
        PriceUse::Table => "the table holds before recorded costs, which stay stored",
        PriceUse::Recorded => "recorded costs hold before the table",
    });
    Ok(Outcome::Done)
}
