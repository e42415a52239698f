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
    /// A word of ASCII letters and digits, in the case it was written: of these bytes, bit 5 set
    /// makes the lower case.
    fn ascii(&mut self, word: &[u8]);
    /// A word in lower case.
    fn lower(&mut self, word: &[u8]);
}

struct AsText<F>(F);

impl<F: FnMut(&str)> EachWord for AsText<F> {
    fn ascii(&mut self, word: &[u8]) {
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

/// Calls `each` with every word.
pub(super) fn split(text: &str, is_json: bool, each: &mut impl EachWord) {
    let mut word = Word {
        bytes: [0; MAX_WORD_BYTES],
        length: 0,
        is_ascii: true,
    };
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match CLASSES[usize::from(byte)] {
            Class::Word => {
                let run = bytes.get(at..).unwrap_or_default();
                let is_word = |byte: &u8| matches!(CLASSES[usize::from(*byte)], Class::Word);
                let length = run.iter().position(|byte| !is_word(byte));
                let length = length.unwrap_or(run.len());
                let next = run.get(length).map(|byte| CLASSES[usize::from(*byte)]);
                let ends = match next {
                    None | Some(Class::Separator) => true,
                    Some(Class::Escape) => !is_json,
                    Some(_) => false,
                };
                // Most words are this: nothing before or behind that is not ASCII.
                if ends && word.length == 0 {
                    each.ascii(&run[..length.min(MAX_WORD_BYTES)]);
                } else {
                    for byte in &run[..length] {
                        word.push_byte(byte.to_ascii_lowercase());
                    }
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
                    break;
                };
                if char.is_alphanumeric() {
                    word.push(char);
                } else {
                    word.end(each);
                }
                at += char.len_utf8();
            }
        }
    }
    word.end(each);
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
    use super::*;

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
