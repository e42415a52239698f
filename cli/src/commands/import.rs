use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use spanlite_formats::{ReadError, Reader};
use spanlite_model::{Trace, TraceId, with_causes};
use spanlite_store::{OpenError, OpenOptions, Store, TimeRange};

use crate::args::ImportArgs;
use crate::error::{CliError, Outcome};
use crate::progress::Progress;
use crate::render::{Line, Node, Role, object, units};
use crate::session::Session;

/// Traces are stored when this many spans wait.
const BATCH_SPANS: usize = 4_096;
/// Skipped places that people see, at most.
const SHOWN_SKIPPED: usize = 20;

/// Reads trace files into the store.
pub(super) fn run(args: &ImportArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = match session.store_to_write(false) {
        Ok(store) => Some(store),
        Err(CliError::NoStore { .. }) => None,
        Err(error) => return Err(error),
    };
    let progress = session.progress("reading");
    let mut import = Import {
        session,
        store,
        progress,
        batch: Vec::new(),
        batch_spans: 0,
        files: 0,
        trace_ids: HashSet::new(),
        spans: 0,
        written: HashSet::new(),
        spans_written: 0,
        deliveries: 0,
        skipped: Vec::new(),
    };
    let mut refused = false;
    for path in &args.paths {
        let before = import.skipped.len();
        let found = import.path(path)?;
        // A folder may hold other files; one that was named was meant.
        refused |= found == Found::File && import.skipped.len() > before;
    }
    import.store_batch()?;
    let Import {
        store,
        files,
        trace_ids,
        spans,
        written,
        spans_written,
        deliveries,
        skipped,
        progress,
        ..
    } = import;
    drop(progress);
    if let Some(store) = store {
        store.close()?;
    }
    let sums = Sums {
        files,
        traces: trace_ids.len() as u64,
        spans,
        traces_written: written.len() as u64,
        spans_written,
        deliveries,
    };
    report(session, &sums, &skipped)?;
    Ok(if refused {
        Outcome::Refused
    } else {
        Outcome::Done
    })
}

struct Sums {
    files: u64,
    traces: u64,
    spans: u64,
    traces_written: u64,
    spans_written: u64,
    deliveries: u64,
}

/// Something that was not imported.
struct Skipped {
    path: String,
    line: Option<u64>,
    reason: String,
}

struct Import<'a, 's> {
    session: &'a Session<'s>,
    /// Nothing where there is none yet: the first traces make it.
    store: Option<Store>,
    progress: Progress,
    batch: Vec<Trace>,
    batch_spans: usize,
    files: u64,
    trace_ids: HashSet<TraceId>,
    spans: u64,
    written: HashSet<TraceId>,
    spans_written: u64,
    deliveries: u64,
    skipped: Vec<Skipped>,
}

#[derive(PartialEq, Eq)]
enum Found {
    File,
    Folder,
}

