use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use spanlite_benches::workload::Workload;
use spanlite_model::{TraceChange, TraceId, TraceUpdate};
use spanlite_store::block::{AttributeKind, ColumnValues, Matches, Term, TermField};
use spanlite_store::record::{Origin, Record, encode_record};
use spanlite_store::{Appended, Lane, OpenOptions, Snapshot, Store};

use super::{Contender, Failure, TRACES_PER_COMMIT};

pub(crate) struct Spanlite {
    folder: PathBuf,
    open: Option<(Store, Snapshot)>,
}

impl Spanlite {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.join("traces.spans"),
            open: None,
        }
    }

    fn snapshot(&self) -> Result<&Snapshot, Failure> {
        let (_, snapshot) = self.open.as_ref().ok_or("the store is not open")?;
        Ok(snapshot)
    }
}

fn append_one(lane: &Lane, record: &Record, buffer: &mut Vec<u8>) -> Result<(), Failure> {
    buffer.clear();
    encode_record(record, &Origin::default(), buffer);
    match lane.append(buffer) {
        Appended::Stored => Ok(()),
        refused => Err(format!("a record was not stored: {refused:?}").into()),
    }
}

/// Appends traces by their numbers, and makes them durable.
pub(crate) fn append(
    store: &Store,
    workload: &Workload,
    numbers: Range<u64>,
) -> Result<(), Failure> {
    let lane = store.lane()?;
    let mut buffer = Vec::new();
    for number in numbers {
        let trace = workload.trace(number);
        let time_unix_nano = trace.start_time_unix_nano().unwrap_or(0);
        for (key, value) in trace.info.tags {
            let update = TraceUpdate {
                trace_id: trace.trace_id,
                time_unix_nano,
                change: TraceChange::Tag { key, value },
            };
            append_one(&lane, &Record::Update(update), &mut buffer)?;
        }
        for span in trace.spans.into_iter().rev() {
            append_one(&lane, &Record::Span(Box::new(span)), &mut buffer)?;
        }
    }
    Ok(store.flush()?)
}

/// Appends all traces, durably, ten at a time.
pub(crate) fn append_all(store: &Store, workload: &Workload, n_traces: u64) -> Result<(), Failure> {
    for first in (0..n_traces).step_by(TRACES_PER_COMMIT as usize) {
        let end = (first + TRACES_PER_COMMIT).min(n_traces);
        append(store, workload, first..end)?;
    }
    Ok(())
}

impl Contender for Spanlite {
    fn name(&self) -> &'static str {
        "spanlite"
    }

    fn write(&mut self, workload: &Workload, n_traces: u64) -> Result<(), Failure> {
        let options = OpenOptions {
            commit_interval: Duration::from_secs(3600),
            resource: workload.trace(0).spans[0].resource.as_ref().clone(),
            ..OpenOptions::default()
        };
        let store = Store::open(&self.folder, options)?;
        append_all(&store, workload, n_traces)?;
        store.seal()?;
        store.close()?;
        Ok(())
    }

    fn open(&mut self) -> Result<(), Failure> {
        let store = Store::open(&self.folder, OpenOptions::read_only())?;
        let snapshot = store.snapshot()?;
        self.open = Some((store, snapshot));
        Ok(())
    }

    fn trace(&self, trace_id: TraceId) -> Result<usize, Failure> {
        Ok(self
            .snapshot()?
            .trace(trace_id)?
            .map_or(0, |trace| trace.spans.len()))
    }

    fn incident(&self) -> Result<usize, Failure> {
        let field = TermField::Tag("incident");
        let term = Term::new(field, "INC-77");
        let mut spans = 0;
        for block in self.snapshot()?.blocks()? {
            if !block.header().may_have(term) {
                continue;
            }
            let Matches::Traces(places) = block.reader()?.find_value(field, "INC-77")? else {
                continue;
            };
            for place in places {
                spans += block
                    .trace(place as usize)?
                    .map_or(0, |trace| trace.spans.len());
            }
        }
        Ok(spans)
    }

    fn failed(&self) -> Result<usize, Failure> {
        let mut found: Vec<(u64, TraceId)> = Vec::new();
        let mut blocks = self.snapshot()?.blocks()?;
        blocks
            .sort_by_key(|block| std::cmp::Reverse(block.header().summary().last_start_unix_nano));
        for block in blocks {
            let summary = block.header().summary();
            if summary.n_error_traces == 0 {
                continue;
            }
            // Nothing in this block or after it is among the latest.
            if found.len() >= 100 && found[99].0 > summary.last_start_unix_nano {
                break;
            }
            let reader = block.reader()?;
            let starts = reader.span_starts()?;
            let traces = block.traces()?;
            let mut place = 0;
            let mut last = None;
            let status = reader.status_codes()?;
            status.for_each(0, status.len(), |span, code| {
                if code != 2 {
                    return;
                }
                while starts
                    .get(place + 1)
                    .is_some_and(|end| *end as usize <= span)
                {
                    place += 1;
                }
                if last != Some(place) {
                    last = Some(place);
                    found.extend(traces.get(place).map(|(id, start)| (*start, *id)));
                }
            });
            found.sort_unstable_by(|a, b| b.cmp(a));
            found.truncate(100);
        }
        Ok(found.len())
    }

    fn scan(&self) -> Result<usize, Failure> {
        let mut found = 0;
        for block in self.snapshot()?.blocks()? {
            let reader = block.reader()?;
            let attribute = reader.attribute(AttributeKind::Span, "region")?;
            let codes = attribute.parts().iter().map(|part| match &part.values {
                ColumnValues::Strings(texts) => texts.code_of(b"eu").map(|code| (texts, code)),
                _ => None,
            });
            let codes: Vec<_> = codes.collect();
            attribute.for_each(|_, part, index| {
                if let Some((texts, code)) = &codes[part] {
                    found += usize::from(texts.code(index) == *code);
                }
            });
        }
        Ok(found)
    }
}
