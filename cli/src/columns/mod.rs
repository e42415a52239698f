//! Groups of spans straight from the columns of blocks, without putting the traces together.

mod calls;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZero;
use std::thread;

use spanlite_model::{PriceTable, SpanType, StatusCode, TraceId};
use spanlite_store::block::{BlockReader, LoadSection, Strings};
use spanlite_store::{SealedBlock, Snapshot};

use self::calls::{Calls, Models, Untold, Words};
use crate::ask::Ask;
use crate::error::CliError;
use crate::group::{Counted, Covered, Field, Group, GroupKey, Groups};

/// The number of a failed status.
const ERROR: i64 = 2;
/// Blocks that are counted together. What they add up to is added to the others' in their order,
/// so that sums of costs do not depend on the number of cores.
const BLOCKS_AT_ONCE: usize = 16;

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
/// are read on all cores.
pub(crate) fn count(
    snapshot: &Snapshot,
    asked: &Ask,
    fields: &[Field],
    groups: &mut Groups,
) -> Result<(), CliError> {
    let blocks = snapshot.blocks()?;
    let parts: Vec<_> = blocks.chunks(BLOCKS_AT_ONCE).collect();
    let n_threads = thread::available_parallelism().map_or(1, NonZero::get);
    let count = |parts: &[&[SealedBlock<'_>]]| -> Result<Vec<_>, CliError> {
        let parts = parts.iter();
        parts
            .map(|blocks| of_blocks(blocks, snapshot, asked, fields))
            .collect()
    };
    let counted: Vec<Result<Vec<_>, CliError>> = thread::scope(|scope| {
        let chunks = parts.chunks(parts.len().div_ceil(n_threads).max(1));
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
    for part in counted {
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

/// The wanted spans of some blocks, in groups.
fn of_blocks(
    blocks: &[SealedBlock<'_>],
    snapshot: &Snapshot,
    asked: &Ask,
    fields: &[Field],
) -> Result<Vec<(GroupKey, Group)>, CliError> {
    let none = PriceTable::default();
    let mut tally = Tally::new(fields, asked.prices.as_deref().unwrap_or(&none));
    let mut others = Groups::new(fields.to_vec());
    for block in blocks {
        asked.check()?;
        let traces = block.traces()?;
        let mut wanted = Vec::with_capacity(traces.len());
        for (trace_id, start) in &traces {
            wanted.push(asked.range.contains(*start) && !snapshot.is_loose(*trace_id)?);
        }
        let reader = block.reader().map_err(Untold::from);
        if reader
            .and_then(|reader| tally.add(&reader, &wanted))
            .is_ok()
        {
            continue;
        }
        // What cannot be read is reported by whoever puts the traces together.
        for ((trace_id, _), _) in traces.iter().zip(&wanted).filter(|(_, wanted)| **wanted) {
            add(*trace_id, snapshot, asked, &mut others)?;
        }
    }
    let mut groups = tally.finish();
    groups.extend(others.into_parts());
    Ok(groups)
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

/// What tells a group, as numbers of [`Words`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Key {
    name: u32,
    span_type: u32,
    status: u32,
    model: u32,
    provider: u32,
}

/// A group, and how far it is covered in the trace that was looked at last.
struct Found {
    key: Key,
    group: Group,
    trace: (u32, usize),
    covered: Covered,
}

/// The spans of some blocks in groups.
struct Tally<'t> {
    fields: &'t [Field],
    models: Models<'t>,
    names: Words,
    types: Words,
    n_blocks: u32,
    numbers: HashMap<Key, usize>,
    found: Vec<Found>,
}

impl<'t> Tally<'t> {
    fn new(fields: &'t [Field], prices: &'t PriceTable) -> Self {
        Self {
            fields,
            models: Models::new(prices),
            names: Words::default(),
            types: Words::default(),
            n_blocks: 0,
            numbers: HashMap::new(),
            found: Vec::new(),
        }
    }

    /// Adds the spans of those traces of a block that are wanted: all, or none where a value that
    /// counts stands outside the columns.
    fn add<L: LoadSection>(
        &mut self,
        block: &BlockReader<L>,
        wanted: &[bool],
    ) -> Result<(), Untold> {
        let is_by = |field: Field| self.fields.contains(&field);
        let (by_name, by_type) = (is_by(Field::Name), is_by(Field::Type));
        let (by_status, by_model) = (is_by(Field::Status), is_by(Field::Model));
        let by_provider = is_by(Field::Provider);
        let names = if by_name {
            codes(&block.names()?, &mut self.names)?
        } else {
            Vec::new()
        };
        let types = codes(&block.span_types()?, &mut self.types)?;
        let kinds: Vec<SpanType> = self.types.all().map(SpanType::from).collect();
        let statuses = block.status_codes()?.to_vec();
        let durations = block.durations()?.to_vec();
        let starts = block.start_times()?;
        let open = block.open_spans()?;
        let structure = block.structure()?;
        let calls = Calls::read(block, &mut self.models)?;
        self.n_blocks += 1;
        let unknown = SpanType::from("");
        for (place, bounds) in structure.span_starts.windows(2).enumerate() {
            if wanted.get(place) != Some(&true) {
                continue;
            }
            for row in bounds[0]..bounds[1] {
                let at = row as usize;
                let span_type = types[at].checked_sub(1).map(|place| &kinds[place as usize]);
                let mut counted = Counted {
                    is_error: statuses[at] == ERROR,
                    start_unix_nano: starts[at],
                    nanos: open
                        .binary_search(&row)
                        .is_err()
                        .then(|| durations[at].max(0) as u64),
                    ..Counted::default()
                };
                calls.count(
                    at,
                    span_type.unwrap_or(&unknown),
                    &mut self.models,
                    &mut counted,
                );
                let pick = |is_by: bool, code: u32| if is_by { code } else { 0 };
                let key = Key {
                    name: names.get(at).copied().unwrap_or(0),
                    span_type: pick(by_type, types[at]),
                    status: pick(by_status, statuses[at] as u32),
                    model: pick(by_model, calls.model(at)),
                    provider: pick(by_provider, calls.provider(at)),
                };
                let trace = (self.n_blocks, place);
                let number = match self.numbers.entry(key) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(new) => {
                        self.found.push(Found {
                            key,
                            group: Group::default(),
                            trace,
                            covered: Covered::default(),
                        });
                        *new.insert(self.found.len() - 1)
                    }
                };
                let found = &mut self.found[number];
                if found.trace != trace {
                    (found.trace, found.covered) = (trace, Covered::default());
                }
                let end = structure.ends[at];
                found.group.add(&counted, row, end, &mut found.covered);
            }
        }
        Ok(())
    }

    fn finish(self) -> Vec<(GroupKey, Group)> {
        let named = |key: Key| {
            let text = |field: &Field| {
                let text = match field {
                    Field::Name => self.names.word(key.name),
                    Field::Type => self.types.word(key.span_type),
                    Field::Status => Some(status_code(key.status).as_str()),
                    Field::Model => self.models.models.word(key.model),
                    Field::Provider => self.models.providers.word(key.provider),
                    _ => None,
                };
                text.filter(|text| !text.is_empty()).map(ToOwned::to_owned)
            };
            self.fields.iter().map(text).collect()
        };
        let found = self.found.iter();
        found
            .map(|found| (named(found.key), found.group.clone()))
            .collect()
    }
}

/// The texts of a column as numbers of words.
fn codes(column: &Strings<'_>, words: &mut Words) -> Result<Vec<u32>, Untold> {
    let mut numbers = vec![0];
    for entry in 0..column.n_entries() {
        numbers.push(words.code(column.entry(entry)?));
    }
    let mut codes = Vec::with_capacity(column.len());
    column.for_each_code(0, column.len(), |_, code| {
        codes.extend(numbers.get(code as usize));
    });
    if codes.len() == column.len() {
        Ok(codes)
    } else {
        Err(Untold::Damaged)
    }
}

fn status_code(number: u32) -> StatusCode {
    match i64::from(number) {
        1 => StatusCode::Ok,
        ERROR => StatusCode::Error,
        _ => StatusCode::Unset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spanlite_generate::{Profile, Workload};
    use spanlite_model::{Span, SpanId, Trace, Value, keys};
    use spanlite_store::{OpenOptions, Store, TimeRange};

    /// Calls of the same model whose tokens and costs are written in different ways.
    fn calls() -> Trace {
        let map = |entries: &[(&str, Value)]| {
            let entries = entries.iter();
            let entries = entries.map(|(key, value)| ((*key).to_owned(), value.clone()));
            Value::Map(entries.collect())
        };
        let usage = map(&[
            ("input_tokens", Value::Int(1_000)),
            ("output_tokens", Value::Int(20)),
            ("cache_read_input_tokens", Value::Int(300)),
        ]);
        let cost = map(&[("total_cost", Value::Double(0.25))]);
        let json = usage.to_json_text();
        let says: [&[(&str, Value)]; 9] = [
            &[(keys::MLFLOW_TOKEN_USAGE, usage.clone())],
            &[(keys::MLFLOW_TOKEN_USAGE, json.as_str().into())],
            &[
                (keys::MLFLOW_TOKEN_USAGE, usage),
                (keys::MLFLOW_LLM_COST, cost.clone()),
            ],
            &[(keys::MLFLOW_LLM_COST, cost)],
            &[
                ("gen_ai.usage.input_tokens", "no number".into()),
                ("gen_ai.usage.prompt_tokens", "7".into()),
                ("usage.completion_tokens", Value::Double(9.0)),
            ],
            &[
                ("gen_ai.usage.input_tokens", Value::Int(-1)),
                ("llm.usage.prompt_tokens", Value::Int(11)),
                ("llm.token_count.total", Value::Int(12)),
            ],
            &[
                ("span.type", "llm_request".into()),
                ("input_tokens", Value::Int(5)),
                ("output_tokens", Value::Int(6)),
                ("cache_read_tokens", Value::Int(70)),
            ],
            &[
                ("span.type", "llm_request".into()),
                ("input_tokens", Value::Int(i64::MAX)),
                ("cache_read_tokens", Value::Int(i64::MAX)),
                ("cache_creation_tokens", Value::Int(i64::MAX)),
            ],
            &[("gen_ai.usage.input_tokens", Value::Null)],
        ];
        let trace_id = TraceId::from_bytes([9; 16]);
        let spans = says.iter().zip(1_u64..).map(|(says, number)| {
            let name = ["claude_code.request", "chat"][number as usize / 8];
            let mut span = Span::new(trace_id, SpanId::from_bytes(number.to_be_bytes()), name);
            span.span_type = SpanType::Llm;
            span.start_time_unix_nano = 1_786_569_488_000_000_000 + number;
            span.end_time_unix_nano = Some(span.start_time_unix_nano + 1_000);
            span.attributes.push(keys::GEN_AI_REQUEST_MODEL, "gpt-4o");
            span.attributes.push(keys::GEN_AI_PROVIDER_NAME, "openai");
            for (key, value) in *says {
                span.attributes.push(*key, value.clone());
            }
            span
        });
        Trace::new(trace_id, spans.collect())
    }

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
        store.write(&[calls()]).unwrap();
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
        let mut tally = Tally::new(&fields, &prices);
        for block in blocks {
            let reader = block.reader().unwrap();
            let wanted = vec![true; reader.n_traces()];
            tally.add(&reader, &wanted).unwrap();
        }
        for (key, group) in tally.finish() {
            columns.merge(key, group);
        }
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
