//! Random queries.

use crate::stores::Dice;

pub(crate) fn leaf(dice: &mut Dice) -> String {
    let text = *dice.pick(&[&"`x`", &"`refund`", &"``", &"`Größe`"]);
    let number = *dice.pick(&[&"0", &"1", &"1.5", &"-1", &"2"]);
    let compare = *dice.pick(&[&"=", &"!=", &"<", &">=", &">"]);
    let attribute = *dice.pick(&[
        &"span.a",
        &".a",
        &".b",
        &"resource.a",
        &"event.a",
        &"link.a",
        &"tag.env",
        &"metadata.m",
    ]);
    let matching = *dice.pick(&[
        &"has",
        &"contains",
        &"like",
        &"ilike",
        &"rlike",
        &"startswith",
        &"endswith",
    ]);
    let texts = *dice.pick(&[
        &"name",
        &"input",
        &"output",
        &"text",
        &"span.a",
        &"statusMessage",
        &"tag.env",
        &"trace:name",
        &"rootName",
    ]);
    match dice.roll(28) {
        0..=3 => format!("{attribute} {compare} {text}"),
        4..=7 => format!("{attribute} {compare} {number}"),
        8 => format!("{number} {compare} {attribute}"),
        9 => format!("{attribute} = nil"),
        10 => format!("{attribute} != nil"),
        11 => format!("{attribute} in ({text}, {number})"),
        12 => format!("{attribute} =~ `x.*|re.*`"),
        13 => format!("{attribute} !~ `x`"),
        14 => format!("{texts} {matching} {text}"),
        15 => format!("input.n[*].role = {text}"),
        16 => format!("duration {compare} {}ms", dice.roll(100)),
        17 => format!("trace:duration {compare} {}ms", dice.roll(100)),
        18 => format!(
            "status {} {}",
            dice.pick(&["=", "!="]),
            dice.pick(&["ok", "error", "unset"])
        ),
        19 => format!("kind = {}", dice.pick(&["server", "client"])),
        20 => format!("span:type {} `llm`", dice.pick(&["=", "!="])),
        21 => format!("name {compare} {}", dice.pick(&["`a`", "`run`", "``"])),
        22 => format!(
            "trace:state = `{}`",
            dice.pick(&["OK", "ERROR", "IN_PROGRESS"])
        ),
        23 => format!("event:name = {}", dice.pick(&["`note`", "`exception`"])),
        24 => format!("span:errorType = {text}"),
        25 | 26 => on_texts(dice),
        _ => fixed(dice),
    }
}

/// Phrases, pieces and patterns over payloads that repeat each other.
fn on_texts(dice: &mut Dice) -> String {
    let of = *dice.pick(&[&"input", &"output", &"text"]);
    let asked = *dice.pick(&[
        &"has `refund policy`",
        &"has `refund for all`",
        &"has `not there role user`",
        &"contains `FUND FOR`",
        &"contains `policy of refund`",
        &"rlike `ref[uv]nd for|quoted`",
        &"rlike `a message .* text alone`",
        &"rlike `x.*never promise`",
        &"like `%never promise%`",
        &"ilike `%SYSTEM%`",
        &"rlike `1000`",
    ]);
    match (of, dice.roll(4)) {
        ("text", _) | (_, 0..=1) => format!("{of} {asked}"),
        (_, 2) => format!("{of} =~ `.*(order came|every other).*`"),
        _ => format!("{of} !~ `.*never promise.*`"),
    }
}

/// Conditions of which nothing is random.
fn fixed(dice: &mut Dice) -> String {
    (*dice.pick(&[
        &"resource.service.name = `api`",
        &"trace:session = `s`",
        &"rootName = `run`",
        &"trace:spanCount > 3",
        &"trace:errorCount = 0",
        &"span:childCount = 0",
        &"nestedSetParent < 0",
        &"span.a + 1 > 1",
        &"span.a = span.b",
        &"length(input) > 30",
        &"lower(span.a) = `x`",
        &"event:timeSinceStart > 3ms",
        &"span:depth > 1",
        &"span.a",
        &"span.b between 0 and 1",
        &"trace:name != `a`",
    ]))
    .to_owned()
}

pub(crate) fn condition(dice: &mut Dice, depth: usize) -> String {
    match dice.roll(if depth == 0 { 1 } else { 6 }) {
        1 | 2 => format!(
            "({} and {})",
            condition(dice, depth - 1),
            condition(dice, depth - 1)
        ),
        3 => format!(
            "({} or {})",
            condition(dice, depth - 1),
            condition(dice, depth - 1)
        ),
        4 => format!("!({})", condition(dice, depth - 1)),
        _ => leaf(dice),
    }
}

