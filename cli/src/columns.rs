//! Groups of spans straight from the columns of blocks, without putting the traces together.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::num::NonZero;
use std::{mem, thread};

use spanlite_model::{
    Attributes, PriceTable, Span, SpanId, SpanType, StatusCode, TokenUsage, TraceId, Value, keys,
};
use spanlite_store::block::{
    AttributeKind, AttributePart, BlockError, BlockReader, ColumnValues, LoadSection, ValueType,
};
use spanlite_store::{SealedBlock, Snapshot};

use crate::ask::Ask;
use crate::error::CliError;
use crate::group::{Counted, Covered, Field, Group, GroupKey, Groups, key_of};

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

/// Counts every span: from the columns of blocks where they tell all, else trace by trace. Blocks
/// are read on all cores and added in their order, so that sums do not differ from run to run.
pub(crate) fn count(
    snapshot: &Snapshot,
    asked: &Ask,
    fields: &[Field],
    groups: &mut Groups,
) -> Result<(), CliError> {
    let blocks = snapshot.blocks()?;
    let n_threads = thread::available_parallelism().map_or(1, NonZero::get);
    let count = |blocks: &[SealedBlock<'_>]| -> Result<Vec<_>, CliError> {
        let parts = blocks.iter();
        parts
            .map(|block| of_block(block, snapshot, asked, fields))
            .collect()
    };
    let parts: Vec<Result<Vec<_>, CliError>> = thread::scope(|scope| {
        let chunks = blocks.chunks(blocks.len().div_ceil(n_threads).max(1));
        #[expect(
            clippy::needless_collect,
            reason = "all start before the first is waited for"
        )]
        let workers: Vec<_> = chunks.map(|chunk| scope.spawn(|| count(chunk))).collect();
        let joined = workers.into_iter().map(thread::ScopedJoinHandle::join);
        joined
            .map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    for part in parts {
        for (key, group) in part?.into_iter().flatten() {
            groups.merge(key, group);
        }
    }
    for (trace_id, start) in snapshot.loose()? {
        if asked.range.contains(start) {
            add(trace_id, snapshot, asked, groups)?;
        }
    }
    Ok(())
}

/// The wanted spans of one block, in groups.
fn of_block(
    block: &SealedBlock<'_>,
    snapshot: &Snapshot,
    asked: &Ask,
    fields: &[Field],
) -> Result<Vec<(GroupKey, Group)>, CliError> {
    asked.check()?;
    let none = PriceTable::default();
    let prices = asked.prices.as_deref().unwrap_or(&none);
    let traces = block.traces()?;
    let mut wanted = Vec::with_capacity(traces.len());
    for (trace_id, start) in &traces {
        wanted.push(asked.range.contains(*start) && !snapshot.is_loose(*trace_id)?);
    }
    let told = block
        .reader()
        .and_then(|reader| of_columns(fields, &reader, &wanted, prices));
    if let Ok(Some(told)) = told {
        return Ok(told);
    }
    // What cannot be read is reported by whoever puts the traces together.
    let mut groups = Groups::new(fields.to_vec());
    for ((trace_id, _), _) in traces.iter().zip(&wanted).filter(|(_, wanted)| **wanted) {
        add(*trace_id, snapshot, asked, &mut groups)?;
    }
    Ok(groups.into_parts())
}

fn add(
    trace_id: TraceId,
    snapshot: &Snapshot,
    asked: &Ask,
    groups: &mut Groups,
) -> Result<(), CliError> {
    if let Some(mut trace) = snapshot.trace(trace_id)? {
        if let Some(prices) = &asked.prices {
            prices.apply(&mut trace);
        }
        groups.add(&trace, |_| true);
    }
    Ok(())
}

/// What tells a group inside a block, as codes of its columns and of [`Words`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Key {
    name: u32,
    span_type: u32,
    status: i64,
    model: u32,
    provider: u32,
}

/// Texts as numbers from 1; 0 is none. There are few.
#[derive(Debug, Default)]
struct Words(Vec<String>);

