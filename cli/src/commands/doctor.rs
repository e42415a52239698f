use std::path::Path;

use spanlite_model::{Price, with_causes};
use spanlite_store::{JournalForm, Store, StoreInfo};

use super::info::failure_text;
use crate::error::{CliError, Exit, Outcome};
use crate::prices::Prices;
use crate::render::{Column, Listing, Role, object, units};
use crate::session::Session;

/// A table of prices older than this is said to be old.
const OLD_PRICES_DAYS: u32 = 180;
/// Less room than this on the disk is said to be little.
const LITTLE_ROOM_BYTES: u64 = 1 << 30;
/// What failed longer ago than this is over.
const RECENT_FAILURE_MILLIS: u64 = 24 * 3_600_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Good,
    Doubtful,
    Bad,
}

/// Something that was looked at.
struct Finding {
    health: Health,
    what: &'static str,
    found: String,
    /// What to do; empty when nothing.
    hint: String,
}

fn good(what: &'static str, found: impl Into<String>) -> Finding {
    Finding {
        health: Health::Good,
        what,
        found: found.into(),
        hint: String::new(),
    }
}

fn doubtful(what: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Finding {
    Finding {
        health: Health::Doubtful,
        what,
        found: found.into(),
        hint: hint.into(),
    }
}

/// Looks for what keeps spanlite from working well.
pub(super) fn run(session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let mut findings = vec![
        good("version", env!("CARGO_PKG_VERSION")),
        terminal(session),
    ];
    findings.extend(
        session
            .settings
            .config_warnings
            .iter()
            .map(|warning| doubtful("configuration", warning.clone(), "its settings do not hold")),
    );
    match session.store_to_look() {
        Ok(store) => of_store(&store, session, &mut findings)?,
        Err(error) => {
            let is_missing = error.exit() == Exit::NotFound;
            findings.push(Finding {
                health: if is_missing {
                    Health::Doubtful
                } else {
                    Health::Bad
                },
                what: "store",
                found: with_causes(&error),
                hint: error.advice().unwrap_or_default(),
            });
        }
    }
    let mut listing = Listing::new(vec![
        Column::left(" "),
        Column::left("CHECK"),
        Column::left("FOUND").shrinks_to(24),
        Column::left("WHAT TO DO").shrinks_to(24),
    ]);
    for finding in &findings {
        let (role, sign, word) = match finding.health {
            Health::Good => (Role::Ok, "✓", "good"),
            Health::Doubtful => (Role::Warning, "!", "doubtful"),
            Health::Bad => (Role::Error, "✗", "bad"),
        };
        listing.push(
            vec![
                (role, sign.to_owned()),
                (Role::Key, finding.what.to_owned()),
                (Role::Plain, finding.found.clone()),
                (Role::Plain, finding.hint.clone()),
            ],
            object([
                ("check", finding.what.into()),
                ("health", word.into()),
                ("found", finding.found.as_str().into()),
                (
                    "hint",
                    Some(finding.hint.as_str())
                        .filter(|hint| !hint.is_empty())
                        .into(),
                ),
            ]),
        );
    }
    session.out.list(&listing)?;
    let is_bad = findings.iter().any(|finding| finding.health == Health::Bad);
    Ok(if is_bad {
        Outcome::Refused
    } else {
        Outcome::Done
    })
}

fn terminal(session: &Session<'_>) -> Finding {
    let settings = session.settings;
    let found = format!(
        "{} columns, colours {}, {}",
        settings.look.width,
        if settings.look.color { "on" } else { "off" },
        if settings.look.ascii {
            "ASCII"
        } else {
            "UTF-8"
        }
    );
    good("terminal", found)
}

fn of_store(
    store: &Store,
    session: &Session<'_>,
    findings: &mut Vec<Finding>,
) -> Result<(), CliError> {
    let info = store.info()?;
    findings.push(good(
        "store",
        format!(
            "{}, format {}, {} in {}",
            store.path().display(),
            info.format,
            units::plural(info.traces, "trace"),
            units::bytes(info.bytes)
        ),
    ));
    findings.extend(mode(store.path()));
    findings.extend(room(store.path()));
    if store.needs_repair()? {
        let found = "a killed program left a journal or an unclean file";
        findings.push(doubtful(
            "after a kill",
            found,
            "nothing is lost; the next command that may write puts it in order",
        ));
    }
    findings.push(writing(session, &info));
    findings.extend(harm(&info));
    findings.extend(failure(session, &info));
    findings.push(prices(store, session)?);
    Ok(())
}

/// Whether others can read the store.
#[cfg(unix)]
fn mode(path: &Path) -> Option<Finding> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    Some(if mode.trailing_zeros() >= 6 {
        good("permissions", format!("{mode:o}, yours alone"))
    } else {
        let hint = format!("chmod go-rwx {}", path.display());
        doubtful("permissions", format!("{mode:o}, others may look in"), hint)
    })
}

