//! Lists and objects that a dialect spreads over many keys: `llm.input_messages.0.message.role`.

use std::collections::BTreeMap;

use spanlite_model::{Attributes, Json, Value};

/// How many names a key may have after its prefix; what is deeper stays under one name.
const MAX_NAMES: usize = 24;

/// How many elements and fields are put together at most, since each takes hundreds of bytes on the
/// way; a span with more keeps its attributes and gets no inputs or outputs from them.
const MAX_NODES: usize = 100_000;

/// Names that stand alone around each element of a list and say only what it is.
const WRAPPERS: &[&str] = &[
    "message",
    "message_content",
    "tool_call",
    "document",
    "tool",
];

/// A part of a key. Places sort as numbers.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Name<'a> {
    Place(u64),
    Field(&'a str),
}

#[derive(Default)]
struct Node<'a> {
    value: Option<&'a Value>,
    below: BTreeMap<Name<'a>, Self>,
}

/// Puts together what stands under keys that begin with `prefix`.
pub(super) fn nested(attributes: &Attributes, prefix: &str) -> Option<Json> {
    let mut root = Node::default();
    let mut n_nodes = 0;
    for (key, value) in attributes.iter() {
        let Some(rest) = key.strip_prefix(prefix) else {
            continue;
        };
        let mut node = &mut root;
        for name in rest.splitn(MAX_NAMES, '.') {
            let name = name.parse().map_or(Name::Field(name), Name::Place);
            node = node.below.entry(name).or_insert_with(|| {
                n_nodes += 1;
                Node::default()
            });
        }
        if n_nodes > MAX_NODES {
            return None;
        }
        node.value = Some(value);
    }
    if root.below.is_empty() {
        return None;
    }
    Some(Json::from_trusted_text(root.into_value().to_json_text()))
}

impl Node<'_> {
    /// The value of a key wins over keys that go on below it.
    fn into_value(self) -> Value {
        if let Some(value) = self.value {
            return value.clone();
        }
        let list = self.below.keys().all(|name| matches!(name, Name::Place(_)));
        if list {
            let values = self
                .below
                .into_values()
                .map(|node| unwrap(node.into_value()));
            return Value::Array(values.collect());
        }
        let fields = self.below.into_iter().map(|(name, node)| {
            let name = match name {
                Name::Place(place) => place.to_string(),
                Name::Field(field) => field.to_owned(),
            };
            (name, node.into_value())
        });
        Value::Map(fields.collect())
    }
}

fn unwrap(value: Value) -> Value {
    match value {
        Value::Map(mut fields) if fields.len() == 1 && WRAPPERS.contains(&fields[0].0.as_str()) => {
            fields.remove(0).1
        }
        other => other,
    }
}
