use std::io::BufRead as _;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use spanlite_model::{PriceTable, Trace, TraceId};
use spanlite_store::{Access, OpenError, OpenOptions, Snapshot, StorageError, Store, TimeRange};

use crate::args::{Format, PageArgs, Since, SinceArgs};
use crate::ask::Ask;
use crate::error::CliError;
use crate::output::Output;
use crate::progress::Progress;
use crate::render::units;
use crate::settings::Settings;

/// Traces a list shows when nobody says how many.
const DEFAULT_LIMIT: usize = 50;

/// One run of the command: its settings, its output, its store.
pub(crate) struct Session<'s> {
    pub(crate) settings: &'s Settings,
    pub(crate) out: Output<'s>,
    /// Long work stops once it is true.
    pub(crate) cancel: Option<Arc<AtomicBool>>,
    prices: OnceLock<Arc<PriceTable>>,
}

/// Returns whether a store that did not open may still be read.
fn only_writing_fails(error: &OpenError) -> bool {
    let source = match error {
        OpenError::Storage(source) => source,
        OpenError::Writer(source) => source,
        _ => return false,
    };
    matches!(
        source,
        StorageError::NoPermission { .. } | StorageError::DiskFull { .. }
    )
}

impl<'s> Session<'s> {
    pub(crate) fn new(settings: &'s Settings) -> Self {
        Self {
            settings,
            out: Output::new(settings),
            cancel: None,
            prices: OnceLock::new(),
        }
    }

    /// Opens the store to read it. What a killed writer left is put in order first, unless that is
    /// forbidden; then it is read where it is.
    pub(crate) fn store(&self) -> Result<Store, CliError> {
        let store = self.store_to_look()?;
        if !self.settings.read_only && store.needs_repair()? {
            self.repair()?;
        }
        Ok(store)
    }

