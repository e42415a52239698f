/// Longer words count as their first bytes: data in base16 or base64 is not searched by word.
const MAX_WORD_BYTES: usize = 64;

/// Calls `each` with every word of a text: a run of letters and digits by Unicode, in lower case,
/// cut after 64 bytes at a character.
pub fn for_each_word(text: &str, each: impl FnMut(&str)) {
    split(text, false, &mut AsText(each));
}

/// The same for a JSON text, whose escapes are read: `"a\nb"` has two words, and `"\u00e9t\u00e9"`
/// has one. Keys of objects are words too.
pub fn for_each_word_of_json(json: &str, each: impl FnMut(&str)) {
    split(json, true, &mut AsText(each));
}

/// Takes the words of a text.
pub(super) trait EachWord {
    /// A word of ASCII letters and digits in a text, in the case it was written: of these bytes,
    /// bit 5 set makes the lower case.
    fn ascii(&mut self, text: &[u8], start: usize, length: usize);
    /// A word in lower case.
    fn lower(&mut self, word: &[u8]);
}

struct AsText<F>(F);

impl<F: FnMut(&str)> EachWord for AsText<F> {
    fn ascii(&mut self, text: &[u8], start: usize, length: usize) {
        let word = text.get(start..start + length).unwrap_or_default();
        (self.0)(&String::from_utf8_lossy(&word.to_ascii_lowercase()));
    }

    fn lower(&mut self, word: &[u8]) {
        (self.0)(&String::from_utf8_lossy(word));
    }
}

/// What a byte is to a splitter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Separator,
    Word,
    Escape,
    /// Part of a character beyond ASCII.
    Wide,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Separator; 256];
    let mut byte = 0;
    while byte < 256 {
        let char = byte as u8;
        if char.is_ascii_alphanumeric() {
            classes[byte] = Class::Word;
        } else if char >= 0x80 {
            classes[byte] = Class::Wide;
        } else if char == b'\\' {
            classes[byte] = Class::Escape;
        }
        byte += 1;
    }
    classes
};

/// The word at hand.
struct Word {
    bytes: [u8; MAX_WORD_BYTES],
    length: usize,
    is_ascii: bool,
}

impl Word {
    #[inline]
    fn push_byte(&mut self, lower: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = lower;
            self.length += 1;
        }
    }

    fn push(&mut self, char: char) {
        if let Some(place) = self
            .bytes
            .get_mut(self.length..self.length + char.len_utf8())
        {
            char.encode_utf8(place);
            self.length += char.len_utf8();
            self.is_ascii &= char.is_ascii();
        }
    }

    #[inline]
    fn end(&mut self, each: &mut impl EachWord) {
        if self.length == 0 {
            return;
        }
        let word = &self.bytes[..self.length];
        if self.is_ascii {
            each.lower(word);
        } else {
            each.lower(String::from_utf8_lossy(word).to_lowercase().as_bytes());
        }
        self.length = 0;
        self.is_ascii = true;
    }
}

/// Calls `each` with every word. Words among ASCII are found 64 bytes at a time.
pub(super) fn split(text: &str, is_json: bool, each: &mut impl EachWord) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let Window { mut words, length } = Window::at(bytes, at, is_json);
        let mut next = length;
        while words != 0 {
            let start = words.trailing_zeros();
            let end = start + (!(words >> start)).trailing_zeros();
            if end >= length {
                // What comes then may belong to it.
                next = start;
                break;
            }
            each.ascii(bytes, at + start as usize, (end - start) as usize);
            words &= u64::MAX << end;
        }
        at += next as usize;
        if length < Window::BYTES || next == 0 {
            at = split_some(text, at, is_json, each);
        }
    }
}

/// What is known of up to 64 bytes: bit n is byte n.
struct Window {
    /// Letters and digits of ASCII.
    words: u64,
    /// How many bytes come before the first that is an escape or part of a character beyond ASCII.
    /// Separators stand behind the end of the text.
    length: u32,
}

impl Window {
    const BYTES: u32 = 64;

    #[inline]
    fn at(bytes: &[u8], at: usize, is_json: bool) -> Self {
        let rest = bytes.get(at..).unwrap_or_default();
        let padded;
        let window = if let Some(window) = rest.first_chunk::<64>() {
            window
        } else {
            let mut copied = [0; 64];
            copied[..rest.len()].copy_from_slice(rest);
            padded = copied;
            &padded
        };
        let (mut words, mut others) = (0, 0);
        for (number, eight) in window.as_chunks::<8>().0.iter().enumerate() {
            let (word, other) = classes(u64::from_le_bytes(*eight), is_json);
            words |= one_bit_a_byte(word) << (8 * number);
            others |= one_bit_a_byte(other) << (8 * number);
        }
        let length = others.trailing_zeros();
        Self {
            words: words & !u64::MAX.checked_shl(length).unwrap_or(0),
            length,
        }
    }
}