impl Words {
    fn code(&mut self, word: Option<&str>) -> u32 {
        let Some(word) = word else { return 0 };
        let place = self.0.iter().position(|known| known == word);
        let place = place.unwrap_or_else(|| {
            self.0.push(word.to_owned());
            self.0.len() - 1
        });
        place as u32 + 1
    }
}

/// A group, and how far it is covered in the trace that was looked at last.
struct Found {
    key: Vec<Option<String>>,
    group: Group,
    place: usize,
    covered: Covered,
}

/// The spans of those traces of a block that are wanted, in groups. Nothing where a value that
/// counts stands outside the columns.
fn of_columns<L: LoadSection>(
    fields: &[Field],
    block: &BlockReader<L>,
    wanted: &[bool],
    prices: &PriceTable,
) -> Result<Option<Vec<(GroupKey, Group)>>, BlockError> {
    let Some(mut told) = told_attributes(block)? else {
        return Ok(None);
    };
    let (names, types) = (block.names()?, block.span_types()?);
    let statuses = block.status_codes()?.to_vec();
    let durations = block.durations()?.to_vec();
    let starts = block.start_times()?;
    let structure = block.structure()?;
    let open: HashSet<u32> = block.open_spans()?.into_iter().collect();
    let by = |field: Field| fields.contains(&field);
    let (by_name, by_type) = (by(Field::Name), by(Field::Type));
    let (by_status, by_model, by_provider) =
        (by(Field::Status), by(Field::Model), by(Field::Provider));
    let (mut models, mut providers) = (Words::default(), Words::default());
    let mut numbers: HashMap<Key, usize> = HashMap::new();
    let mut found: Vec<Found> = Vec::new();
    let mut span = Span::new(TraceId::default(), SpanId::default(), "");
    for (place, bounds) in structure.span_starts.windows(2).enumerate() {
        if wanted.get(place) != Some(&true) {
            continue;
        }
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
                ..Key::default()
            };
            span.attributes = mem::take(&mut told[at]);
            if !span.attributes.is_empty() {
                names
                    .get(at)?
                    .unwrap_or_default()
                    .clone_into(&mut span.name);
                span.span_type = SpanType::from(types.get(at)?.unwrap_or_default());
                span.start_time_unix_nano = starts[at];
                counted.usage = TokenUsage::of(&span);
                counted.cost = prices.cost_that_holds(&span).total_cost;
                counted.is_model_call = span.span_type.is_model_call();
                key.model = models.code(span.model().filter(|_| by_model));
                key.provider = providers.code(span.provider().filter(|_| by_provider));
            }
            let number = match numbers.entry(key) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => {
                    names
                        .get(at)?
                        .unwrap_or_default()
                        .clone_into(&mut span.name);
                    span.span_type = SpanType::from(types.get(at)?.unwrap_or_default());
                    span.status.code = status_code(statuses[at]);
                    found.push(Found {
                        key: key_of(fields, &span),
                        group: Group::default(),
                        place,
                        covered: Covered::default(),
                    });
                    *new.insert(found.len() - 1)
                }
            };
            let found = &mut found[number];
            if found.place != place {
                (found.place, found.covered) = (place, Covered::default());
            }
            found
                .group
                .add(&counted, row, structure.ends[at], &mut found.covered);
        }
    }
    let found = found.into_iter().map(|found| (found.key, found.group));
    Ok(Some(found.collect()))
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
) -> Result<Option<Vec<Attributes>>, BlockError> {
    let mut told = vec![Attributes::default(); block.n_spans()];
    for key in keys::COST_KEYS {
        let reader = block.attribute(AttributeKind::Span, key)?;
        if !reader.parts().iter().all(is_plain) {
            return Ok(None);
        }
        let mut failed = None;
        reader.for_each(
            |row, part, index| match value(&reader.parts()[part], index) {
                Ok(value) => told[row].push(*key, value),
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
            let part = of_columns(&fields, &reader, &wanted, &prices).unwrap();
            n_told += usize::from(part.is_some());
            part.into_iter()
                .flatten()
                .for_each(|(key, group)| columns.merge(key, group));
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
