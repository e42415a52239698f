use super::{
    EVENT, Footprint, INFO_FACTOR, LINK, PAIR, RESOURCE, SCOPE, SPAN, VALUE, VALUE_OF_PAIR, text,
};
use crate::otlp::TRACE_INFO;
use crate::otlp::fields::Fields;

/// How deep messages are decoded at most; what is deeper is an error there.
const MAX_DEPTH: usize = 100;

pub(super) fn footprint(request: &[u8]) -> Footprint {
    let mut footprint = Footprint::default();
    for of_resource in Fields::of(request).numbered(1) {
        let mut shared = RESOURCE;
        for (number, bytes) in Fields::of(of_resource) {
            match number {
                1 => shared += attributes(bytes, 1),
                2 => of_scope(bytes, &mut footprint),
                _ => shared += text(bytes.len()),
            }
        }
        footprint.add(shared);
    }
    footprint
}

fn of_scope(of_scope: &[u8], footprint: &mut Footprint) {
    let mut shared = SCOPE;
    for (number, bytes) in Fields::of(of_scope) {
        match number {
            1 => {
                let texts = Fields::of(bytes).filter(|(number, _)| *number != 3);
                shared += texts.map(|(_, bytes)| text(bytes.len())).sum::<usize>();
                shared += attributes(bytes, 3);
            }
            2 => {
                footprint.spans += 1;
                footprint.add(span(bytes));
            }
            _ => shared += text(bytes.len()),
        }
    }
    footprint.add(shared);
}

fn span(span: &[u8]) -> usize {
    let fields = Fields::of(span).map(|(number, bytes)| match number {
        9 => pair(bytes, 0),
        11 => EVENT + message(bytes, 3),
        13 => LINK + message(bytes, 4),
        15 => message(bytes, 0),
        _ => text(bytes.len()),
    });
    SPAN + fields.sum::<usize>()
}

/// The texts of a message, and the attributes that stand in one of its fields.
fn message(message: &[u8], of_attributes: u64) -> usize {
    let fields = Fields::of(message).map(|(number, bytes)| {
        if number == of_attributes {
            pair(bytes, 0)
        } else {
            text(bytes.len())
        }
    });
    fields.sum()
}

fn attributes(message: &[u8], number: u64) -> usize {
    let attributes = Fields::of(message).numbered(number);
    attributes.map(|bytes| pair(bytes, 0)).sum()
}

fn pair(pair: &[u8], depth: usize) -> usize {
    let (mut bytes, mut is_info) = (PAIR, false);
    for (number, field) in Fields::of(pair) {
        match number {
            1 => {
                is_info |= field == TRACE_INFO.as_bytes();
                bytes += text(field.len());
            }
            2 => bytes += VALUE_OF_PAIR + value(field, depth + 1),
            _ => {}
        }
    }
    if is_info {
        bytes = bytes.saturating_mul(1 + INFO_FACTOR);
    }
    bytes
}

fn value(value: &[u8], depth: usize) -> usize {
    if depth > MAX_DEPTH {
        return 0;
    }
    let fields = Fields::of(value).map(|(number, bytes)| match number {
        1 => text(bytes.len()) + text(as_json(bytes)),
        5 => {
            let values = Fields::of(bytes).numbered(1);
            values
                .map(|bytes| VALUE + self::value(bytes, depth + 1))
                .sum()
        }
        6 => {
            let pairs = Fields::of(bytes).numbered(1);
            pairs.map(|bytes| pair(bytes, depth + 1)).sum()
        }
        // Bytes become two digits each.
        7 => text(bytes.len()) + text(2 * bytes.len()),
        _ => 0,
    });
    fields.sum()
}

/// How long a text is as JSON, which it becomes where it is inputs or outputs.
fn as_json(text: &[u8]) -> usize {
    let controls = text.iter().filter(|byte| **byte < 0x20).count();
    let marks = text.iter().filter(|byte| matches!(byte, b'"' | b'\\'));
    text.len() + 2 + 5 * controls + marks.count()
}
