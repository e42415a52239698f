use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr;

/// A cluster of more characters than this is cut: no script needs more, and hostile text piles
/// thousands of marks on one letter.
const CLUSTER_CHARS: usize = 12;

/// A text as a terminal may show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fitted {
    /// The escaped text.
    pub(crate) text: String,
    /// How many columns it takes.
    pub(crate) width: usize,
}

/// Returns whether a terminal would obey the character, or not show it at all: controls, marks
/// that turn the direction of text, separators of lines, invisible spaces and tags.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061c}'
                | '\u{00ad}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        c => {
            let code = u32::from(c);
            let (open, digits, close) = if code < 0x80 {
                ("\\x", 2, "")
            } else {
                ("\\u{", 1, "}")
            };
            out.push_str(open);
            let used = (32 - code.leading_zeros()).div_ceil(4).max(digits);
            let hex = (0..used).rev().map(|digit| code >> (4 * digit) & 15);
            out.extend(hex.filter_map(|digit| char::from_digit(digit, 16)));
            out.push_str(close);
        }
    }
}

/// The nearest ASCII character of one that we draw with; `?` for any other.
fn nearest_ascii(c: char) -> char {
    match c {
        '├' | '│' | '┃' => '|',
        '└' => '`',
        '─' | '–' | '·' | '▁' => '-',
        '█' | '▉' | '▊' | '▋' | '▌' | '▐' => '#',
        '░' | '▂' | '▃' => '.',
        '▄' | '▅' | '▕' | '▏' | '▎' | '▍' => ':',
        '▆' | '▇' => '=',
        '…' => '~',
        '→' | '▶' => '>',
        '×' | '✗' => 'x',
        '✓' => '+',
        '●' => 'o',
        '★' => '*',
        '▲' => '^',
        '▼' => 'v',
        'µ' => 'u',
        'Δ' => 'd',
        '┌' => ',',
        _ => '?',
    }
}

/// The text in ASCII, as wide as before: what we draw with becomes its nearest character, any
/// other one becomes question marks.
pub(crate) fn to_ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for cluster in text.graphemes(true) {
        match cluster.chars().next() {
            Some(c) if c.is_ascii() => out.push(c),
            Some(c) => out.extend(std::iter::repeat_n(nearest_ascii(c), cluster.width())),
            None => {}
        }
    }
    out
}

/// The text with everything a terminal would obey written as an escape, whole.
pub(crate) fn escape(text: &str) -> Fitted {
    fit(text, usize::MAX)
}

/// The escaped text in at most `max_width` columns, its end replaced by an ellipsis where it is
/// longer. Reads no more of the text than it shows.
pub(crate) fn fit(text: &str, max_width: usize) -> Fitted {
    let looked_at = text.len().min(max_width.saturating_add(1));
    match text.get(..looked_at) {
        Some(start) if is_plain(start) => fit_plain(text, max_width),
        _ => fit_clusters(text, max_width),
    }
}

/// Whether every byte is a character of its own that takes one column. Most text is, and what
/// follows from it needs no tables of Unicode.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// A text that is plain up to one column more than it may take.
fn fit_plain(text: &str, max_width: usize) -> Fitted {
    if text.len() <= max_width {
        return Fitted {
            text: text.to_owned(),
            width: text.len(),
        };
    }
    let cut = max_width.checked_sub(1).and_then(|cut| text.get(..cut));
    Fitted {
        text: cut.map_or_else(String::new, |cut| format!("{cut}…")),
        width: max_width,
    }
}

fn fit_clusters(text: &str, max_width: usize) -> Fitted {
    let mut out = String::new();
    let mut width = 0;
    // Where the text would be cut so that the ellipsis still fits.
    let mut cut = (0, 0);
    for cluster in text.graphemes(true) {
        let before = out.len();
        if cluster.chars().any(is_unsafe) {
            for c in cluster.chars().take(CLUSTER_CHARS) {
                if is_unsafe(c) {
                    push_escaped(&mut out, c);
                } else {
                    out.push(c);
                }
            }
        } else {
            out.extend(cluster.chars().take(CLUSTER_CHARS));
        }
        width += out.get(before..).map_or(0, UnicodeWidthStr::width);
        if width > max_width {
            out.truncate(cut.0);
            out.push('…');
            return Fitted {
                text: if max_width == 0 { String::new() } else { out },
                width: if max_width == 0 { 0 } else { cut.1 + 1 },
            };
        }
        if width < max_width {
            cut = (out.len(), width);
        }
    }
    Fitted { text: out, width }
}

