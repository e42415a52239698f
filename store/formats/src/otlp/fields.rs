/// The messages, texts and byte strings of a protobuf message, in order, with the numbers of
/// their fields. Other fields are passed over, and so is what stands in groups. Ends at the first
/// byte that is no protobuf, without a word: who has to know decodes the message.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

/// The numbers that the low bits of a tag have for the ways to write a field.
mod wire_type {
    pub(super) const VARINT: u64 = 0;
    pub(super) const FIXED_64: u64 = 1;
    pub(super) const BYTES: u64 = 2;
    pub(super) const GROUP: u64 = 3;
    pub(super) const END_OF_GROUP: u64 = 4;
    pub(super) const FIXED_32: u64 = 5;
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The messages of one repeated field.
    pub(super) fn numbered(self, number: u64) -> impl Iterator<Item = &'a [u8]> {
        self.filter_map(move |(found, bytes)| (found == number).then_some(bytes))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn pass(&mut self, count: u64) -> Option<&'a [u8]> {
        let (passed, rest) = self.rest.split_at_checked(usize::try_from(count).ok()?)?;
        self.rest = rest;
        Some(passed)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut groups = 0_u64;
        loop {
            let tag = self.varint()?;
            match tag & 7 {
                wire_type::VARINT => {
                    self.varint()?;
                }
                wire_type::FIXED_64 => {
                    self.pass(8)?;
                }
                wire_type::BYTES => {
                    let length = self.varint()?;
                    let bytes = self.pass(length)?;
                    if groups == 0 {
                        return Some((tag >> 3, bytes));
                    }
                }
                wire_type::GROUP => groups += 1,
                wire_type::END_OF_GROUP => groups = groups.checked_sub(1)?,
                wire_type::FIXED_32 => {
                    self.pass(4)?;
                }
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(bytes: &[u8]) -> Vec<(u64, &[u8])> {
        Fields::of(bytes).collect()
    }

    #[test]
    fn fields_are_found_between_others() {
        let bytes = [
            &b"\x08\x96\x01"[..],         // 1: 150
            b"\x12\x02ab",                // 2: "ab"
            b"\x19\0\0\0\0\0\0\0\0",      // 3: eight bytes
            b"\x23\x2a\x01x\x2b\x2c\x24", // 4: a group with 5: "x" and an empty group
            b"\x35\0\0\0\0",              // 6: four bytes
            b"\x3a\x00",                  // 7: ""
        ];
        assert_eq!(fields(&bytes.concat()), [(2, &b"ab"[..]), (7, b"")]);
    }

    #[test]
    fn what_is_no_protobuf_ends_it() {
        for bad in [
            &b"\x12\x03ab"[..],
            b"\x24",
            b"\x17",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
            b"\x08",
        ] {
            assert_eq!(fields(bad), [], "{bad:x?}");
        }
    }
}
