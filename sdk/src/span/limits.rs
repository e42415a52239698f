//! How much is kept of what is said of one span.

use crate::live::Live;

/// Up to here nothing that is kept is counted. A buffer that grew beyond is not used for another
/// span, so that the counts of a span have to be cleared only where something was left out.
pub(crate) const UNCOUNTED_BYTES: usize = 64 << 10;

/// How many attributes, events and links a span may have each, counted from
/// [`UNCOUNTED_BYTES`] on.
pub(crate) const MOST_OF_A_KIND: u32 = 10_000;

/// How many captured values of the largest size a span has room for.
const VALUES: usize = 16;

/// The least and the most bytes of attributes, events and links. Inputs, outputs and status have
/// as much again; all of it together stays below what the store takes as one record, 512 MiB.
const BYTES: (usize, usize) = (16 << 20, 128 << 20);

/// The most that one captured value may take, whatever was set.
pub(crate) const VALUE_BYTES: usize = 64 << 20;

/// What is said of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Attribute,
    Event,
    Link,
    /// Name, inputs, outputs, status.
    Whole,
}

/// Attributes, events and links, in this order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) kept: [u32; 3],
    pub(crate) left_out: [u32; 3],
}

impl Counts {
    /// Returns whether one kind would be too many with `more`.
    pub(crate) fn is_full_with(&self, more: &Self) -> bool {
        let mut kinds = self.kept.iter().zip(more.kept);
        kinds.any(|(kept, more)| more > 0 && kept.saturating_add(more) > MOST_OF_A_KIND)
    }

    pub(crate) fn add(&mut self, more: &Self) {
        add(&mut self.kept, more.kept);
        add(&mut self.left_out, more.left_out);
    }

    /// Counts what was kept elsewhere and is left out here.
    pub(crate) fn leave_out(&mut self, more: &Self) {
        add(&mut self.left_out, more.kept);
        add(&mut self.left_out, more.left_out);
    }
}

fn add(counts: &mut [u32; 3], more: [u32; 3]) {
    for (count, more) in counts.iter_mut().zip(more) {
        *count = count.saturating_add(more);
    }
}

impl Live {
    /// Returns whether there is room for one more part of the span, and counts it.
    #[inline]
    pub(crate) fn has_room(&mut self, part: Part) -> bool {
        self.encoder.as_bytes().len() <= self.uncounted_bytes || self.has_room_beyond(part)
    }

    #[cold]
    fn has_room_beyond(&mut self, part: Part) -> bool {
        let most = self.most_bytes();
        let bytes = self.encoder.as_bytes().len();
        if part == Part::Whole {
            if bytes >= 2 * most {
                self.encoder.mark_cut();
            }
            return bytes < 2 * most;
        }
        let kind = part as usize;
        let has_room = bytes < most && self.counts.kept[kind] < MOST_OF_A_KIND;
        let counts = &mut self.counts;
        let counts = if has_room {
            &mut counts.kept
        } else {
            self.encoder.mark_cut();
            &mut counts.left_out
        };
        counts[kind] = counts[kind].saturating_add(1);
        has_room
    }

    /// Returns whether there is room for what was said elsewhere.
    #[cold]
    pub(crate) fn has_room_for(&self, bytes: usize, counts: &Counts, is_whole: bool) -> bool {
        let most = self.most_bytes() * if is_whole { 2 } else { 1 };
        let now = self.encoder.as_bytes().len();
        now <= UNCOUNTED_BYTES || now + bytes <= most && !self.counts.is_full_with(counts)
    }

    /// Counts what was said elsewhere and is kept, as far as that is counted.
    pub(crate) fn count(&mut self, counts: &Counts) {
        if self.encoder.as_bytes().len() > UNCOUNTED_BYTES {
            add(&mut self.counts.kept, counts.kept);
        }
        add(&mut self.counts.left_out, counts.left_out);
    }

    /// How many bytes attributes, events and links may take.
    pub(super) fn most_bytes(&self) -> usize {
        let (least, most) = BYTES;
        let values = self.encoder.value_limit_bytes().saturating_mul(VALUES);
        values.clamp(least, most)
    }

    /// The part of a text that may be kept as it is.
    pub(crate) fn cut_text<'t>(&mut self, text: &'t str) -> &'t str {
        let mut end = self.encoder.value_limit_bytes();
        if text.len() <= end {
            return text;
        }
        self.encoder.mark_cut();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.get(..end).unwrap_or_default()
    }
}
