//! What keeps a store small and safe: removing old traces, copies, recovery.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use spanlite_export::ExportJob;
use spanlite_model::TraceId;
use spanlite_store::{GcReport, Held, Retention, Store, TimeRange};

use crate::args::{BackupArgs, GcArgs, RecoverArgs};
use crate::ask::{self, Ask};
use crate::error::{CliError, Outcome};
use crate::render::{Line, Node, Role, object, units};
use crate::session::Session;

/// Removes the oldest traces as far as it was asked for: says first what would go, and asks.
pub(super) fn gc(args: &GcArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = session.store_to_write(false)?;
    let retention = Retention {
        max_age: args.older.map(Duration::from_nanos),
        max_bytes: args.max_bytes,
        max_traces: args.max_traces,
    };
    let progress = session.progress("looking for what is due");
    let now = session.settings.now_unix_nano;
    let to_keep = |due: &GcReport| {
        if args.include_unexported {
            return Ok(BTreeSet::new());
        }
        unsent(&store, due, now)
    };
    let due = store.gc(&retention, true, &BTreeSet::new())?;
    let mut keep = to_keep(&due)?;
    let planned = if keep.is_empty() {
        due
    } else {
        store.gc(&retention, true, &keep)?
    };
    drop(progress);
    // A newest file that is too much alone is closed, which is what lets a later run remove it.
    let closes = planned.held.iter().any(|(_, held)| *held == Held::Newest);
    if args.dry_run || (planned.removed.is_empty() && !closes) {
        return said(&planned, false, session);
    }
    if !args.yes {
        said(&planned, false, session)?;
        let question = if planned.removed.is_empty() {
            "begin a new file, so that a later gc can remove this one? [y/N] "
        } else {
            "remove them? [y/N] "
        };
        if !session.confirm(question)? {
            return Ok(Outcome::Done);
        }
        // More may be due since the question was asked.
        keep = to_keep(&store.gc(&retention, true, &BTreeSet::new())?)?;
    }
    let progress = session.progress("removing");
    let report = store.gc(&retention, false, &keep)?;
    store.close()?;
    drop(progress);
    said(&report, true, session)
}

/// The traces of segments that are due which some job selects and has not sent.
fn unsent(store: &Store, due: &GcReport, now: u64) -> Result<BTreeSet<TraceId>, CliError> {
    let mut unsent = BTreeSet::new();
    let ends = due.removed.iter().map(|one| one.last_start_unix_nano);
    let Some(end) = ends.max() else {
        return Ok(unsent);
    };
    let range = TimeRange {
        end_unix_nano: end.saturating_add(1),
        ..TimeRange::default()
    };
    let snapshot = store.snapshot()?;
    for job in ExportJob::list(store)? {
        let selected = match job.query.as_deref().map(ask::parse).transpose()? {
            // Nothing of the traces is read.
            None => snapshot.trace_ids(range)?,
            Some(query) => {
                let asked = Ask {
                    range,
                    now_unix_nano: now,
                    ..Ask::default()
                };
                let found = ask::matches(&snapshot, Some(&query), asked)?;
                let ids = found.map(|found| found.map(|found| found.trace.trace_id));
                ids.collect::<Result<_, _>>()?
            }
        };
        unsent.extend(job.unsent(store, selected)?);
    }
    Ok(unsent)
}

fn said(report: &GcReport, done: bool, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let traces: u64 = report.removed.iter().map(|segment| segment.traces).sum();
    let bytes: u64 = report.removed.iter().map(|segment| segment.bytes).sum();
    let held: u64 = report.held.iter().map(|(segment, _)| segment.traces).sum();
    if session.out.wants_json() {
        let item = object([
            ("done", done.into()),
            ("traces", traces.saturating_sub(report.moved_traces).into()),
            ("segments", report.removed.len().into()),
            ("bytes", bytes.into()),
            ("kept_pinned", report.moved_traces.into()),
            ("held_traces", held.into()),
        ]);
        session.out.object(&item)?;
        return Ok(Outcome::Done);
    }
    let (removed, freed) = if done {
        ("removed", "freed")
    } else {
        ("would remove", "free")
    };
    let mut text = format!(
        "{removed} {} in {}, {freed} about {}",
        units::plural(traces.saturating_sub(report.moved_traces), "trace"),
        units::plural(report.removed.len() as u64, "segment"),
        units::bytes(bytes),
    );
    if report.moved_traces > 0 {
        text = format!("{text}, keep {} pinned", units::count(report.moved_traces));
    }
    let mut sheet = session.out.sheet();
    sheet.text(Role::Plain, &text)?;
    for (segment, held) in &report.held {
        let why = match held {
            Held::Traces { count } => {
                format!("{} of it not exported yet", units::plural(*count, "trace"))
            }
            Held::Journal { .. } => "a journal is not stored as far anywhere else".to_owned(),
            Held::Damaged => "something in it is damaged".to_owned(),
            Held::Newest => {
                "the newest file; a later gc removes it, once there is a newer one".to_owned()
            }
            _ => "it is needed".to_owned(),
        };
        let mut line = Line::new();
        line.pad(2).text(Role::Warning, "held ");
        line.text(Role::Plain, &units::plural(segment.traces, "trace"));
        line.text(Role::Dim, &format!(": {why}"));
        sheet.line(&line)?;
    }
    Ok(Outcome::Done)
}

