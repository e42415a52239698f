//! What a request takes in memory once it is read, worked out before it is. Bodies can be written
//! of which each two bytes become a span, an attribute or a value of hundreds.

mod json;
mod protobuf;

use spanlite_model::{Event, Link, Resource, Scope, Span, Trace, Value};

use super::wire;

/// How much memory a request takes once it is read, at most: a bound that ordinary requests stay
/// below by half, since lists grow by doubling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Footprint {
    /// How many spans there are.
    pub spans: usize,
    /// Bytes that the spans take as long as they are held.
    pub held_bytes: usize,
    /// Bytes that the largest of the spans takes; reading takes that much more for a moment.
    pub largest_bytes: usize,
}

impl Footprint {
    /// Looks over the message that [`crate::take_otlp_protobuf`] reads. Of bytes that are no
    /// message it tells what reading them takes until that is noticed.
    pub fn of_otlp_protobuf(bytes: &[u8]) -> Self {
        protobuf::footprint(bytes)
    }

    /// Looks over the text that [`crate::take_otlp_json`] reads, likewise.
    pub fn of_otlp_json(bytes: &[u8]) -> Self {
        json::of_request(bytes)
    }

    /// Looks over a JSON text that is read as a tree of `serde_json`, as calls of MLflow are.
    pub fn of_json(bytes: &[u8]) -> Self {
        json::of_tree(bytes)
    }

    /// Adds a span or what else is looked at as a whole.
    fn add(&mut self, bytes: usize) {
        self.held_bytes = self.held_bytes.saturating_add(bytes);
        self.largest_bytes = self.largest_bytes.max(bytes);
    }
}

/// How many times its length the information of a trace takes more than a text, since tags of a few
/// characters become nodes of a map.
const INFO_FACTOR: usize = 16;
/// What the allocator needs for itself, a place.
const PLACE_BYTES: usize = 16;

/// What one of many elements of a list takes: a list has room for up to as many again.
const fn element<T>() -> usize {
    2 * size_of::<T>()
}

/// What the first element of a list takes beyond that, since a list begins with room for four.
const fn first_element<T>() -> usize {
    2 * size_of::<T>() + PLACE_BYTES
}

/// A key with its value.
type Pair = (String, Value);

const PAIR: usize = element::<Pair>();
/// The digits of a number, if the value becomes a part of inputs or outputs.
const DIGITS: usize = 26;
const VALUE: usize = element::<Value>() + first_element::<Value>() + DIGITS;
/// A value that stands in a pair.
const VALUE_OF_PAIR: usize = first_element::<Pair>() + DIGITS;
const EVENT: usize = element::<Event>() + first_element::<Pair>();
const LINK: usize = element::<Link>() + first_element::<Pair>();
const SCOPE: usize = size_of::<Scope>() + first_element::<Pair>() + PLACE_BYTES;
const RESOURCE: usize = size_of::<Resource>() + first_element::<Pair>() + PLACE_BYTES;
/// Each span may be of a trace of its own, which has a place in a map.
const SPAN: usize = element::<Span>()
    + element::<Trace>()
    + 4 * size_of::<spanlite_model::TraceId>()
    + first_element::<Pair>()
    + first_element::<Event>()
    + first_element::<Link>()
    + 4 * PLACE_BYTES;
/// A span of a JSON text, which is read whole before its spans are looked at.
const JSON_SPAN: usize = SPAN + element::<wire::Span>() + 6 * PLACE_BYTES;
/// An element of a list of a span, the largest of which are these.
const JSON_IN_SPAN: usize = element::<wire::Link>() + LINK;
/// Any other object or list around spans, likewise.
const JSON_AROUND: usize = element::<wire::ScopeSpans>() + SCOPE;

/// What a text takes that is kept.
const fn text(length: usize) -> usize {
    if length == 0 {
        return 0;
    }
    (length + PLACE_BYTES).next_multiple_of(PLACE_BYTES)
}