    /// Opens the store for writing once, which replays what killed writers left. Where nothing may
    /// be written, nothing happens.
    fn repair(&self) -> Result<(), CliError> {
        let options = OpenOptions {
            create: false,
            ..OpenOptions::default()
        };
        match self.open(options) {
            Ok(writer) => {
                // Reading repairs the files.
                writer.snapshot()?;
                Ok(writer.close()?)
            }
            Err(CliError::Open(error)) if only_writing_fails(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Opens the store without a writer of our own.
    pub(crate) fn store_to_look(&self) -> Result<Store, CliError> {
        self.open(OpenOptions::read_only())
    }

    /// Opens the store to write to it, and makes it if `create` says so.
    pub(crate) fn store_to_write(&self, create: bool) -> Result<Store, CliError> {
        let options = OpenOptions {
            create,
            access: if self.settings.read_only {
                Access::ReadOnly
            } else {
                Access::ReadWrite
            },
            ..OpenOptions::default()
        };
        self.open(options)
    }

    fn open(&self, options: OpenOptions) -> Result<Store, CliError> {
        let path = &self.settings.store.value;
        Store::open(path, options).map_err(|error| match error {
            OpenError::NoStore { path } => CliError::NoStore {
                path,
                looked_at: self.settings.looked_at.clone(),
            },
            error => CliError::Open(error),
        })
    }

    /// The prices of the store, read once.
    pub(crate) fn prices(&self, store: &Store) -> Result<Arc<PriceTable>, CliError> {
        if let Some(prices) = self.prices.get() {
            return Ok(Arc::clone(prices));
        }
        let prices = Arc::new(crate::prices::of_store(store)?);
        Ok(Arc::clone(self.prices.get_or_init(|| prices)))
    }

    /// What is asked beside the query.
    pub(crate) fn ask(&self, store: &Store, since: &SinceArgs) -> Result<Ask, CliError> {
        Ok(Ask {
            range: self.range(since),
            now_unix_nano: self.settings.now_unix_nano,
            prices: Some(self.prices(store)?),
            after: None,
            pages: false,
            cancel: self.cancel.clone(),
        })
    }

    /// What is asked beside the query, where the answer comes in pages.
    pub(crate) fn ask_page(&self, store: &Store, page: &PageArgs) -> Result<Ask, CliError> {
        let limit = self.limit(page.select.limit);
        Ok(Ask {
            after: page.after.clone(),
            pages: self.settings.format == Some(Format::Json) && limit < usize::MAX,
            ..self.ask(store, &page.select.since)?
        })
    }

    /// The trace that a reference of the command line names, with the costs that the prices of the
    /// store tell.
    pub(crate) fn trace(
        &self,
        store: &Store,
        snapshot: &Snapshot,
        reference: &str,
    ) -> Result<Trace, CliError> {
        let mut trace = find_trace(snapshot, reference)?;
        self.prices(store)?.apply(&mut trace);
        Ok(trace)
    }

    /// The times that `--since` asks for.
    pub(crate) fn range(&self, since: &SinceArgs) -> TimeRange {
        let mut range = TimeRange::default();
        range.start_unix_nano = match since.since {
            Some(Since::Ago(nanos)) => self.settings.now_unix_nano.saturating_sub(nanos),
            Some(Since::At(unix_nano)) => unix_nano,
            None => range.start_unix_nano,
        };
        range
    }

    /// How many rows are shown. People see a screenful unless they say otherwise; machines get
    /// all.
    pub(crate) fn limit(&self, limit: Option<usize>) -> usize {
        match (limit, self.settings.format) {
            (None, None | Some(Format::Table | Format::Tree)) => DEFAULT_LIMIT,
            (None | Some(0), _) => usize::MAX,
            (Some(limit), _) => limit,
        }
    }

    /// Tells of some work while it goes on, where somebody sees it.
    pub(crate) fn progress(&self, work: &str) -> Progress {
        Progress::new(
            self.settings.stderr_is_terminal && !self.settings.quiet,
            work,
        )
    }

    /// Asks before something goes for good. Where nobody can answer, that is an error.
    pub(crate) fn confirm(&mut self, question: &str) -> Result<bool, CliError> {
        if !self.settings.stdin_is_terminal {
            return Err(CliError::NotConfirmed);
        }
        self.out.flush()?;
        Output::ask(question)?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    /// Warns when something was skipped because it is damaged. Returns whether all was read.
    pub(crate) fn warn_of_damage(&mut self, snapshot: &Snapshot) -> bool {
        let damage = snapshot.damage();
        let Some(first) = damage.first() else {
            return true;
        };
        let more = match damage.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        self.out.warn(&format!(
            "damaged data was skipped, results are incomplete: {first}{more}"
        ));
        self.out.hint("  hint: spanlite verify");
        false
    }
}

/// How many traces are taken: all, when nobody says.
pub(crate) fn limit_or_all(limit: Option<usize>) -> usize {
    match limit {
        None | Some(0) => usize::MAX,
        Some(limit) => limit,
    }
}

/// The ids of a store, to tell how many digits of each are needed.
pub(crate) struct Ids(Vec<TraceId>);

impl Ids {
    pub(crate) fn read(snapshot: &Snapshot) -> Result<Self, CliError> {
        Ok(Self(snapshot.ids()?))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The hex digits of an id that tell it from all others; at least 8.
    pub(crate) fn digits(&self, trace_id: TraceId) -> usize {
        let place = self.0.partition_point(|other| *other < trace_id);
        let before = place.checked_sub(1).and_then(|place| self.0.get(place));
        let after = self.0[place..].iter().find(|other| **other != trace_id);
        let common = before.into_iter().chain(after).map(|other| {
            let difference =
                u128::from_be_bytes(other.to_bytes()) ^ u128::from_be_bytes(trace_id.to_bytes());
            difference.leading_zeros() as usize / 4
        });
        common.max().map_or(units::MIN_ID_DIGITS, |common| {
            (common + 1).max(units::MIN_ID_DIGITS)
        })
    }
}

/// The hex digits of a trace id that tell it from all others of the store; at least 8.
pub(crate) fn id_digits(snapshot: &Snapshot, trace_id: TraceId) -> Result<usize, CliError> {
    let hex = trace_id.to_hex();
    let prefix = hex.get(..units::MIN_ID_DIGITS).unwrap_or(&hex);
    let others = snapshot.find_prefix(prefix)?;
    let common = others
        .iter()
        .filter(|other| **other != trace_id)
        .map(|other| {
            let other = other.to_hex();
            hex.bytes()
                .zip(other.bytes())
                .take_while(|(a, b)| a == b)
                .count()
        });
    Ok(common.max().map_or(units::MIN_ID_DIGITS, |common| {
        (common + 1).max(units::MIN_ID_DIGITS)
    }))
}

/// The trace that a reference of the command line names: an id, the beginning of one, `@` for
/// the newest, `@-1` for the one before it.
pub(crate) fn find_trace(snapshot: &Snapshot, reference: &str) -> Result<Trace, CliError> {
    if let Some(age) = reference.strip_prefix('@') {
        return find_by_age(snapshot, reference, age);
    }
    let digits = reference
        .strip_prefix("tr-")
        .unwrap_or(reference)
        .to_ascii_lowercase();
    let wrong = |why| CliError::Reference {
        reference: reference.chars().take(80).collect(),
        why,
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong("an id has the digits 0-9 and a-f"));
    }
    if digits.len() > 32 {
        return Err(wrong("an id has 32 digits"));
    }
    let mut found = snapshot.find_prefix(&digits)?;
    if digits.len() <= 16 {
        // Ids of 64 bits are known without their zeros.
        found.extend(snapshot.find_prefix(&format!("{}{digits}", units::ZEROS_OF_64_BITS))?);
        found.dedup();
    }
    match found.as_slice() {
        [] => Err(missing(snapshot, digits)),
        [one] => snapshot
            .trace(*one)?
            .ok_or_else(|| missing(snapshot, digits)),
        many => Err(CliError::AmbiguousTrace {
            prefix: digits,
            candidates: candidates(snapshot, many)?,
        }),
    }
}

/// A trace that is not there, or that nobody can tell of.
fn missing(snapshot: &Snapshot, prefix: String) -> CliError {
    if snapshot.damage().is_empty() {
        CliError::NoTrace { prefix }
    } else {
        CliError::NoTraceInDamage { prefix }
    }
}

fn candidates(snapshot: &Snapshot, ids: &[TraceId]) -> Result<Vec<String>, CliError> {
    const SHOWN: usize = 5;
    let mut candidates = Vec::new();
    for id in ids.iter().take(SHOWN) {
        let trace = snapshot.trace(*id)?;
        let name = trace.as_ref().and_then(Trace::name).unwrap_or_default();
        let shown = units::short_id(*id, id_digits(snapshot, *id)?);
        let name: String = name.chars().take(60).collect();
        candidates.push(format!("{shown} {name}"));
    }
    if ids.len() > SHOWN {
        candidates.push(format!("and {} more", ids.len() - SHOWN));
    }
    Ok(candidates)
}

fn find_by_age(snapshot: &Snapshot, reference: &str, age: &str) -> Result<Trace, CliError> {
    let age = match age.strip_prefix('-') {
        _ if age.is_empty() => Some(0),
        Some(number) => number.parse().ok(),
        None => None,
    };
    let Some(age) = age else {
        return Err(CliError::Reference {
            reference: reference.chars().take(80).collect(),
            why: "`@` is followed by nothing or by -N",
        });
    };
    match snapshot.traces(TimeRange::default()).nth(age) {
        Some(trace) => Ok(trace?),
        None => Err(CliError::NoSuchAge {
            reference: reference.to_owned(),
            count: snapshot.count_traces()?,
            in_damage: !snapshot.damage().is_empty(),
        }),
    }
}