impl Import<'_, '_> {
    fn path(&mut self, path: &Path) -> Result<Found, CliError> {
        if path == Path::new("-") {
            self.source(io::stdin().lock(), "-")?;
            return Ok(Found::File);
        }
        // A store or a bundle: its traces, as they are, and where they were sent.
        let other = match Store::open(path, OpenOptions::read_only()) {
            Ok(other) => Some(other),
            // One that cannot be read is no folder of trace files.
            Err(error @ OpenError::NewerFormat { .. }) => return Ok(self.skip_store(path, &error)),
            Err(error @ OpenError::Storage(_)) if File::open(path).is_ok() => {
                return Ok(self.skip_store(path, &error));
            }
            Err(_) => None,
        };
        if let Some(other) = other {
            let snapshot = other.snapshot()?;
            for trace in snapshot.traces(TimeRange::default()) {
                self.take(vec![trace?])?;
            }
            self.store_batch()?;
            if let Some(store) = &self.store {
                self.deliveries += spanlite_export::adopt_deliveries(&other, store)?;
            }
            self.files += 1;
            return Ok(Found::File);
        }
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => match fs::read_dir(path) {
                Ok(_) => {
                    self.folder(path)?;
                    return Ok(Found::Folder);
                }
                Err(error) => self.skip_file(path, &error),
            },
            Ok(_) => self.file(path)?,
            Err(error) => self.skip_file(path, &error),
        }
        Ok(Found::File)
    }

    /// Every file below a folder, in the order of their paths. Links are not followed.
    fn folder(&mut self, root: &Path) -> Result<(), CliError> {
        let mut folders = BTreeSet::from([root.to_owned()]);
        while let Some(folder) = folders.pop_first() {
            let entries = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
            let entries = match entries {
                Ok(entries) => entries,
                Err(error) => {
                    self.skip_file(&folder, &error);
                    continue;
                }
            };
            let mut files: Vec<PathBuf> = Vec::new();
            for entry in entries {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => drop(folders.insert(entry.path())),
                    Ok(kind) if kind.is_file() => files.push(entry.path()),
                    Ok(_) => {}
                    Err(error) => self.skip_file(&entry.path(), &error),
                }
            }
            files.sort();
            for file in files {
                self.file(&file)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<(), CliError> {
        match File::open(path) {
            Ok(file) => self.source(file, &path.display().to_string()),
            Err(error) => {
                self.skip_file(path, &error);
                Ok(())
            }
        }
    }

    fn source(&mut self, source: impl Read, name: &str) -> Result<(), CliError> {
        let mut any = false;
        for document in Reader::new(source, name) {
            match document {
                Ok(traces) => {
                    any = true;
                    self.take(traces)?;
                }
                Err(error) => self.skip(&error),
            }
            let (traces, spans) = (self.trace_ids.len() as u64, self.spans);
            self.progress.tell(|| {
                let traces = units::plural(traces, "trace");
                format!("{traces}, {}  {name}", units::plural(spans, "span"))
            });
        }
        self.files += u64::from(any);
        Ok(())
    }

    fn take(&mut self, traces: Vec<Trace>) -> Result<(), CliError> {
        for trace in &traces {
            self.trace_ids.insert(trace.trace_id);
            self.batch_spans += trace.spans.len();
            self.spans += trace.spans.len() as u64;
        }
        self.batch.extend(traces);
        if self.batch_spans >= BATCH_SPANS {
            self.store_batch()?;
        }
        Ok(())
    }

    fn store_batch(&mut self) -> Result<(), CliError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let store = match &self.store {
            Some(store) => store,
            None => self.store.insert(self.session.store_to_write(true)?),
        };
        let report = store.write(&self.batch)?;
        self.written.extend(report.written);
        self.spans_written += report.spans_written;
        self.batch.clear();
        self.batch_spans = 0;
        Ok(())
    }

    fn skip(&mut self, error: &ReadError) {
        self.skipped.push(Skipped {
            path: error.path.clone(),
            line: error.line,
            reason: with_causes(&error.reason),
        });
    }

    fn skip_store(&mut self, path: &Path, error: &OpenError) -> Found {
        self.skipped.push(Skipped {
            path: path.display().to_string(),
            line: None,
            reason: with_causes(error),
        });
        Found::File
    }

    fn skip_file(&mut self, path: &Path, error: &io::Error) {
        self.skipped.push(Skipped {
            path: path.display().to_string(),
            line: None,
            reason: with_causes(error),
        });
    }
}

fn report(session: &mut Session<'_>, sums: &Sums, skipped: &[Skipped]) -> Result<(), CliError> {
    if session.out.wants_json() {
        let skipped = skipped.iter().map(|one| {
            object([
                ("path", one.path.as_str().into()),
                ("line", one.line.into()),
                ("reason", one.reason.as_str().into()),
            ])
        });
        let item = object([
            ("traces", sums.traces.into()),
            ("spans", sums.spans.into()),
            ("new_traces", sums.traces_written.into()),
            ("new_spans", sums.spans_written.into()),
            ("files", sums.files.into()),
            ("deliveries", sums.deliveries.into()),
            ("skipped", Node::List(skipped.collect())),
        ]);
        session.out.object(&item)?;
        return Ok(());
    }
    let mut text = format!(
        "{}, {} from {}",
        units::plural(sums.traces, "trace"),
        units::plural(sums.spans, "span"),
        units::plural(sums.files, "file"),
    );
    let known = sums.spans.saturating_sub(sums.spans_written);
    if known > 0 {
        text.push_str("; ");
        text.push_str(&units::plural(known, "span"));
        text.push_str(" were there already");
    }
    if sums.deliveries > 0 {
        let count = units::count(sums.deliveries);
        text = format!("{text}; {count} known to be sent");
    }
    let mut line = Line::of(Role::Plain, &text);
    if !skipped.is_empty() {
        let count = skipped.len() as u64;
        line.text(Role::Warning, &format!("; {} skipped", units::count(count)));
    }
    session.out.sheet().line(&line)?;
    for one in skipped.iter().take(SHOWN_SKIPPED) {
        let mut line = Line::of(Role::Warning, "skipped ");
        line.text(Role::Plain, &one.path);
        if let Some(number) = one.line {
            line.text(Role::Plain, &format!(", line {number}"));
        }
        line.text(Role::Plain, &format!(": {}", one.reason));
        session.out.remark(line);
    }
    if skipped.len() > SHOWN_SKIPPED {
        let more = (skipped.len() - SHOWN_SKIPPED) as u64;
        let text = format!("and {} more; --json lists all", units::count(more));
        session.out.hint(&text);
    }
    Ok(())
}
