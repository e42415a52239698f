use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

/// Of longer traces only the whole is remembered, and a change sends all spans again.
const REMEMBERED_SPANS: usize = 4_096;

/// What was sent of a trace, as hashes: enough to know what has changed since, on this side and on
/// the other.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Receipt {
    /// Hash of all spans in the form they were sent in.
    pub(crate) spans: u64,
    /// Hashes of the single spans, sorted; empty for very long traces.
    #[serde(with = "packed")]
    pub(crate) each_span: Vec<u64>,
    /// Hash of what belongs to the whole trace.
    pub(crate) info: u64,
    /// Hash of each tag's value.
    pub(crate) tags: BTreeMap<String, u64>,
    /// Each assessment.
    pub(crate) assessments: BTreeMap<String, SentAssessment>,
}

/// An assessment that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SentAssessment {
    pub(crate) hash: u64,
    /// Its time of change in the words of the target, to see changes made there.
    pub(crate) last_update_time: String,
}

impl Receipt {
    pub(crate) fn set_spans(&mut self, mut each: Vec<u64>) {
        each.sort_unstable();
        let mut all = Xxh3Default::new();
        for hash in &each {
            all.update(&hash.to_le_bytes());
        }
        self.spans = all.digest();
        self.each_span = if each.len() <= REMEMBERED_SPANS {
            each
        } else {
            Vec::new()
        };
    }

    /// Returns whether a span was sent in this very form.
    pub(crate) fn has_span(&self, hash: u64) -> bool {
        self.each_span.binary_search(&hash).is_ok()
    }

    /// One number for all that was sent.
    pub(crate) fn content_hash(&self) -> u64 {
        let mut bytes = [0; 16];
        let (spans, info) = bytes.split_at_mut(8);
        spans.copy_from_slice(&self.spans.to_le_bytes());
        info.copy_from_slice(&self.info.to_le_bytes());
        xxh3_64(&bytes)
    }
}

/// Numbers as one text of 16 hex digits each.
mod packed {
    use std::fmt::Write as _;

    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(hashes: &[u64], out: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(hashes.len() * 16);
        for hash in hashes {
            write!(text, "{hash:016x}").map_err(serde::ser::Error::custom)?;
        }
        out.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u64>, D::Error> {
        let text = String::deserialize(from)?;
        let digits = text.as_bytes().chunks(16).map(str::from_utf8);
        digits
            .map(|digits| {
                let digits = digits.map_err(D::Error::custom)?;
                u64::from_str_radix(digits, 16).map_err(D::Error::custom)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_read_as_it_was_written_and_orders_its_spans() {
        let mut receipt = Receipt::default();
        receipt.set_spans(vec![u64::MAX, 1, 7]);
        receipt.tags.insert("k".to_owned(), 5);
        let text = serde_json::to_string(&receipt).unwrap();
        assert_eq!(serde_json::from_str::<Receipt>(&text).unwrap(), receipt);
        assert!(receipt.has_span(7) && !receipt.has_span(8));
        let mut other = Receipt::default();
        other.set_spans(vec![7, u64::MAX, 1]);
        assert_eq!(other.spans, receipt.spans);
        other.set_spans((0..5_000).collect());
        assert!(other.each_span.is_empty() && other.spans != receipt.spans);
    }
}
