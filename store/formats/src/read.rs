use std::collections::HashMap;
use std::io::Read;

use spanlite_model::{Trace, TraceId};

use crate::detect::{Format, detect_json};
use crate::error::{ReadError, ReadFailure};
use crate::otlp::Footprint;
use crate::source::{Document, Documents, Fault};
use crate::{lines, mlflow, otlp};

/// What one document may take in memory, however small it is.
const MAX_MEMORY_BYTES: usize = 8 << 30;
/// No byte of a document takes two thousand bytes of memory: smaller ones are not looked over.
const HARMLESS_BYTES: usize = MAX_MEMORY_BYTES >> 11;

/// What a file held.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Parsed {
    /// The traces, in the order they came, each with its spans from all documents.
    pub traces: Vec<Trace>,
    /// The documents that could not be read. Nothing was taken from them.
    pub skipped: Vec<ReadError>,
}

/// Reads all of a file, in whichever format it is. `path` is its name in errors.
///
/// Fails when nothing could be read at all. A bad document among good ones is skipped and
/// reported in [`Parsed::skipped`]; in a file with a document a line the next line is read then,
/// in one with documents over several lines the rest is given up.
pub fn read(source: impl Read, path: &str) -> Result<Parsed, ReadError> {
    let mut parsed = Parsed::default();
    let mut places: HashMap<TraceId, usize> = HashMap::new();
    let mut read_any = false;
    for document in Reader::new(source, path) {
        match document {
            Ok(traces) => {
                read_any = true;
                for trace in traces {
                    let known = places.get(&trace.trace_id);
                    if let Some(known) = known.and_then(|&place| parsed.traces.get_mut(place)) {
                        add(known, trace);
                    } else {
                        places.insert(trace.trace_id, parsed.traces.len());
                        parsed.traces.push(trace);
                    }
                }
            }
            Err(error) => parsed.skipped.push(error),
        }
    }
    if !read_any && parsed.skipped.len() == 1 {
        // The length was checked; the error is the only one.
        if let Some(error) = parsed.skipped.pop() {
            return Err(error);
        }
    }
    Ok(parsed)
}

/// Adds another part of a trace.
fn add(trace: &mut Trace, part: Trace) {
    trace.spans.extend(part.spans);
    for change in part.info.to_changes() {
        trace.info.apply(change);
    }
}

/// Reads a file document by document: each item is the traces of one document, or why that
/// document cannot be read. A trace whose spans stand in several documents comes several times,
/// a part each.
///
/// One document is held in memory at a time, so that a file of many lines is read in bounded
/// memory whatever its size. A document may have at most 1 GiB.
pub struct Reader<R> {
    documents: Documents<R>,
    path: String,
}

impl<R: Read> Reader<R> {
    /// Reads from `source`; `path` is its name in errors.
    pub fn new(source: R, path: impl Into<String>) -> Self {
        Self {
            documents: Documents::new(source),
            path: path.into(),
        }
    }
}

impl<R> std::fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Vec<Trace>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let error = |fault: Fault| ReadError {
            path: self.path.clone(),
            line: fault.line,
            offset: fault.offset,
            reason: Box::new(fault.reason),
        };
        Some(match self.documents.next()? {
            Ok(document) => read_document(&document).map_err(|reason| {
                let line = document.json.then(|| line_of(&document, &reason));
                error(Fault {
                    line,
                    offset: document.offset,
                    reason,
                })
            }),
            Err(fault) => Err(error(fault)),
        })
    }
}

/// The line of the fault where the parser knows it, else the first of the document.
fn line_of(document: &Document, reason: &ReadFailure) -> u64 {
    let inside = match reason {
        ReadFailure::Json(failure) => failure.line() as u64,
        _ => 0,
    };
    document.line + inside.saturating_sub(1)
}

/// Refuses a document that would take many times the memory of the largest that is read.
fn check_memory(
    document: &Document,
    footprint: impl FnOnce(&[u8]) -> Footprint,
) -> Result<(), ReadFailure> {
    if document.bytes.len() < HARMLESS_BYTES {
        return Ok(());
    }
    let needed_bytes = footprint(&document.bytes).held_bytes;
    if needed_bytes > MAX_MEMORY_BYTES {
        return Err(ReadFailure::Memory {
            needed_bytes,
            limit_bytes: MAX_MEMORY_BYTES,
        });
    }
    Ok(())
}

fn read_document(document: &Document) -> Result<Vec<Trace>, ReadFailure> {
    if !document.json {
        check_memory(document, Footprint::of_otlp_protobuf)?;
        return otlp::read_otlp_protobuf(&document.bytes);
    }
    let format = detect_json(&document.bytes)?;
    check_memory(
        document,
        match format {
            Format::OtlpJson | Format::OtlpSpan => Footprint::of_otlp_json,
            _ => Footprint::of_json,
        },
    )?;
    let text = std::str::from_utf8(&document.bytes)?;
    match format {
        Format::OtlpJson => otlp::read_json(text),
        Format::OtlpSpan => otlp::bare_spans(text),
        Format::MlflowJson => mlflow::read_mlflow_json(text),
        Format::JsonLines => lines::read_line(text),
        Format::OtlpProtobuf => otlp::read_otlp_protobuf(&document.bytes),
        foreign => crate::foreign::read_json(foreign, text),
    }
}