pub(crate) fn spans(dice: &mut Dice, depth: usize) -> String {
    match dice.roll(if depth == 0 { 2 } else { 8 }) {
        0..=3 => format!("{{ {} }}", condition(dice, 2)),
        4 => format!("!({})", spans(dice, depth - 1)),
        _ => {
            let op = dice.pick(&[
                "&&", "||", ">", "<", ">>", "<<", "~", "!>", "!<", "!>>", "!<<", "!~", "&>", "&<",
                "&>>", "&<<", "&~",
            ]);
            format!(
                "({}) {op} ({})",
                spans(dice, depth - 1),
                spans(dice, depth - 1)
            )
        }
    }
}

pub(crate) const VALUES: [&str; 8] = [
    "duration",
    "span.a",
    ".b",
    "span.a + span.b",
    "trace:duration",
    "span:childCount",
    "event:timeSinceStart",
    "nestedSetLeft",
];

pub(crate) fn by(dice: &mut Dice) -> String {
    let of = dice.pick(&[
        "name",
        "status",
        "span.a",
        ".a",
        "resource.service.name",
        "span:type",
        "tag.env",
        "span:depth",
        "span.a > 0",
        "length(input)",
        "rootName",
    ]);
    format!("by({of})")
}

pub(crate) fn aggregate(dice: &mut Dice) -> String {
    let op = dice.pick(&[">", "=", "<=", "!="]);
    let of = dice.pick(&VALUES);
    match dice.roll(6) {
        0 | 1 => format!("count() {op} {}", dice.roll(3)),
        2 => format!("sum({of}) {op} {}", dice.roll(3)),
        3 => format!("avg({of}) {op} 1.5"),
        4 => format!("min({of}) {op} 0"),
        _ => format!("max(duration) {op} {}ms", dice.roll(100)),
    }
}

pub(crate) fn metric(dice: &mut Dice) -> String {
    let field = dice.pick(&[
        "duration",
        "span.a",
        ".b",
        "span:childCount",
        "trace:duration",
    ]);
    let function = match dice.roll(7) {
        0 => "rate()".to_owned(),
        1 => "count_over_time()".to_owned(),
        2 => format!("sum_over_time({field})"),
        3 => format!("avg_over_time({field})"),
        4 => format!("max_over_time({field})"),
        5 => format!("quantile_over_time({field}, .5, .9)"),
        _ => format!("histogram_over_time({field})"),
    };
    let labels = dice.pick(&[
        "",
        "by (name)",
        "by (span.a)",
        "by (resource.service.name, status)",
        "by (tag.env)",
        "by (.b, rootName)",
    ]);
    format!("{} | {function} {labels}", query_of_spans(dice))
}

pub(crate) fn query_of_spans(dice: &mut Dice) -> String {
    match dice.roll(4) {
        0 => format!("{{ {} }} | {} | count() > 1", condition(dice, 1), by(dice)),
        1 => spans(dice, 1),
        _ => format!("{{ {} }}", condition(dice, 1)),
    }
}

pub(crate) fn query(dice: &mut Dice) -> String {
    if dice.one_in(6) {
        let clause = |dice: &mut Dice| {
            (*dice.pick(&[
                &"tag.env = 'x'",
                &"span.type = 'LLM'",
                &"status = 'ERROR'",
                &"NOT span.status = 'ERROR'",
                &"span.attributes.a = 'x'",
                &"\"refund policy\"",
                &"execution_time > 40",
                &"name = 'a'",
                &"NOT tag.env = 'x'",
            ]))
            .to_owned()
        };
        return format!(
            "{} {} {}",
            clause(dice),
            dice.pick(&["AND", "OR"]),
            clause(dice)
        );
    }
    let mut query = spans(dice, 2);
    match dice.roll(10) {
        0 => {
            query = format!(
                "{query} | count() {} {}",
                dice.pick(&[">", "=", "<="]),
                dice.roll(4)
            );
        }
        1 => query = format!("{query} | {} | {}", by(dice), aggregate(dice)),
        2 => query = format!("{query} | {}", aggregate(dice)),
        6 => {
            let first = format!("{query} | {} | {}", by(dice), aggregate(dice));
            query = match dice.roll(4) {
                0 => format!("{first} | {{ {} }} | count() > 0", condition(dice, 1)),
                1 => format!("{first} | {} | count() > 0", by(dice)),
                2 => format!("{first} | coalesce() | {}", aggregate(dice)),
                _ => format!("{first} | coalesce() | {}", spans(dice, 1)),
            };
        }
        3 => query = format!("{query} | {{ {} }}", condition(dice, 1)),
        4 => query = format!("{query} | since {}s", dice.roll(40)),
        5 => query = format!("({query} | count() > 1) && ({})", spans(dice, 1)),
        _ => {}
    }
    query
}
