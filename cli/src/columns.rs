//! Groups of spans straight from the columns of blocks, without putting the traces together.

use std::collections::{HashMap, HashSet};

use spanlite_model::{
    Attributes, PriceTable, Span, SpanId, SpanType, StatusCode, TraceId, Value, keys,
};
use spanlite_store::block::{
    AttributeKind, AttributePart, BlockError, BlockReader, ColumnValues, LoadSection, ValueType,
};

use crate::group::{Counted, Covered, Field, Group, Groups};

/// The number of a failed status.
const ERROR: i64 = 2;

/// Whether columns tell what spans are grouped by.
pub(crate) fn tell(fields: &[Field]) -> bool {
    fields.iter().all(|field| {
        matches!(
            field,
            Field::Name | Field::Type | Field::Status | Field::Model | Field::Provider
        )
    })
}

/// What tells a group inside a block, as codes of its columns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    name: u32,
    span_type: u32,
    status: i64,
    model: Option<String>,
    provider: Option<String>,
}

/// Adds the spans of those traces of a block that are wanted. Returns false, and adds nothing,
/// where a value that counts stands outside the columns.
pub(crate) fn add_block<L: LoadSection>(
    groups: &mut Groups,
    block: &BlockReader<L>,
    wanted: &[bool],
    prices: &PriceTable,
) -> Result<bool, BlockError> {
    let Some(told) = told_attributes(block)? else {
        return Ok(false);
    };
    let (names, types) = (block.names()?, block.span_types()?);
    let statuses = block.status_codes()?.to_vec();
    let durations = block.durations()?.to_vec();
    let starts = block.start_times()?;
    let structure = block.structure()?;
    let open: HashSet<u32> = block.open_spans()?.into_iter().collect();
    let by_name = groups.fields().contains(&Field::Name);
    let by_type = groups.fields().contains(&Field::Type);
    let by_status = groups.fields().contains(&Field::Status);
    let mut numbers: HashMap<Key, usize> = HashMap::new();
    let mut found: Vec<(Vec<Option<String>>, Group)> = Vec::new();
    let mut covered: HashMap<usize, Covered> = HashMap::new();
    for (place, bounds) in structure.span_starts.windows(2).enumerate() {
        if wanted.get(place) != Some(&true) {
            continue;
        }
        covered.clear();
        for row in bounds[0]..bounds[1] {
            let at = row as usize;
            let mut counted = Counted {
                is_error: statuses[at] == ERROR,
                start_unix_nano: starts[at],
                nanos: (!open.contains(&row)).then(|| durations[at].max(0) as u64),
                ..Counted::default()
            };
            let mut key = Key {
                name: if by_name { names.code(at) } else { 0 },
                span_type: if by_type { types.code(at) } else { 0 },
                status: if by_status { statuses[at] } else { 0 },
                model: None,
                provider: None,
            };
            if let Some(attributes) = told.get(&row) {
                let mut span = Span::new(TraceId::default(), SpanId::default(), "");
                span.span_type = SpanType::from(types.get(at)?.unwrap_or_default());
                span.start_time_unix_nano = starts[at];
                span.attributes = attributes.clone();
                prices.apply_to(&mut span);
                counted.take_costs(&span);
                key.model = span.model().map(ToOwned::to_owned);
                key.provider = span.provider().map(ToOwned::to_owned);
            }
            let number = *numbers.entry(key).or_insert_with(|| {
                found.push((Vec::new(), Group::default()));
                found.len() - 1
            });
            if found[number].0.is_empty() {
                let mut named = Span::new(
                    TraceId::default(),
                    SpanId::default(),
                    names.get(at)?.unwrap_or_default(),
                );
                named.span_type = SpanType::from(types.get(at)?.unwrap_or_default());
                named.status.code = status_code(statuses[at]);
                named.attributes = told.get(&row).cloned().unwrap_or_default();
                found[number].0 = groups.key_of(&named);
            }
            let covered = covered.entry(number).or_default();
            found[number]
                .1
                .add(&counted, row, structure.ends[at], covered);
        }
    }
    for (key, group) in found {
        groups.merge(key, group);
    }
    Ok(true)
}

