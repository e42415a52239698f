use std::cmp::Reverse;
use std::collections::BTreeMap;

use spanlite_model::TraceId;

use super::TimeRange;
use crate::record::RecordRef;

/// When each trace began.
#[derive(Debug, Default)]
pub(super) struct Index {
    starts: BTreeMap<TraceId, Start>,
}

#[derive(Debug, Clone, Copy)]
struct Start {
    /// The first start of a span; where there is none, the first change.
    unix_nano: u64,
    has_spans: bool,
}

impl Index {
    /// Adds a part of a trace. The start of a part without spans counts only if no part has any.
    pub(super) fn add(&mut self, trace_id: TraceId, unix_nano: u64, has_spans: bool) {
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

    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    pub(super) fn newest_first(&self, range: TimeRange) -> Vec<TraceId> {
        let mut found: Vec<(Reverse<u64>, TraceId)> = self
            .starts
            .iter()
            .filter(|(_, start)| range.contains(start.unix_nano))
            .map(|(trace_id, start)| (Reverse(start.unix_nano), *trace_id))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, trace_id)| trace_id).collect()
    }

    /// The ids whose hex digits begin with `digits`, which are lower case.
    pub(super) fn with_prefix(&self, digits: &str) -> Vec<TraceId> {
        let first: TraceId = format!("{digits:0<32}").parse().unwrap_or_default();
        self.starts
            .range(first..)
            .map(|(trace_id, _)| *trace_id)
            .take_while(|trace_id| trace_id.to_hex().starts_with(digits))
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
    fn traces_come_newest_first_and_spans_decide_when_a_trace_began() {
        let mut index = Index::default();
        let [a, b] = [1, 2].map(|byte| TraceId::from_bytes([byte; 16]));
        index.add(a, 1, false);
        index.add(a, 50, true);
        index.add(a, 40, true);
        index.add(a, 2, false);
        index.add(b, 10, true);
        assert_eq!(index.newest_first(TimeRange::default()), [a, b]);
        let early = TimeRange {
            start_unix_nano: 10,
            end_unix_nano: 40,
        };
        assert_eq!(index.newest_first(early), [b]);
    }
}
