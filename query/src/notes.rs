//! Why a query may have found nothing: keys that nothing in the store has.

use std::collections::BTreeSet;

use spanlite_model::{Attributes, Trace};
use spanlite_store::block::{AttributeKind, BlockError, read_resource};
use spanlite_store::{SealedBlock, Snapshot};

use crate::bind::each_expr;
use crate::error::{Code, QueryError};
use crate::query::Query;
use crate::run::RunError;
use crate::suggest::nearest;
use crate::syntax::ast::ExprKind;
use crate::syntax::field::{Builtin, Field, Scope};
use crate::syntax::form::Form;
use crate::syntax::print;

/// Of traces that are in no block, so many are looked at.
const LOOSE_TRACES: usize = 1_000;

/// The keys that a store has, by what has them.
#[derive(Default)]
struct Keys {
    span: BTreeSet<String>,
    resource: BTreeSet<String>,
    event: BTreeSet<String>,
    tag: BTreeSet<String>,
    metadata: BTreeSet<String>,
}

impl Query {
    /// What may be why the query found nothing: attributes that no span or trace of the snapshot
    /// has, with near keys, and attributes that are named like a built-in. Places are bytes of
    /// the text that was read.
    pub fn notes(&self, snapshot: &Snapshot) -> Result<Vec<QueryError>, RunError> {
        let mut fields = Vec::new();
        each_expr(&mut self.tree().clone(), &mut |expr| {
            if let ExprKind::Field(field @ Field::Attribute { .. }) = &expr.kind {
                fields.push((field.clone(), expr.place));
            }
        });
        if fields.is_empty() {
            return Ok(Vec::new());
        }
        let keys = Keys::of(snapshot)?;
        let notes = fields.iter().filter_map(|(field, place)| {
            let Field::Attribute { scope, name } = field else {
                return None;
            };
            let known = keys.of_scope(*scope)?;
            if known.iter().any(|set| set.contains(&**name)) {
                return None;
            }
            let shown = print::field(field, Form::Braces);
            let whose = if scope.is_of_trace() { "trace" } else { "span" };
            let note = QueryError::new(
                Code::UnknownName,
                place.range(),
                format!("no {whose} has {shown}"),
            );
            let builtin = Builtin::in_braces(&format!("span:{name}"))
                .filter(|_| matches!(scope, Scope::Span | Scope::Either));
            if let Some(builtin) = builtin {
                let mut note = note.help(format!("span:{name} is the built-in"));
                note.code = Code::LooksLikeBuiltin;
                return Some(note.replace(builtin.as_str()));
            }
            let near = nearest(name, known.into_iter().flatten().map(String::as_str));
            Some(match near {
                Some(near) => {
                    let near = Field::Attribute {
                        scope: *scope,
                        name: near.into(),
                    };
                    let near = print::field(&near, Form::Braces);
                    note.help(format!("near: {near}")).replace(near)
                }
                None => note,
            })
        });
        Ok(notes.collect())
    }
}

impl Keys {
    fn of(snapshot: &Snapshot) -> Result<Self, RunError> {
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
    fn of_scope(&self, scope: Scope) -> Option<Vec<&BTreeSet<String>>> {
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