/// Breaks an escaped text into lines: the first of at most `first` columns, the others of
/// `columns`, behind a blank where there is one. An empty text is one empty line.
pub(crate) fn pieces(text: &str, first: usize, columns: usize) -> Vec<&str> {
    if is_plain(text) {
        let letters = text.bytes().enumerate();
        let letters = letters.map(|(at, byte)| (at, 1, byte == b' '));
        return broken(text, letters, first, columns);
    }
    let clusters = text.grapheme_indices(true);
    let clusters = clusters.map(|(at, cluster)| (at, cluster.width(), cluster == " "));
    broken(text, clusters, first, columns)
}

/// Breaks a text between its clusters, each given as where it begins, how wide it is and whether
/// it is a blank.
fn broken(
    text: &str,
    clusters: impl Iterator<Item = (usize, usize, bool)>,
    first: usize,
    columns: usize,
) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut width, mut max) = (0, 0, first);
    // Where the last blank ends, and the width up to there.
    let mut blank: Option<(usize, usize)> = None;
    for (at, cluster_width, is_blank) in clusters {
        if width + cluster_width > max && at > start {
            let (end, used) = blank.take().unwrap_or((at, width));
            pieces.push(text.get(start..end).unwrap_or_default().trim_end());
            start = end;
            width -= used;
            max = columns;
        }
        width += cluster_width;
        if is_blank {
            blank = Some((at + 1, width));
        }
    }
    pieces.push(text.get(start..).unwrap_or_default());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(text: &str, width: usize) -> (String, usize) {
        let fitted = fit(text, width);
        (fitted.text, fitted.width)
    }

    #[test]
    fn text_is_cut_between_clusters() {
        assert_eq!(fitted("answer", 6), ("answer".to_owned(), 6));
        assert_eq!(fitted("answer", 5), ("answ…".to_owned(), 5));
        assert_eq!(fitted("日本語", 5), ("日本…".to_owned(), 5));
        assert_eq!(fitted("日本語", 4), ("日…".to_owned(), 3));
        assert_eq!(
            fitted("e\u{301}e\u{301}e\u{301}", 2),
            ("e\u{301}…".to_owned(), 2)
        );
        assert_eq!(fitted("anything", 0), (String::new(), 0));
        assert_eq!(fitted("", 0), (String::new(), 0));
    }

    #[test]
    fn plain_text_is_cut_like_any_other() {
        for text in ["", "a", "an answer", "a\u{301}b", "ab\u{301}"] {
            for width in 0..12 {
                assert_eq!(
                    fit(text, width),
                    fit_clusters(text, width),
                    "{text:?} {width}"
                );
            }
        }
    }

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        assert_eq!(
            escape("\x1b[2J\u{9b}1m\n\0").text,
            "\\x1b[2J\\u{9b}1m\\n\\x00"
        );
        assert_eq!(escape("a\u{202e}b\u{200f}").text, "a\\u{202e}b\\u{200f}");
        assert_eq!(escape("a\r\nb").width, 6);
    }

    #[test]
    fn long_texts_break_behind_blanks() {
        assert_eq!(pieces("one two three", 8, 8), ["one two", "three"]);
        assert_eq!(pieces("one two three", 4, 8), ["one", "two", "three"]);
        assert_eq!(pieces("abcdefgh", 3, 3), ["abc", "def", "gh"]);
        assert_eq!(pieces("日本語", 2, 4), ["日", "本語"]);
        assert_eq!(pieces("", 3, 3), [""]);
    }

    #[test]
    fn a_megabyte_of_marks_is_cut() {
        let hostile = format!("x{}", "\u{301}".repeat(1 << 20));
        assert!(escape(&hostile).text.len() < 64);
        assert_eq!(fitted(&"x".repeat(1 << 20), 4), ("xxx…".to_owned(), 4));
    }
}
