use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use spanlite_export::{ExportError, ParquetError, ParquetWriter, RedactionRules};
use spanlite_formats::{
    ChromeTraceWriter, OtlpJsonWriter, WriteError, mlflow_json, write_json_lines,
};
use spanlite_model::{Trace, TraceId};

use crate::args::{BundleArgs, ExportArgs, ExportTo, SelectArgs};
use crate::ask;
use crate::error::{CliError, Outcome};
use crate::html::{self, Banner};
use crate::jobs::{self, TargetKind};
use crate::progress::Progress;
use crate::render::{Node, object, units};
use crate::session::{Session, limit_or_all};

/// Writes traces to a file, or sends them to a server.
pub(super) fn run(args: &ExportArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let path = match args.to {
        ExportTo::Mlflow => return jobs::export(TargetKind::Mlflow, args, session),
        ExportTo::Otlp => return jobs::export(TargetKind::Otlp, args, session),
        _ => args.path.as_deref().unwrap_or_else(|| Path::new("-")),
    };
    free(path, args.force)?;
    let selection = Selection {
        filter: args.filter.as_deref(),
        select: &args.select,
        redaction: jobs::redaction_of(&args.how.redact)?,
        raw: args.raw,
    };
    to_file(args.to, &selection, path, session)
}

/// Writes traces into one file that is read like a store, for reading only.
pub(super) fn bundle(args: &BundleArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    free(&args.path, args.force)?;
    let store = session.store()?;
    let snapshot = store.snapshot()?;
    let query = ask::filter(args.filter.as_deref(), &store)?;
    let asked = session.ask(&store, &args.select.since)?;
    let ids: Result<Vec<TraceId>, CliError> = match &query {
        None => Ok(snapshot.trace_ids(asked.range)?),
        Some(query) => ask::matches(&snapshot, Some(query), asked)?
            .map(|found| Ok(found?.trace.trace_id))
            .collect(),
    };
    let ids = ids?.into_iter().take(limit_or_all(args.select.limit));
    let progress = session.progress("writing");
    let report =
        spanlite_export::bundle(&store, &args.path, ids).map_err(|source| CliError::Copy {
            path: args.path.clone(),
            source,
        })?;
    drop(progress);
    let what = format!(
        "{}, {}, {}",
        units::plural(report.traces, "trace"),
        units::plural(report.spans, "span"),
        units::bytes(report.bytes),
    );
    let complete = session.warn_of_damage(&snapshot);
    if session.out.wants_json() {
        session.out.object(&object([
            ("path", args.path.display().to_string().into()),
            ("traces", report.traces.into()),
            ("spans", report.spans.into()),
            ("bytes", report.bytes.into()),
            ("complete", complete.into()),
        ]))?;
    } else {
        session.out.wrote(&what, &args.path, "");
    }
    Ok(if complete {
        Outcome::Done
    } else {
        Outcome::PartlyDone
    })
}

/// Fails where a file is there that may not be written over. A device or a pipe may.
fn free(path: &Path, force: bool) -> Result<(), CliError> {
    match fs::metadata(path) {
        Ok(found) if !force && (found.is_file() || found.is_dir()) && path != Path::new("-") => {
            Err(CliError::Exists {
                path: path.to_owned(),
            })
        }
        _ => Ok(()),
    }
}

/// Which traces are written, and what is taken out of them.
struct Selection<'a> {
    filter: Option<&'a str>,
    select: &'a SelectArgs,
    redaction: RedactionRules,
    raw: bool,
}

impl Selection<'_> {
    /// Pages are made to be passed on: the default rules hold for them unless told otherwise.
    fn rules(&self, format: ExportTo) -> RedactionRules {
        let mut rules = self.redaction.clone();
        rules.default |= format == ExportTo::Html && !self.raw;
        rules
    }
}