/// The highest bit of each byte of eight: whether it is a letter or digit of ASCII, and whether it
/// is an escape or beyond ASCII.
#[inline]
fn classes(eight: u64, is_json: bool) -> (u64, u64) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let low = eight & !HIGH;
    // The highest bit of a sum is set from this byte on.
    let from = |bytes: u64, byte: u8| bytes + u64::from(0x80 - byte) * ONES;
    let lower = low | (u64::from(b' ') * ONES);
    let letters = from(lower, b'a') & !from(lower, b'z' + 1);
    let digits = from(low, b'0') & !from(low, b'9' + 1);
    let escapes = if is_json {
        from(low, b'\\') & !from(low, b'\\' + 1)
    } else {
        0
    };
    ((letters | digits) & !eight & HIGH, (escapes | eight) & HIGH)
}

/// The highest bits of eight bytes side by side.
#[inline]
fn one_bit_a_byte(highest: u64) -> u64 {
    (highest >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// Calls `each` with the words from `start` on, which is no place inside of a word, up to the end
/// of the first. Returns where it stopped.
fn split_some(text: &str, start: usize, is_json: bool, each: &mut impl EachWord) -> usize {
    let mut word = Word {
        bytes: [0; MAX_WORD_BYTES],
        length: 0,
        is_ascii: true,
    };
    let bytes = text.as_bytes();
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        match CLASSES[usize::from(byte)] {
            Class::Word => {
                let run = bytes.get(at..).unwrap_or_default();
                let is_word = |byte: &u8| matches!(CLASSES[usize::from(*byte)], Class::Word);
                let length = run.iter().position(|byte| !is_word(byte));
                let length = length.unwrap_or(run.len());
                for byte in &run[..length] {
                    word.push_byte(byte.to_ascii_lowercase());
                }
                at += length;
            }
            Class::Escape if is_json => {
                let (char, length) = escape(bytes.get(at..).unwrap_or_default());
                match char.filter(|char| char.is_alphanumeric()) {
                    Some(char) if char.is_ascii() => word.push(char.to_ascii_lowercase()),
                    Some(char) => word.push(char),
                    None => word.end(each),
                }
                at += length;
            }
            Class::Separator | Class::Escape => {
                word.end(each);
                at += 1;
            }
            Class::Wide => {
                let Some(char) = text.get(at..).and_then(|rest| rest.chars().next()) else {
                    return bytes.len();
                };
                if char.is_alphanumeric() {
                    word.push(char);
                } else {
                    word.end(each);
                }
                at += char.len_utf8();
            }
        }
        if word.length == 0 {
            return at;
        }
    }
    word.end(each);
    at
}

/// The character of the escape that `bytes` begin with, unless it separates words anyway, and
/// the length of the escape.
fn escape(bytes: &[u8]) -> (Option<char>, usize) {
    let unit = |at: usize| {
        let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let Some(first) = unit(0) else {
        return (None, 2);
    };
    let units = std::iter::once(first).chain(unit(6));
    match char::decode_utf16(units).next() {
        Some(Ok(char)) => (Some(char), 6 * char.len_utf16()),
        _ => (None, 6),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_are_those_that_a_look_at_each_character_gives(
            text in r"([a-zA-Z0-9]{1,70}|[ ._\\@`{:/\[-]{1,3}|[é東ßΣ\u{1F600}\u{0661}]{1,30}){0,30}"
        ) {
            let naive = text.split(|char: char| !char.is_alphanumeric()).filter_map(|run| {
                let mut cut = String::new();
                for char in run.chars() {
                    if cut.len() + char.len_utf8() <= MAX_WORD_BYTES {
                        cut.push(char);
                    }
                }
                (!cut.is_empty()).then(|| cut.to_lowercase())
            });
            prop_assert_eq!(words(&text), naive.collect::<Vec<_>>());
            let escaped = text.replace(['\\', '"'], " ");
            prop_assert_eq!(words_of_json(&escaped), words(&escaped));
            let quoted = escaped.replace(' ', "\\n").replace('.', "\\u00e9");
            prop_assert_eq!(
                words_of_json(&quoted),
                words(&quoted.replace("\\n", " ").replace("\\u00e9", "é"))
            );
        }
    }

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        for_each_word(text, |word| words.push(word.to_owned()));
        words
    }

    fn words_of_json(json: &str) -> Vec<String> {
        let mut words = Vec::new();
        for_each_word_of_json(json, |word| words.push(word.to_owned()));
        words
    }

    #[test]
    fn words_are_runs_of_letters_and_digits() {
        assert_eq!(
            words("The Refund-Policy, v2!"),
            ["the", "refund", "policy", "v2"]
        );
        assert_eq!(words("ÉTÉ Straße 東京"), ["été", "straße", "東京"]);
        assert_eq!(words("ΟΔΟΣ"), ["ΟΔΟΣ".to_lowercase()]);
        assert_eq!(words(""), [""; 0]);
        assert_eq!(words(&"x".repeat(100)), ["x".repeat(64)]);
        assert_eq!(words("a\\nb"), ["a", "nb"]);
    }

    #[test]
    fn escapes_of_json_are_read() {
        assert_eq!(
            words_of_json(r#"{"content":"a\nb\\c \u00c9t\u00e9 \ud835\udc00x \u"}"#),
            ["content", "a", "b", "c", "été", "𝐀x"]
        );
        assert_eq!(words_of_json("\\"), [""; 0]);
    }
}
