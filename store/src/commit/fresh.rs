use std::collections::HashMap;

use spanlite_model::TraceId;

use super::gathered::Gathered;
use crate::codec::ValueError;
use crate::record::{Origin, RecordRef};
use crate::segment::hot;

/// The records of a commit that is under way, by their traces.
pub(super) struct FreshRecords<'a> {
    origin: Origin,
    /// The traces, in the order of their first record.
    traces: Vec<FreshTrace<'a>>,
    refused: u64,
}

/// The records of one trace, in the order they came.
pub(super) struct FreshTrace<'a> {
    pub(super) trace_id: TraceId,
    records: Vec<&'a [u8]>,
}

impl<'a> FreshRecords<'a> {
    /// Sorts records that stand one behind another, each behind its length.
    pub(super) fn parse(records: &'a [u8], origin: &[u8]) -> Result<Self, ValueError> {
        let mut fresh = Self {
            origin: hot::origin_from_bytes(origin)?,
            traces: Vec::new(),
            refused: 0,
        };
        let mut places: HashMap<TraceId, usize> = HashMap::new();
        let mut last = (TraceId::default(), None);
        let max_record_bytes = hot::max_record_bytes();
        for record in hot::split(records) {
            match RecordRef::parse(record) {
                Ok(parsed) if record.len() <= max_record_bytes => {
                    let trace_id = parsed.trace_id();
                    // Most often the trace of the record before.
                    let place = last.1.filter(|_| last.0 == trace_id).unwrap_or_else(|| {
                        *places.entry(trace_id).or_insert_with(|| {
                            let records = Vec::with_capacity(16);
                            fresh.traces.push(FreshTrace { trace_id, records });
                            fresh.traces.len() - 1
                        })
                    });
                    last = (trace_id, Some(place));
                    fresh.traces[place].records.push(record);
                }
                _ => fresh.refused += 1,
            }
        }
        Ok(fresh)
    }

    /// How many records are none.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// The traces, in the order of their first record.
    pub(super) fn traces(&self) -> &[FreshTrace<'a>] {
        &self.traces
    }

    /// Adds the records of a trace. Returns how many are none.
    pub(super) fn add_to<'f>(
        &'f self,
        trace: &FreshTrace<'a>,
        gathered: &mut Gathered<'f>,
        writer: Option<uuid::Uuid>,
    ) -> u64 {
        let mut refused = 0;
        for record in &trace.records {
            let added = RecordRef::parse(record)
                .and_then(|record| gathered.add(record, &self.origin, writer));
            refused += u64::from(added.is_err());
        }
        refused
    }
}

impl FreshTrace<'_> {
    /// How many bytes its records have.
    pub(super) fn bytes(&self) -> usize {
        self.records.iter().map(|record| record.len()).sum()
    }

    /// Copies its records, each behind its length.
    pub(super) fn copy(&self, out: &mut Vec<u8>) {
        for record in &self.records {
            hot::put_counted(out, record);
        }
    }
}