/// Writes traces to a file, newest first. The file appears when it is whole.
fn to_file(
    format: ExportTo,
    selection: &Selection<'_>,
    path: &Path,
    session: &mut Session<'_>,
) -> Result<Outcome, CliError> {
    let store = session.store()?;
    let snapshot = store.snapshot()?;
    let query = ask::filter(selection.filter, &store)?;
    let asked = session.ask(&store, &selection.select.since)?;
    let now = asked.now_unix_nano;
    let traces = ask::matches(&snapshot, query.as_ref(), asked)?;
    let traces = traces.map(|found| {
        let mut trace = found?.trace;
        // Pages are for people; elsewhere what leaves is what was recorded.
        if format != ExportTo::Html {
            crate::prices::forget(&mut trace);
        }
        Ok(trace)
    });
    let mut counted = Counted {
        traces: 0,
        spans: 0,
        failed: None,
        progress: session.progress("writing"),
    };
    let rules = selection.rules(format);
    let redaction = rules
        .compile()
        .map_err(|error| Box::new(ExportError::from(error)))?;
    let mut redacted = 0;
    let traces = counted
        .pass(traces.take(limit_or_all(selection.select.limit)))
        .map(|mut trace| {
            redacted += redaction.apply(&mut trace);
            trace
        });
    if format == ExportTo::Html {
        let traces: Vec<Trace> = traces.collect();
        if let Some(error) = counted.failed.take() {
            return Err(error);
        }
        let banner = Banner {
            source: store.path().display().to_string(),
            time_unix_nano: now,
            redacted: (rules != RedactionRules::default()).then_some(redacted),
            incomplete: !session.warn_of_damage(&snapshot),
        };
        let traces: Vec<Arc<Trace>> = traces.into_iter().map(Arc::new).collect();
        return page(&traces, &banner, path, session);
    }
    if path == Path::new("-") {
        failed_write(write(format, traces, session.out.data()), path)?;
    } else {
        let mut file = destination(path)?;
        failed_write(write(format, traces, &mut file.out), path)?;
        if counted.failed.is_none() {
            failed_write(file.finish().map_err(WriteError::from), path)?;
        }
    }
    if let Some(error) = counted.failed.take() {
        return Err(error);
    }
    drop(counted.progress);
    let complete = session.warn_of_damage(&snapshot);
    let written = Written {
        traces: counted.traces,
        spans: counted.spans,
        redacted: (rules != RedactionRules::default()).then_some(redacted),
        complete,
    };
    written.tell(path, session)?;
    Ok(if complete {
        Outcome::Done
    } else {
        Outcome::PartlyDone
    })
}

/// What a file holds.
struct Written {
    traces: u64,
    spans: u64,
    /// Values that were taken out, where any were to be.
    redacted: Option<u64>,
    complete: bool,
}

impl Written {
    fn tell(&self, path: &Path, session: &mut Session<'_>) -> Result<(), CliError> {
        // On stdout are the traces themselves.
        if session.out.wants_json() && path != Path::new("-") {
            return session.out.object(&self.item(path));
        }
        let what = format!(
            "{}, {}",
            units::plural(self.traces, "trace"),
            units::plural(self.spans, "span"),
        );
        let more = self.redacted.map_or_else(String::new, |values| {
            format!(", {} redacted", units::plural(values, "value"))
        });
        session.out.wrote(&what, path, &more);
        Ok(())
    }

    fn item(&self, path: &Path) -> Node {
        object([
            ("path", path.display().to_string().into()),
            ("traces", self.traces.into()),
            ("spans", self.spans.into()),
            ("redacted", self.redacted.unwrap_or(0).into()),
            ("complete", self.complete.into()),
        ])
    }
}

/// The name of a file until it is whole: in the same folder, so that the renaming is one step.
fn part_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}

/// A file in the making, which takes the place of what is there when it is whole; a device or a pipe
/// stays what it is, and is written to as it comes.
struct Destination<'p> {
    out: BufWriter<File>,
    path: &'p Path,
    /// The name of the file until then.
    part: Option<PathBuf>,
}

impl<'p> Destination<'p> {
    fn create(path: &'p Path) -> io::Result<Self> {
        let is_stream = fs::metadata(path).is_ok_and(|found| !found.is_file());
        let part = (!is_stream).then(|| part_of(path));
        let file = match &part {
            Some(part) => File::create(part)?,
            None => OpenOptions::new().write(true).open(path)?,
        };
        Ok(Self {
            out: BufWriter::with_capacity(1 << 16, file),
            path,
            part,
        })
    }

    /// What was written is whole.
    fn finish(mut self) -> io::Result<()> {
        self.out.flush()?;
        if let Some(part) = &self.part {
            self.out.get_ref().sync_all()?;
            fs::rename(part, self.path)?;
            self.part = None;
        }
        Ok(())
    }
}

impl Drop for Destination<'_> {
    fn drop(&mut self) {
        if let Some(part) = &self.part {
            // What is not whole is nothing.
            drop(fs::remove_file(part));
        }
    }
}

