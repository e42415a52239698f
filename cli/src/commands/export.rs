use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use spanlite_formats::{OtlpJsonWriter, WriteError, mlflow_json, write_json_lines};
use spanlite_model::Trace;

use crate::args::{ExportArgs, ExportFormat};
use crate::ask;
use crate::error::{CliError, Outcome};
use crate::jobs::{self, TargetKind};
use crate::progress::Progress;
use crate::render::units;
use crate::session::{Session, limit_or_all};

/// Writes traces to a file, newest first, or sends them to a server. The file appears when it is
/// whole.
pub(super) fn run(args: &ExportArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let path = match args.to {
        ExportFormat::Mlflow => return jobs::export(TargetKind::Mlflow, args, session),
        ExportFormat::Otlp => return jobs::export(TargetKind::Otlp, args, session),
        ExportFormat::OtlpJson | ExportFormat::MlflowJson | ExportFormat::Jsonl => {
            args.path.as_deref().unwrap_or_else(|| Path::new("-"))
        }
    };
    let store = session.store()?;
    let snapshot = store.snapshot()?;
    let range = session.range(&args.select);
    let query = args
        .filter
        .as_deref()
        .map(|text| ask::read(text, &store))
        .transpose()?;
    let traces = ask::matches(
        &snapshot,
        query.as_ref(),
        range,
        session.settings.now_unix_nano,
    )?;
    let traces = traces.map(|found| Ok(found?.trace));
    let mut counted = Counted {
        traces: 0,
        spans: 0,
        failed: None,
        progress: Progress::new(session.settings.stderr_is_terminal && !session.settings.quiet),
    };
    let traces = counted.pass(traces.take(limit_or_all(&args.select)));
    if path == Path::new("-") {
        let written = write(args.to, traces, session.out.data());
        failed_write(written, path)?;
    } else {
        // In the same folder, so that the renaming is one step.
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let part = path.with_file_name(name);
        let written = File::create(&part)
            .map_err(WriteError::from)
            .and_then(|file| {
                let mut out = BufWriter::with_capacity(1 << 16, file);
                write(args.to, traces, &mut out)?;
                let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.sync_all()?;
                Ok(())
            });
        if written.is_err() || counted.failed.is_some() {
            // It may never have come to be.
            drop(fs::remove_file(&part));
        } else {
            fs::rename(&part, path)?;
        }
        failed_write(written, path)?;
    }
    if let Some(error) = counted.failed.take() {
        return Err(error);
    }
    drop(counted.progress);
    let complete = session.warn_of_damage(&snapshot);
    session.out.hint(&format!(
        "{}, {} to {}",
        units::plural(counted.traces, "trace"),
        units::plural(counted.spans, "span"),
        path.display()
    ));
    Ok(if complete {
        Outcome::Done
    } else {
        Outcome::PartlyDone
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
    format: ExportFormat,
    mut traces: impl Iterator<Item = Trace>,
    mut out: &mut dyn Write,
) -> Result<(), WriteError> {
    match format {
        ExportFormat::OtlpJson => {
            let mut writer = OtlpJsonWriter::new(&mut out);
            for trace in traces {
                writer.write(&trace)?;
            }
            writer.finish()?.write_all(b"\n")?;
        }
        ExportFormat::MlflowJson => {
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
        // Servers are sent to, not written to a file.
        ExportFormat::Jsonl | ExportFormat::Mlflow | ExportFormat::Otlp => {
            for trace in traces {
                write_json_lines(std::slice::from_ref(&trace), &mut out)?;
            }
        }
    }
    out.flush()?;
    Ok(())
}