/// Makes what is stored small. Programs may go on writing.
pub(super) fn compact(session: &mut Session<'_>) -> Result<Outcome, CliError> {
    // What a writer of our own takes would count too.
    let before = session.store_to_look()?.info()?;
    let store = session.store_to_write(false)?;
    let mut progress = session.progress("making blocks");
    while store.seal()? {}
    progress.tell(|| "merging segments".to_owned());
    let saved = store.merge()?;
    store.close()?;
    drop(store);
    drop(progress);
    let after = session.store_to_look()?.info()?;
    if session.out.wants_json() {
        let item = object([
            ("bytes_before", before.bytes.into()),
            ("bytes", after.bytes.into()),
            ("segments_before", before.segments.into()),
            ("segments", after.segments.into()),
        ]);
        session.out.object(&item)?;
        return Ok(Outcome::Done);
    }
    let mut text = format!(
        "{} → {}",
        units::bytes(before.bytes),
        units::bytes(after.bytes)
    );
    if saved > 0 {
        text = format!("{text}, {} fewer", units::plural(saved, "segment"));
    }
    session.out.sheet().text(Role::Plain, &text)?;
    Ok(Outcome::Done)
}

/// Copies the store while any program goes on writing.
pub(super) fn backup(args: &BackupArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = session.store()?;
    check_empty(&args.to)?;
    let progress = session.progress("copying");
    let report = store.backup(&args.to).map_err(|source| CliError::Copy {
        path: args.to.clone(),
        source,
    })?;
    drop(progress);
    if session.out.wants_json() {
        let item = object([
            ("path", args.to.display().to_string().into()),
            ("segments", report.segments.into()),
            ("bytes", report.bytes.into()),
        ]);
        session.out.object(&item)?;
        return Ok(Outcome::Done);
    }
    let what = format!(
        "{} in {}",
        units::bytes(report.bytes),
        units::plural(report.segments, "segment"),
    );
    session.out.wrote(&what, &args.to, "");
    Ok(Outcome::Done)
}

/// Fails where a folder holds something, with which a new store would mix.
fn check_empty(folder: &Path) -> Result<(), CliError> {
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        let path = folder.to_owned();
        return Err(CliError::NotEmpty { path });
    }
    Ok(())
}

/// Writes what can be read of a damaged store into a new one.
pub(super) fn recover(args: &RecoverArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    check_empty(&args.out)?;
    let progress = session.progress("recovering");
    let report = spanlite_store::recover(&session.settings.store.value, &args.out)?;
    drop(progress);
    let damage: Vec<String> = report.damage.iter().map(ToString::to_string).collect();
    let sound = damage.is_empty();
    if session.out.wants_json() {
        let item = object([
            ("traces", report.traces.into()),
            ("spans", report.spans.into()),
            ("spans_expected", report.spans_expected.into()),
            (
                "damage",
                Node::List(damage.into_iter().map(Node::from).collect()),
            ),
        ]);
        session.out.object(&item)?;
    } else {
        let mut sheet = session.out.sheet();
        let text = format!(
            "{}, {} to {}",
            units::plural(report.traces, "trace"),
            units::plural(report.spans, "span"),
            args.out.display()
        );
        sheet.text(Role::Plain, &text)?;
        for one in &damage {
            let mut line = Line::of(Role::Error, "lost ");
            line.text(Role::Plain, one);
            sheet.line(&line)?;
        }
    }
    Ok(if sound {
        Outcome::Done
    } else {
        Outcome::DamageFound
    })
}
