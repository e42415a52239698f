//! What had to be changed so that a trace can be carried, counted by reason.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// The end of a text that was cut.
const CUT_MARK: char = '…';

/// How often something had to be changed before it could be sent, by reason.
///
/// Nothing is changed without being counted here. All zero means that the target holds what the
/// store holds, as far as the target has a place for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Adjustments {
    /// Texts cut to a length limit of the target; they end in `…`.
    pub cut_texts: u64,
    /// Integers outside the target's range, sent as text.
    pub integers_as_text: u64,
    /// Values nested deeper than the target can read back, sent as their JSON text.
    pub subtrees_as_text: u64,
    /// Bytes sent as base64 text.
    pub bytes_as_text: u64,
    /// Later attributes of a span whose key had come before; the first is sent.
    pub duplicate_keys: u64,
    /// Times beyond the year 2262, sent as the last time the target can hold.
    pub clamped_times: u64,
    /// Spans without an end that were given one, because their writer was gone.
    pub closed_spans: u64,
    /// Tags that belong to the server the trace came from.
    pub dropped_tags: u64,
    /// Values replaced by redaction rules.
    pub redacted: u64,
}

impl Adjustments {
    /// Returns whether nothing was changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Adjustments {
    fn add_assign(&mut self, other: Self) {
        self.cut_texts += other.cut_texts;
        self.integers_as_text += other.integers_as_text;
        self.subtrees_as_text += other.subtrees_as_text;
        self.bytes_as_text += other.bytes_as_text;
        self.duplicate_keys += other.duplicate_keys;
        self.clamped_times += other.clamped_times;
        self.closed_spans += other.closed_spans;
        self.dropped_tags += other.dropped_tags;
        self.redacted += other.redacted;
    }
}

/// Cuts a text to `limit` characters, the last of which is then `…`.
pub(crate) fn cut(mut text: String, limit: usize, adjusted: &mut Adjustments) -> String {
    if text.len() <= limit {
        return text;
    }
    let mut places = text.char_indices().map(|(place, _)| place).skip(limit - 1);
    let (last_kept, beyond) = (places.next(), places.next());
    if let (Some(last_kept), Some(_)) = (last_kept, beyond) {
        text.truncate(last_kept);
        text.push(CUT_MARK);
        adjusted.cut_texts += 1;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_counts_characters_and_leaves_a_mark() {
        let mut adjusted = Adjustments::default();
        assert_eq!(cut("ééé".to_owned(), 3, &mut adjusted), "ééé");
        assert!(adjusted.is_empty());
        assert_eq!(cut("éééé".to_owned(), 3, &mut adjusted), "éé…");
        assert_eq!(cut("abcd".to_owned(), 1, &mut adjusted), "…");
        assert_eq!(adjusted.cut_texts, 2);
    }
}
