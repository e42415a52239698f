//! What must be in a text that fits a pattern: many texts are looked through for it at once, long
//! before the pattern is asked about any of them.

use regex_syntax::hir::literal::Extractor;
use regex_syntax::hir::{Hir, HirKind};

/// So many needles are looked for at once without getting slower.
const MAX_NEEDLES: usize = 16;
/// Shorter ones are in most texts.
const MIN_NEEDLE_BYTES: usize = 3;

/// Finds one of the needles of a pattern in the JSON that a text stands in. Nothing for a pattern
/// without needles.
pub(super) fn of(pattern: &str) -> Option<regex::bytes::Regex> {
    let hir = regex_syntax::parse(pattern).ok()?;
    let needles: Vec<String> = required(&hir)?
        .iter()
        .map(|needle| regex::escape(needle))
        .collect();
    regex::bytes::Regex::new(&needles.join("|")).ok()
}

/// Whether JSON has an escape that may spell out any character.
pub(super) fn has_escape(json: &[u8]) -> bool {
    memchr::memmem::find(json, br"\u").is_some()
}

/// Texts of which one is in whatever fits.
fn required(hir: &Hir) -> Option<Vec<String>> {
    let parts = match hir.kind() {
        HirKind::Capture(capture) => return required(&capture.sub),
        HirKind::Concat(parts) => parts.as_slice(),
        _ => std::slice::from_ref(hir),
    };
    // What fits the whole has something in it that fits any tail of the parts, and so begins as
    // that does.
    let sets = (0..parts.len()).filter_map(|at| {
        let tail = Hir::concat(parts.get(at..)?.to_vec());
        beginnings(&tail)
    });
    let least = |needles: &Vec<String>| needles.iter().map(String::len).min().unwrap_or(0);
    // One needle is found much quicker than several.
    let mut best = sets.max_by_key(|needles| {
        let length = least(needles);
        (needles.len() == 1 && length > MIN_NEEDLE_BYTES, length)
    })?;
    if least(&best) < MIN_NEEDLE_BYTES {
        return None;
    }
    best.sort_by_key(String::len);
    let mut needles: Vec<String> = Vec::with_capacity(best.len());
    for needle in best {
        if !needles.iter().any(|known| needle.contains(known.as_str())) {
            needles.push(needle);
        }
    }
    Some(needles)
}

/// Texts of which one begins whatever fits, each without what JSON may write in another way.
fn beginnings(hir: &Hir) -> Option<Vec<String>> {
    let found = Extractor::new().limit_total(MAX_NEEDLES).extract(hir);
    let literals = found.literals()?;
    let mut needles = Vec::with_capacity(literals.len());
    for literal in literals {
        let bytes = literal.as_bytes();
        let whole = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(cut) => std::str::from_utf8(bytes.get(..cut.valid_up_to())?).ok()?,
        };
        let plain = whole.split(|c| !is_plain(c)).max_by_key(|run| run.len())?;
        needles.push(plain.to_owned());
    }
    (!needles.is_empty()).then_some(needles)
}

/// Whether JSON writes a character in one way alone, but for `\\u`: no quotes, brackets and
/// separators, and nothing of numbers.
fn is_plain(c: char) -> bool {
    c.is_alphabetic() || c == ' '
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needles(pattern: &str) -> Vec<String> {
        let mut found = required(&regex_syntax::parse(pattern).unwrap()).unwrap_or_default();
        found.sort();
        found
    }

    #[test]
    fn needles_are_in_whatever_fits() {
        assert_eq!(needles("refund"), ["refund"]);
        assert_eq!(needles("ref[uv]nd p.licy"), ["licy"]);
        assert_eq!(needles("ref[uv]nd [0-9]"), ["refund ", "refvnd "]);
        assert_eq!(needles("^(?s:[a-z]+ policy, order)$"), [" policy"]);
        assert_eq!(needles("(abc|defg)x?"), ["abc", "defg"]);
        assert_eq!(needles("(?i)abc").len(), 8);
        for none in [
            "", ".*", "a|b", "[0-9]+", "12345", "(abc)?", "ab", "abc|.", "\\{\\}",
        ] {
            assert_eq!(needles(none), [""; 0], "{none}");
        }
    }

    #[test]
    fn an_escape_may_spell_out_anything() {
        let finds = |json: &str| of("(?i)Größe").unwrap().is_match(json.as_bytes());
        assert!(finds("[\"GRÖSSE\", \"grÖße\"]") && !finds("[\"GRÖSSE\"]"));
        assert!(has_escape(br#"["Gr\u00f6\u00dfe"]"#) && !has_escape(br#"["Gr\noe"]"#));
    }
}
