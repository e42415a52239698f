use std::collections::{BTreeMap, BTreeSet};

use spanlite_model::TraceId;

use crate::record::RecordRef;

/// When each trace began that is not whole in one block.
#[derive(Debug, Default)]
pub(super) struct Index {
    starts: BTreeMap<TraceId, Start>,
    /// How many places in blocks belong to traces of the index, or to deleted ones.
    in_blocks: u64,
    /// Traces that were deleted, of which something may still be stored.
    deleted: BTreeSet<TraceId>,
}

#[derive(Debug, Clone, Copy)]
struct Start {
    /// The first start of a span; where there is none, the first change.
    unix_nano: u64,
    has_spans: bool,
}

impl Index {
    /// An index that leaves out the traces that were deleted.
    pub(super) fn without(deleted: BTreeSet<TraceId>) -> Self {
        Self {
            deleted,
            ..Self::default()
        }
    }

    /// Adds a part of a trace. The start of a part without spans counts only if no part has any.
    pub(super) fn add(&mut self, trace_id: TraceId, unix_nano: u64, has_spans: bool) {
        if self.deleted.contains(&trace_id) {
            return;
        }
        let new = Start {
            unix_nano,
            has_spans,
        };
        self.starts
            .entry(trace_id)
            .and_modify(|old| match (old.has_spans, has_spans) {
                (true, false) => {}
                (false, true) => *old = new,
                _ => old.unix_nano = old.unix_nano.min(unix_nano),
            })
            .or_insert(new);
    }

    pub(super) fn add_record(&mut self, bytes: &[u8]) {
        match RecordRef::parse(bytes) {
            Ok(RecordRef::Span(span)) => {
                self.add(span.trace_id(), span.start_time_unix_nano(), true);
            }
            Ok(RecordRef::Update(update)) => {
                self.add(update.trace_id(), update.time_unix_nano(), false);
            }
            Err(_) => {}
        }
    }

    /// Adds a trace of which so far only a later change is known.
    pub(super) fn add_note(&mut self, trace_id: TraceId) {
        if self.deleted.contains(&trace_id) {
            return;
        }
        self.starts.entry(trace_id).or_insert(Start {
            unix_nano: u64::MAX,
            has_spans: false,
        });
    }

    /// Adds what a block holds of a trace of the index.
    pub(super) fn add_from_block(&mut self, trace_id: TraceId, unix_nano: u64, has_spans: bool) {
        self.add(trace_id, unix_nano, has_spans);
        self.in_blocks += 1;
    }

    /// Forgets the traces of which nothing is stored but later changes.
    pub(super) fn drop_notes(&mut self) {
        self.starts.retain(|_, start| start.unix_nano != u64::MAX);
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// How many places in blocks belong to traces of the index, or to deleted ones.
    pub(super) fn in_blocks(&self) -> u64 {
        self.in_blocks
    }

    /// Whether what blocks hold of a trace is not the whole of it, or is not to be seen.
    pub(super) fn contains(&self, trace_id: TraceId) -> bool {
        self.starts.contains_key(&trace_id) || self.deleted.contains(&trace_id)
    }

    pub(super) fn deleted(&self) -> impl Iterator<Item = TraceId> + '_ {
        self.deleted.iter().copied()
    }

    pub(super) fn is_deleted(&self, trace_id: TraceId) -> bool {
        self.deleted.contains(&trace_id)
    }

    /// The traces to be looked for in blocks, in order.
    pub(super) fn ids(&self) -> Vec<TraceId> {
        let mut ids: Vec<_> = self.starts.keys().chain(&self.deleted).copied().collect();
        ids.sort_unstable();
        ids
    }

    /// The traces with when they began.
    pub(super) fn starts(&self) -> impl Iterator<Item = (TraceId, u64)> + '_ {
        let starts = self.starts.iter();
        starts.map(|(trace_id, start)| (*trace_id, start.unix_nano))
    }

    /// The ids whose hex digits begin with `digits`, which are lower case.
    pub(super) fn with_prefix(&self, digits: &str) -> Vec<TraceId> {
        let first: TraceId = format!("{digits:0<32}").parse().unwrap_or_default();
        self.starts
            .range(first..)
            .map(|(trace_id, _)| *trace_id)
            .take_while(|trace_id| trace_id.begins_with(digits))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_may_be_of_any_length() {
        let mut index = Index::default();
        let ids = [0x12, 0x1f, 0x20].map(|byte| TraceId::from_bytes([byte; 16]));
        for (start, id) in ids.into_iter().enumerate() {
            index.add(id, start as u64, true);
        }
        assert_eq!(index.with_prefix(""), ids);
        assert_eq!(index.with_prefix("1"), ids[..2]);
        assert_eq!(index.with_prefix("1f1"), ids[1..2]);
        assert_eq!(index.with_prefix(&ids[2].to_hex()), ids[2..]);
        assert_eq!(index.with_prefix("3"), []);
    }

    #[test]
    fn spans_decide_when_a_trace_began_and_notes_alone_are_no_trace() {
        let mut index = Index::default();
        let [a, b, c] = [1, 2, 3].map(|byte| TraceId::from_bytes([byte; 16]));
        index.add(a, 1, false);
        index.add(a, 50, true);
        index.add(a, 40, true);
        index.add(a, 2, false);
        index.add_note(a);
        index.add_note(b);
        index.add_note(c);
        index.add_from_block(c, 7, true);
        index.add_from_block(a, 0, false);
        index.drop_notes();
        assert_eq!(index.starts().collect::<Vec<_>>(), [(a, 40), (c, 7)]);
        assert_eq!((index.len(), index.in_blocks()), (2, 2));
        assert!(!index.contains(b));
    }
}
