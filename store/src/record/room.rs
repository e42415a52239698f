//! What whoever writes a span has no room for.

use super::encoder::{EventEncoder, SpanEncoder};
use super::layout::{field, put_field, put_varint};

impl SpanEncoder {
    /// Notes that the caller cut something or left it out.
    pub fn mark_cut(&mut self) {
        self.cut = true;
    }

    /// Says how many attributes, events and links were left out; nothing if none were.
    pub fn set_left_out(&mut self, counts: [u32; 3]) {
        if counts != [0; 3] {
            put_field(&mut self.bytes, field::DROPPED, |out| {
                for count in counts {
                    put_varint(out, count.into());
                }
            });
        }
    }
}

impl EventEncoder<'_> {
    /// How many bytes the whole span takes so far.
    pub fn span_bytes(&self) -> usize {
        self.span.bytes.len()
    }
}
