use std::collections::HashMap;

use spanlite_model::TraceId;

use crate::codec::ValueError;
use crate::record::{Origin, Record, RecordError, RecordRef, decode_record};
use crate::segment::hot;

/// The records of a commit that is under way, by their traces.
pub(super) struct FreshRecords<'a> {
    origin: Origin,
    /// The traces, in the order of their first record.
    order: Vec<TraceId>,
    records: HashMap<TraceId, Vec<&'a [u8]>>,
    refused: u64,
}

impl<'a> FreshRecords<'a> {
    /// Sorts records that stand one behind another, each behind its length.
    pub(super) fn parse(records: &'a [u8], origin: &[u8]) -> Result<Self, ValueError> {
        let mut fresh = Self {
            origin: hot::origin_from_bytes(origin)?,
            order: Vec::new(),
            records: HashMap::new(),
            refused: 0,
        };
        for record in hot::split(records) {
            match RecordRef::parse(record) {
                Ok(parsed) if record.len() <= hot::MAX_RECORD_BYTES => {
                    let trace_id = parsed.trace_id();
                    let known = fresh.records.entry(trace_id).or_insert_with(|| {
                        fresh.order.push(trace_id);
                        Vec::new()
                    });
                    known.push(record);
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
    pub(super) fn traces(&self) -> impl Iterator<Item = TraceId> + '_ {
        self.order.iter().copied()
    }

    fn raw(&self, trace_id: TraceId) -> &[&'a [u8]] {
        self.records.get(&trace_id).map_or(&[], Vec::as_slice)
    }

    /// The records of one trace, in the order they came. Those of a later version are left out.
    pub(super) fn records(
        &self,
        trace_id: TraceId,
    ) -> impl Iterator<Item = Result<Record, RecordError>> + '_ {
        let records = self.raw(trace_id).iter();
        records.filter_map(|bytes| decode_record(bytes, &self.origin).transpose())
    }

    /// How many bytes the records of one trace have.
    pub(super) fn bytes(&self, trace_id: TraceId) -> usize {
        self.raw(trace_id).iter().map(|record| record.len()).sum()
    }

    /// Copies the records of one trace, each behind its length.
    pub(super) fn copy(&self, trace_id: TraceId, out: &mut Vec<u8>) {
        for record in self.raw(trace_id) {
            hot::put_counted(out, record);
        }
    }
}
