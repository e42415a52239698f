//! Relations between spans over all traces of a block, one pass each.

use spanlite_store::block::Structure;

use super::mask::{Mask, Rows};
use crate::syntax::ast::{Mode, Relation};

/// What is known of the spans that `left relation right` returns.
pub(super) fn related(
    structure: &Structure,
    relation: Relation,
    mode: Mode,
    left: &Mask,
    right: &Mask,
) -> Mask {
    let attached = attached(structure);
    let partners = |relation, left: &Rows, right: &Rows| {
        let (left, right) = (left.clone().and(&attached), right.clone().and(&attached));
        partners(structure, relation, &left, &right)
    };
    match mode {
        Mode::Plain => Mask {
            sure: partners(relation, &left.sure, &right.sure),
            maybe: partners(relation, &left.maybe, &right.maybe),
        },
        // Fewer on the left leave more on the right.
        Mode::Negated => Mask {
            sure: partners(relation, &left.maybe, &right.sure)
                .not()
                .and(&right.sure),
            maybe: partners(relation, &left.sure, &right.maybe)
                .not()
                .and(&right.maybe),
        },
        Mode::Union => {
            let both = |left: &Rows, right: &Rows| {
                let turned = match relation {
                    Relation::Child => Relation::Parent,
                    Relation::Parent => Relation::Child,
                    Relation::Descendant => Relation::Ancestor,
                    Relation::Ancestor => Relation::Descendant,
                    Relation::Sibling => Relation::Sibling,
                };
                partners(relation, left, right).or(&partners(turned, right, left))
            };
            Mask {
                sure: both(&left.sure, &right.sure),
                maybe: both(&left.maybe, &right.maybe),
            }
        }
    }
}

/// The spans that hang from a root; the others have no relations.
fn attached(structure: &Structure) -> Rows {
    let mut attached = Rows::all(structure.parents.len());
    if structure.orphans.is_empty() {
        return attached;
    }
    let mut loose = Rows::none(structure.parents.len());
    for &orphan in &structure.orphans {
        let is_root = structure.parents.get(orphan as usize) == Some(&Structure::NO_PARENT);
        let end = structure
            .ends
            .get(orphan as usize)
            .copied()
            .unwrap_or(orphan + 1);
        if is_root {
            for row in orphan..end {
                loose.insert(row as usize);
            }
        }
    }
    attached = attached.and(&loose.not());
    attached
}

/// Those of `right` that stand in the relation to one of `left`.
fn partners(structure: &Structure, relation: Relation, left: &Rows, right: &Rows) -> Rows {
    let mut found = Rows::none(right.len());
    if left.is_empty() || right.is_empty() {
        return found;
    }
    let parent = |row: usize| {
        structure
            .parents
            .get(row)
            .copied()
            .filter(|parent| *parent != Structure::NO_PARENT)
    };
    let end = |row: usize| structure.ends.get(row).map_or(0, |end| *end as usize);
    match relation {
        Relation::Descendant => {
            let mut next = left.iter().peekable();
            let mut reach = 0;
            for row in right.iter() {
                while let Some(above) = next.next_if(|above| *above < row) {
                    reach = reach.max(end(above));
                }
                if row < reach {
                    found.insert(row);
                }
            }
        }
        Relation::Ancestor => {
            let mut next = left.iter().peekable();
            for row in right.iter() {
                while next.next_if(|below| *below <= row).is_some() {}
                if next.peek().is_some_and(|below| *below < end(row)) {
                    found.insert(row);
                }
            }
        }
        Relation::Child => {
            for row in right.iter() {
                if parent(row).is_some_and(|parent| left.contains(parent as usize)) {
                    found.insert(row);
                }
            }
        }
        Relation::Parent => {
            let mut parents = Rows::none(right.len());
            for row in left.iter() {
                if let Some(parent) = parent(row) {
                    parents.insert(parent as usize);
                }
            }
            found = parents.and(right);
        }
        Relation::Sibling => {
            // Roots are one family for each trace, counted behind those of the spans.
            let n_spans = structure.parents.len();
            let mut members = vec![0_u32; n_spans + structure.span_starts.len()];
            let family = |row: usize| match parent(row) {
                Some(parent) => parent as usize,
                None => n_spans + structure.trace_of(row as u32),
            };
            for row in left.iter() {
                members[family(row)] += 1;
            }
            for row in right.iter() {
                if members[family(row)] > u32::from(left.contains(row)) {
                    found.insert(row);
                }
            }
        }
    }
    found
}