/// Writes the page for a browser.
fn page(
    traces: &[Arc<Trace>],
    banner: &Banner,
    path: &Path,
    session: &mut Session<'_>,
) -> Result<Outcome, CliError> {
    let outcome = if banner.incomplete {
        Outcome::PartlyDone
    } else {
        Outcome::Done
    };
    if path == Path::new("-") {
        html::write(session.out.data(), traces, banner)?;
        return Ok(outcome);
    }
    let mut bytes = Vec::new();
    html::write(&mut bytes, traces, banner)?;
    let mut file = destination(path)?;
    let written = file.out.write_all(&bytes).and_then(|()| file.finish());
    failed_write(written.map_err(WriteError::from), path)?;
    let size = units::bytes(bytes.len() as u64);
    if session.out.wants_json() {
        let written = Written {
            traces: traces.len() as u64,
            spans: traces.iter().map(|trace| trace.spans.len() as u64).sum(),
            redacted: banner.redacted,
            complete: !banner.incomplete,
        };
        session.out.object(&written.item(path))?;
        return Ok(outcome);
    }
    let count = units::plural(traces.len() as u64, "trace");
    session.out.wrote(&format!("{count}, {size}"), path, "");
    Ok(outcome)
}

fn destination(path: &Path) -> Result<Destination<'_>, CliError> {
    Destination::create(path).map_err(|error| CliError::Destination {
        path: path.to_owned(),
        source: WriteError::from(error),
    })
}

fn failed_write(written: Result<(), WriteError>, path: &Path) -> Result<(), CliError> {
    match written {
        Ok(()) => Ok(()),
        Err(WriteError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            Err(CliError::Output(error))
        }
        Err(source) => Err(CliError::Destination {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Counts traces on their way; the first that cannot be read ends the row.
struct Counted {
    traces: u64,
    spans: u64,
    failed: Option<CliError>,
    progress: Progress,
}

impl Counted {
    fn pass(
        &mut self,
        traces: impl Iterator<Item = Result<Trace, CliError>>,
    ) -> impl Iterator<Item = Trace> {
        traces.map_while(|trace| match trace {
            Ok(trace) => {
                self.traces += 1;
                self.spans += trace.spans.len() as u64;
                let traces = self.traces;
                self.progress.tell(|| units::plural(traces, "trace"));
                Some(trace)
            }
            Err(error) => {
                self.failed = Some(error);
                None
            }
        })
    }
}

fn write(
    format: ExportTo,
    mut traces: impl Iterator<Item = Trace>,
    mut out: &mut dyn Write,
) -> Result<(), WriteError> {
    match format {
        ExportTo::OtlpJson => {
            let mut writer = OtlpJsonWriter::new(&mut out);
            for trace in traces {
                writer.write(&trace)?;
            }
            writer.finish()?.write_all(b"\n")?;
        }
        ExportTo::MlflowJson => {
            let first = traces.next();
            let mut second = traces.next();
            let Some(first) = first else {
                out.write_all(b"[]\n")?;
                return Ok(());
            };
            let list = second.is_some();
            if list {
                out.write_all(b"[\n")?;
            }
            serde_json::to_writer(&mut *out, &mlflow_json(&first)?)?;
            while let Some(trace) = second {
                out.write_all(b",\n")?;
                serde_json::to_writer(&mut *out, &mlflow_json(&trace)?)?;
                second = traces.next();
            }
            out.write_all(if list { b"\n]\n" } else { b"\n" })?;
        }
        ExportTo::Chrome => {
            let mut writer = ChromeTraceWriter::new(&mut out);
            for trace in traces {
                writer.write(&trace)?;
            }
            writer.finish()?;
        }
        ExportTo::Parquet => write_parquet(traces, &mut out).map_err(|error| match error {
            ParquetError::Io(error) => error,
            other => io::Error::other(other),
        })?,
        // Servers have no path, and come to `jobs::export`.
        ExportTo::Jsonl | ExportTo::Html | ExportTo::Mlflow | ExportTo::Otlp => {
            for trace in traces {
                write_json_lines(std::slice::from_ref(&trace), &mut out)?;
            }
        }
    }
    out.flush()?;
    Ok(())
}

fn write_parquet(traces: impl Iterator<Item = Trace>, out: impl Write) -> Result<(), ParquetError> {
    let mut writer = ParquetWriter::new(out)?;
    for trace in traces {
        writer.write(&trace)?;
    }
    writer.finish()?;
    Ok(())
}
