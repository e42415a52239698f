use spanlite_model::{Resource, keys};

use super::super::BlockError;
use super::super::attributes::{ColumnValues, ValueType};
use super::super::bytes::put_bytes;
use super::super::reader::{BlockReader, LoadSection};
use super::super::shared::read_resource;
use super::super::strings::Strings;
use super::super::terms::TermField;
use super::super::value::put_value;
use super::AttributeKind;

/// The places in a block that have a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matches {
    /// Traces, ascending.
    Traces(Vec<u32>),
    /// Spans by their numbers in the block, ascending.
    Spans(Vec<u32>),
}

impl<L: LoadSection> BlockReader<L> {
    /// The traces or spans whose `field` has the text `value`, exactly.
    ///
    /// Reads the one column the value may stand in, which takes a few microseconds; asking the
    /// Bloom filter of the header first saves that for most blocks. Values of 256 bytes or more
    /// are not found: they stand among the texts.
    pub fn find_value(&self, field: TermField<'_>, value: &str) -> Result<Matches, BlockError> {
        Ok(match field {
            TermField::Name => Matches::Spans(rows_named(&self.names()?, value)),
            TermField::SpanType => Matches::Spans(rows_with(&self.span_types()?, value)),
            TermField::RootName => {
                let structure = self.structure()?;
                let names = self.names()?;
                let roots = structure.span_starts.windows(2).enumerate();
                let mut traces = Vec::new();
                for (trace, bound) in roots {
                    if let Some(root) = root_of(structure, bound[0], bound[1])
                        && names.get(root as usize)?.unwrap_or_default() == value
                    {
                        traces.push(trace as u32);
                    }
                }
                Matches::Traces(traces)
            }
            TermField::Service => self.resources_with(|resource| {
                resource.attributes.get_str(keys::SERVICE_NAME) == Some(value)
            })?,
            TermField::Resource(key) => {
                self.resources_with(|resource| resource.attributes.get_str(key) == Some(value))?
            }
            TermField::Session => Matches::Traces(rows_with(&self.sessions()?, value)),
            TermField::User => Matches::Traces(rows_with(&self.users()?, value)),
            TermField::Tag(key) => {
                Matches::Traces(self.attribute_rows(AttributeKind::Tag, key, value)?)
            }
            TermField::Metadata(key) => {
                Matches::Traces(self.attribute_rows(AttributeKind::Metadata, key, value)?)
            }
            TermField::Attribute(key) => {
                Matches::Spans(self.attribute_rows(AttributeKind::Span, key, value)?)
            }
            TermField::EventName => {
                self.spans_of_events(&rows_named(&self.event_names()?, value))?
            }
            TermField::EventAttribute(key) => {
                let events = self.attribute_rows(AttributeKind::Event, key, value)?;
                self.spans_of_events(&events)?
            }
        })
    }

    fn attribute_rows(
        &self,
        kind: AttributeKind,
        key: &str,
        value: &str,
    ) -> Result<Vec<u32>, BlockError> {
        let attribute = self.attribute(kind, key)?;
        let mut overflow = Vec::new();
        put_bytes(&mut overflow, key.as_bytes());
        put_value(&mut overflow, &value.into());
        let code = |values: &Strings<'_>, bytes: &[u8]| values.code_of(bytes);
        let wanted: Vec<Option<(&Strings<'_>, u32)>> = attribute
            .parts()
            .iter()
            .map(|part| match (&part.values, part.value_type) {
                (ColumnValues::Strings(texts), ValueType::String) => {
                    Some((texts, code(texts, value.as_bytes())?))
                }
                (ColumnValues::Strings(entries), ValueType::Overflow) => {
                    Some((entries, code(entries, &overflow)?))
                }
                _ => None,
            })
            .collect();
        let mut rows = Vec::new();
        if wanted.iter().any(Option::is_some) {
            attribute.for_each(|row, part, index| {
                if let Some((texts, code)) = &wanted[part]
                    && texts.code(index) == *code
                {
                    rows.push(row as u32);
                }
            });
        }
        Ok(rows)
    }

    fn resources_with(&self, matches: impl Fn(&Resource) -> bool) -> Result<Matches, BlockError> {
        let resources = self.resources()?;
        let mut wanted = vec![matches(&Resource::default())];
        for entry in 0..resources.n_entries() {
            let bytes = resources.entry_bytes(entry).unwrap_or_default();
            wanted.push(matches(&read_resource(bytes)?));
        }
        let mut rows = Vec::new();
        resources.for_each_code(0, resources.len(), |row, code| {
            if wanted.get(code as usize) == Some(&true) {
                rows.push(row as u32);
            }
        });
        Ok(Matches::Spans(rows))
    }

    /// The spans that events belong to, each once.
    fn spans_of_events(&self, events: &[u32]) -> Result<Matches, BlockError> {
        let counts = self.event_counts()?;
        let mut spans = Vec::new();
        let mut events = events.iter().peekable();
        let mut end = 0u64;
        counts.for_each(0, counts.len(), |span, count| {
            end = end.saturating_add(count as u64);
            let mut found = false;
            while events.next_if(|event| u64::from(**event) < end).is_some() {
                found = true;
            }
            if found {
                spans.push(span as u32);
            }
        });
        Ok(Matches::Spans(spans))
    }
}

/// The root of the trace whose spans these are: the first that names no parent, else the first.
fn root_of(structure: &super::Structure, first: u32, end: u32) -> Option<u32> {
    let mut root = first;
    while root < end {
        if structure.orphans.binary_search(&root).is_err() {
            return Some(root);
        }
        root = *structure.ends.get(root as usize)?;
    }
    (first < end).then_some(first)
}

fn rows_with(column: &Strings<'_>, value: &str) -> Vec<u32> {
    let code = column.code_of(value.as_bytes());
    code.map_or_else(Vec::new, |code| rows_of_code(column, code))
}

/// The same for names, which have code 0 where they are empty.
fn rows_named(column: &Strings<'_>, name: &str) -> Vec<u32> {
    match name {
        "" => rows_of_code(column, 0),
        name => rows_with(column, name),
    }
}

fn rows_of_code(column: &Strings<'_>, code: u32) -> Vec<u32> {
    let mut rows = Vec::new();
    column.for_each_code(0, column.len(), |row, found| {
        if found == code {
            rows.push(row as u32);
        }
    });
    rows
}