#[cfg(not(unix))]
fn mode(_path: &Path) -> Option<Finding> {
    None
}

/// How much room the disk has.
#[cfg(unix)]
fn room(path: &Path) -> Option<Finding> {
    let room = rustix::fs::statvfs(path).ok()?;
    let bytes = room.f_bavail.saturating_mul(room.f_frsize);
    let found = format!("{} free", units::bytes(bytes));
    Some(if bytes < LITTLE_ROOM_BYTES {
        let hint = "spanlite gc --max-bytes, spanlite compact";
        doubtful("disk", found, hint)
    } else {
        good("disk", found)
    })
}

#[cfg(not(unix))]
fn room(_path: &Path) -> Option<Finding> {
    None
}

/// Whether programs can write here, and what a kill would cost.
fn writing(session: &Session<'_>, info: &StoreInfo) -> Finding {
    let form = if session.settings.read_only {
        info.live_journals.first().copied()
    } else {
        match session.store_to_write(false).and_then(|store| {
            let form = store.info()?.journal;
            store.close()?;
            Ok(form)
        }) {
            Ok(form) => form,
            Err(error) => {
                return doubtful(
                    "writing",
                    error.cause_text(),
                    "it can be read; programs cannot trace into it",
                );
            }
        }
    };
    match form {
        Some(JournalForm::Mapped) => good("writing", "journal mapped: a kill loses nothing"),
        Some(JournalForm::Written) => doubtful(
            "writing",
            "journal written: a kill loses up to 15 spans a thread",
            "put the store on ext4, xfs or tmpfs",
        ),
        Some(_) => doubtful(
            "writing",
            "no journal: a kill loses what was not committed",
            "set the durability to journal",
        ),
        None => good("writing", "not tried"),
    }
}

fn harm(info: &StoreInfo) -> Vec<Finding> {
    let mut found = Vec::new();
    if info.damaged > 0 {
        found.push(Finding {
            health: Health::Bad,
            what: "damage",
            found: units::plural(info.damaged, "place"),
            hint: "spanlite verify, then spanlite recover --out FOLDER".to_owned(),
        });
    } else {
        // Spans and texts are not read for this.
        found.push(good("damage", "none in headers; verify reads all"));
    }
    if info.quarantined > 0 {
        let found_text = units::plural(info.quarantined, "damaged file");
        let hint = "spanlite recover --out FOLDER reads what can be read";
        found.push(doubtful("quarantine", found_text, hint));
    }
    if info.live_writers > 0 {
        let writers = units::plural(info.live_writers, "program");
        found.push(good("writers", format!("{writers} writing at this moment")));
    }
    found
}

/// What a program could not do in the background; programs go on, and try again.
fn failure(session: &Session<'_>, info: &StoreInfo) -> Option<Finding> {
    let failure = info.last_failure.as_ref()?;
    let found = failure_text(failure, &session.settings.look);
    let now = session.settings.now_unix_nano / 1_000_000;
    let is_recent = now.saturating_sub(failure.time_unix_millis) < RECENT_FAILURE_MILLIS;
    Some(if is_recent {
        doubtful("background", found, "the program tries again by itself")
    } else {
        good("background", found)
    })
}

fn prices(store: &Store, session: &Session<'_>) -> Result<Finding, CliError> {
    let prices = Prices::read(store)?;
    let as_of = prices.base.as_of().unwrap_or_default();
    let today = (session.settings.now_unix_nano / 86_400_000_000_000) as u32;
    let age = Price::parse_day(as_of).map(|day| today.saturating_sub(day));
    Ok(match age {
        Some(age) if age <= OLD_PRICES_DAYS => good("prices", format!("as of {as_of}")),
        _ => doubtful(
            "prices",
            format!("as of {as_of}"),
            "spanlite prices import FILE takes newer ones",
        ),
    })
}