fn status_code(number: i64) -> StatusCode {
    match number {
        1 => StatusCode::Ok,
        ERROR => StatusCode::Error,
        _ => StatusCode::Unset,
    }
}

/// The attributes that tell models, tokens and costs, by row. Nothing where one of them is no
/// plain value.
fn told_attributes<L: LoadSection>(
    block: &BlockReader<L>,
) -> Result<Option<HashMap<u32, Attributes>>, BlockError> {
    let mut told: HashMap<u32, Attributes> = HashMap::new();
    for key in keys::COST_KEYS {
        let reader = block.attribute(AttributeKind::Span, key)?;
        if !reader.parts().iter().all(is_plain) {
            return Ok(None);
        }
        let mut failed = None;
        reader.for_each(
            |row, part, index| match value(&reader.parts()[part], index) {
                Ok(value) => told.entry(row as u32).or_default().push(*key, value),
                Err(error) => failed = Some(error),
            },
        );
        if let Some(error) = failed {
            return Err(error);
        }
    }
    Ok(Some(told))
}

fn is_plain(part: &AttributePart<'_>) -> bool {
    matches!(
        part.value_type,
        ValueType::Null | ValueType::Bool | ValueType::Int | ValueType::Double | ValueType::String
    )
}

fn value(part: &AttributePart<'_>, index: usize) -> Result<Value, BlockError> {
    Ok(match (&part.values, part.value_type) {
        (ColumnValues::Ints(values), ValueType::Bool) => Value::Bool(values.get(index) != 0),
        (ColumnValues::Ints(values), _) => Value::Int(values.get(index)),
        (ColumnValues::Doubles(values), _) => Value::Double(values.get(index)),
        (ColumnValues::Strings(values), _) => {
            Value::String(values.get(index)?.unwrap_or_default().to_owned())
        }
        (ColumnValues::Null(_), _) => Value::Null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use spanlite_generate::{Profile, Workload};
    use spanlite_store::{OpenOptions, Store, TimeRange};

    #[test]
    fn columns_count_what_whole_traces_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("traces.spans");
        let store = Store::open(&path, OpenOptions::default()).unwrap();
        let prices = crate::prices::bundled().unwrap();
        for profile in [Profile::Small, Profile::Chat, Profile::Services] {
            let traces: Vec<_> = Workload::new(profile, 3, 40).into_iter().collect();
            store.write(&traces).unwrap();
        }
        store.seal().unwrap();
        let snapshot = store.snapshot().unwrap();
        let blocks = snapshot.blocks().unwrap();
        assert!(!blocks.is_empty());
        let fields = ["name", "type", "status", "model", "provider"].map(Field::parse);
        assert!(tell(&fields) && !tell(&[Field::parse("session")]));
        let mut columns = Groups::new(fields.to_vec());
        let mut whole = Groups::new(fields.to_vec());
        for mut trace in snapshot.traces(TimeRange::default()).map(Result::unwrap) {
            if !snapshot.is_loose(trace.trace_id).unwrap() {
                prices.apply(&mut trace);
                whole.add(&trace, |_| true);
            }
        }
        let mut n_told = 0;
        for block in blocks {
            let reader = block.reader().unwrap();
            let wanted = vec![true; reader.n_traces()];
            n_told += usize::from(add_block(&mut columns, &reader, &wanted, &prices).unwrap());
        }
        assert!(n_told > 0);
        assert_eq!(columns.range, whole.range);
        let (columns, whole) = (columns.finish(), whole.finish());
        assert!(columns.len() > 10);
        for (ours, theirs) in columns.iter().zip(&whole) {
            assert_eq!(ours.0, theirs.0);
            assert_eq!(
                (
                    ours.1.spans,
                    ours.1.errors,
                    ours.1.usage,
                    ours.1.without_cost
                ),
                (
                    theirs.1.spans,
                    theirs.1.errors,
                    theirs.1.usage,
                    theirs.1.without_cost
                )
            );
            assert_eq!(ours.1.percentile(95), theirs.1.percentile(95));
            let close = (ours.1.cost.unwrap_or(0.0) - theirs.1.cost.unwrap_or(0.0)).abs() < 1e-9;
            assert!(close, "{:?} {:?}", ours.1.cost, theirs.1.cost);
        }
        assert_eq!(columns.len(), whole.len());
    }
}
