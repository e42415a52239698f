use crate::random::Random;

const SYLLABLES: &[&str] = &[
    "ra", "ti", "on", "ment", "pre", "con", "ver", "al", "ing", "er", "to", "sub", "ly", "de",
    "com", "pu", "ta", "lo", "gi", "str", "mo", "den", "fi", "ex", "port", "in", "a", "re", "qu",
    "est",
];

/// Words that real prompts are full of; the first are the most frequent.
const COMMON: &[&str] = &[
    "the", "to", "of", "and", "a", "is", "in", "you", "that", "for", "it", "with", "on", "as",
    "be", "this", "are", "or", "can", "from", "user", "order", "please", "if", "not", "will",
    "have", "what", "tool", "file", "should", "use", "your", "we", "do", "which", "error", "data",
    "refund", "policy", "search", "result", "name", "value", "query", "agent", "model", "answer",
];

const NOT_LATIN: &[&str] = &[
    "日本語",
    "テスト",
    "请求",
    "订单",
    "Ошибка",
    "запрос",
    "مرحبا",
    "ключ",
    "Größe",
    "naïve",
    "한국어",
    "हिन्दी",
    "🙂",
    "🚀",
    "👩‍💻",
    "\u{fffd}",
];

const CODE: &[&str] = &[
    "fn main() {\n    ",
    "let x = ",
    ";\n",
    "return ",
    "if (",
    ") {\n",
    "}\n",
    "self.",
    "import os\n",
    "def run(self, ",
    "):\n    ",
    " == ",
    "None",
    "for i in range(",
    "assert ",
    "\t",
    "// ",
    "=> ",
    "SELECT * FROM ",
    " WHERE id = ",
];

/// Secrets of made-up people, for tests of redaction.
const SECRETS: &[&str] = &[
    "jane.doe@example.com",
    "sk-test-000000000000000000000000000000000000000000000000",
    "AKIAIOSFODNN7EXAMPLE",
    "+1-202-555-0143",
];

/// What a stretch of text is made of.
#[derive(Clone, Copy)]
enum Manner {
    Prose,
    Code,
    NotLatin,
}

/// Appends about `bytes` bytes of text: mostly prose, 30 % like code, 5 % of it not Latin, with
/// a secret or a NUL now and then.
pub(crate) fn push_text(random: &mut Random, bytes: usize, out: &mut String) {
    let end = out.len() + bytes;
    while out.len() < end {
        let manner = match random.unit() {
            share if share < 0.65 => Manner::Prose,
            share if share < 0.95 => Manner::Code,
            _ => Manner::NotLatin,
        };
        let stretch = (out.len() + random.between(40, 400) as usize).min(end);
        while out.len() < stretch {
            match manner {
                Manner::Prose => push_word(random, out),
                Manner::Code => out.push_str(random.pick(CODE)),
                Manner::NotLatin => out.push_str(random.pick(NOT_LATIN)),
            }
            if !matches!(manner, Manner::Code) {
                out.push(' ');
            }
        }
        if random.chance(0.002) {
            out.push_str(random.pick(SECRETS));
        }
        if random.chance(0.001) {
            out.push('\0');
        }
    }
    while out.len() > end {
        out.pop();
    }
}

/// A text of about `bytes` bytes.
pub(crate) fn text(random: &mut Random, bytes: usize) -> String {
    let mut out = String::with_capacity(bytes);
    push_text(random, bytes, &mut out);
    out
}

/// A word; frequent ones recur, rare ones are made of syllables.
fn push_word(random: &mut Random, out: &mut String) {
    let rank = random.zipf(20_000);
    if let Some(word) = COMMON.get(rank as usize) {
        out.push_str(word);
        return;
    }
    let mut of_rank = Random::new(rank, 7);
    for _ in 0..of_rank.between(2, 4) {
        out.push_str(of_rank.pick(SYLLABLES));
    }
}

/// So many words of a small vocabulary, each as likely.
pub(crate) fn words(random: &mut Random, vocabulary: &[&str], count: usize) -> String {
    let mut out = String::with_capacity(count * 8);
    for n in 0..count {
        out.push_str(if n == 0 { "" } else { " " });
        out.push_str(random.pick(vocabulary));
    }
    out
}

/// A name of lower-case letters that belongs to a number.
pub(crate) fn name(stem: &str, number: u64) -> String {
    let mut of_number = Random::new(number, 11);
    let (a, b) = (of_number.pick(SYLLABLES), of_number.pick(SYLLABLES));
    format!("{stem}.{a}{b}_{number}")
}
