use memchr::memchr2;

/// The shortest element that is looked for elsewhere: below, a slice saves nothing.
pub(super) const MIN_ITEM_BYTES: usize = 48;
/// How deep elements are looked at; deeper ones are part of what contains them.
const MAX_DEPTH: usize = 32;
/// How many elements of one value are looked at.
const MAX_ITEMS: usize = 1 << 16;

/// A JSON value inside a longer one, as a range of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Finds the elements of arrays and the members of objects in a JSON text, outer before inner.
///
/// Text that is not JSON gives ranges too, which is harmless: they are only places where equal
/// bytes are looked for.
pub(super) fn items(text: &[u8]) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    // For every open bracket, whether it is an array and the item it began, if any.
    let mut open: Vec<(bool, Option<usize>)> = Vec::new();
    let mut value_begins = false;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let start = at;
        at += 1;
        match byte {
            b'"' => {
                at = string_end(text, start);
                if value_begins && at - start >= MIN_ITEM_BYTES && items.len() < MAX_ITEMS {
                    items.push(Item { start, end: at });
                }
                value_begins = false;
            }
            b'[' | b'{' => {
                let is_item = value_begins && open.len() < MAX_DEPTH && items.len() < MAX_ITEMS;
                if is_item {
                    items.push(Item { start, end: start });
                }
                open.push((byte == b'[', is_item.then(|| items.len() - 1)));
                value_begins = byte == b'[';
            }
            b']' | b'}' => {
                if let Some((_, Some(item))) = open.pop() {
                    items[item].end = at;
                }
                value_begins = false;
            }
            b',' => value_begins = open.last().is_some_and(|(is_array, _)| *is_array),
            b':' => value_begins = true,
            b' ' | b'\n' | b'\r' | b'\t' => {}
            _ => value_begins = false,
        }
    }
    items.retain(|item| item.end - item.start >= MIN_ITEM_BYTES);
    items
}

/// One past the closing quote of the string that begins at `start`.
fn string_end(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(found) = text.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if text[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        let ranges = items(text.as_bytes());
        ranges
            .iter()
            .map(|i| text.get(i.start..i.end).unwrap())
            .collect()
    }

    #[test]
    fn elements_and_members_are_found_outer_first() {
        let long = format!("\"{}\\\"{}\"", "x".repeat(30), "é".repeat(20));
        let message = format!("{{\"role\":\"user\", \"content\": {long} }}");
        let text = format!("{{\"messages\": [ {message} , 1, \"short\"], \"n\": 2}}");
        let list = format!("[ {message} , 1, \"short\"]");
        assert_eq!(found(&text), [&list, &message, &long]);
    }

    #[test]
    fn broken_texts_end() {
        for text in ["\"", "[\"\\", "]]}}", "[[[", "{\"a\":", ""] {
            assert!(found(text).is_empty());
        }
        let deep = "[".repeat(100_000);
        assert!(found(&deep).is_empty());
    }
}
