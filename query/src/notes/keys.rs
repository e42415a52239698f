use std::collections::BTreeSet;

use spanlite_model::{Attributes, Trace};
use spanlite_store::block::{AttributeKind, BlockError, read_resource};
use spanlite_store::{SealedBlock, Snapshot};

use super::LOOSE_TRACES;
use crate::run::RunError;
use crate::syntax::field::Scope;

/// The keys that a store has, by what has them.
#[derive(Default)]
pub(super) struct Keys {
    span: BTreeSet<String>,
    resource: BTreeSet<String>,
    event: BTreeSet<String>,
    tag: BTreeSet<String>,
    metadata: BTreeSet<String>,
}

impl Keys {
    pub(super) fn of(snapshot: &Snapshot) -> Result<Self, RunError> {
        let mut keys = Self::default();
        for block in snapshot.blocks()? {
            if let Err(error) = keys.add_block(block) {
                block.report(&error);
            }
        }
        for (trace_id, _) in snapshot.loose()?.take(LOOSE_TRACES) {
            if let Some(trace) = snapshot.trace(trace_id)? {
                keys.add_trace(&trace);
            }
        }
        Ok(keys)
    }

    fn add_block(&mut self, block: SealedBlock<'_>) -> Result<(), BlockError> {
        let reader = block.reader()?;
        for (kind, keys) in [
            (AttributeKind::Span, &mut self.span),
            (AttributeKind::Event, &mut self.event),
            (AttributeKind::Tag, &mut self.tag),
            (AttributeKind::Metadata, &mut self.metadata),
        ] {
            for key in reader.attribute_keys(kind) {
                if !keys.contains(key) {
                    keys.insert(key.to_owned());
                }
            }
        }
        let resources = reader.resources()?;
        for entry in 0..resources.n_entries() {
            let resource = read_resource(resources.entry_bytes(entry).unwrap_or_default())?;
            add(&mut self.resource, &resource.attributes);
        }
        Ok(())
    }

    fn add_trace(&mut self, trace: &Trace) {
        for span in &trace.spans {
            add(&mut self.span, &span.attributes);
            add(&mut self.resource, &span.resource.attributes);
            for event in &span.events {
                add(&mut self.event, &event.attributes);
            }
        }
        self.tag.extend(trace.info.tags.keys().cloned());
        self.metadata.extend(trace.info.metadata.keys().cloned());
    }

    /// The keys a scope looks among; nothing where that is not known.
    pub(super) fn of_scope(&self, scope: Scope) -> Option<Vec<&BTreeSet<String>>> {
        Some(match scope {
            Scope::Either => vec![&self.span, &self.resource],
            Scope::Span => vec![&self.span],
            Scope::Resource => vec![&self.resource],
            Scope::Event => vec![&self.event],
            Scope::Tag => vec![&self.tag],
            Scope::Metadata => vec![&self.metadata],
            _ => return None,
        })
    }
}

fn add(keys: &mut BTreeSet<String>, attributes: &Attributes) {
    for (key, _) in attributes.iter() {
        if !keys.contains(key) {
            keys.insert(key.to_owned());
        }
    }
}
