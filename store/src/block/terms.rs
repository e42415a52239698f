//! The Bloom filter of a block: which indexed values its traces have.

use spanlite_model::TraceId;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Bits of the filter for every term; with [`N_PROBES`] that makes 0.3 % false positives.
const BITS_PER_TERM: usize = 12;
const N_PROBES: u64 = 8;
/// Longer values are not indexed.
pub(super) const MAX_TERM_BYTES: usize = 64;
/// A field with more distinct values in a block is not indexed there.
pub(super) const MAX_VALUES_PER_FIELD: usize = 4_096;
/// A block has no more terms than this beside its trace ids.
pub(super) const MAX_TERMS: usize = 16_384;

/// A field whose values a block's Bloom filter knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TermField<'a> {
    /// Names of spans.
    Name,
    /// Names of root spans.
    RootName,
    /// Types of spans.
    SpanType,
    /// `service.name` of the resource.
    Service,
    /// The session of a trace.
    Session,
    /// The user of a trace.
    User,
    /// A tag of a trace, by its key.
    Tag(&'a str),
    /// An entry of a trace's metadata, by its key.
    Metadata(&'a str),
    /// An attribute of a span, by its key.
    Attribute(&'a str),
    /// An attribute of a resource, by its key.
    Resource(&'a str),
    /// Names of events.
    EventName,
    /// An attribute of an event, by its key.
    EventAttribute(&'a str),
}

impl TermField<'_> {
    /// The hash that stands for the field on disk.
    pub(super) fn hash(self) -> u64 {
        let (number, key) = match self {
            Self::Name => (1, ""),
            Self::RootName => (2, ""),
            Self::SpanType => (3, ""),
            Self::Service => (4, ""),
            Self::Session => (5, ""),
            Self::User => (6, ""),
            Self::Tag(key) => (7, key),
            Self::Metadata(key) => (8, key),
            Self::Attribute(key) => (9, key),
            Self::Resource(key) => (10, key),
            Self::EventName => (11, ""),
            Self::EventAttribute(key) => (12, key),
        };
        xxh3_64_with_seed(key.as_bytes(), number)
    }
}

/// A value that a Bloom filter is asked for. Made once, asked of every block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Term {
    pub(super) field: u64,
    pub(super) hash: u64,
}

impl Term {
    /// Spans or traces whose `field` has the text `value`.
    pub fn new(field: TermField<'_>, value: &str) -> Self {
        let field = field.hash();
        let hash = if value.len() > MAX_TERM_BYTES {
            field
        } else {
            xxh3_64_with_seed(value.as_bytes(), field)
        };
        Self { field, hash }
    }

    /// Spans or traces that have `field` at all.
    pub fn exists(field: TermField<'_>) -> Self {
        let field = field.hash();
        Self { field, hash: field }
    }

    /// The trace with this id.
    pub fn trace_id(trace_id: TraceId) -> Self {
        Self {
            field: 0,
            hash: xxh3_64(trace_id.as_bytes()),
        }
    }
}

/// The terms of a block, while it is encoded.
#[derive(Debug, Default)]
pub(super) struct TermsBuilder {
    hashes: Vec<u64>,
    n_field_terms: usize,
    overflowed: Vec<u64>,
}

impl TermsBuilder {
    pub(super) fn add_trace(&mut self, trace_id: TraceId) {
        self.hashes.push(Term::trace_id(trace_id).hash);
    }

    /// Adds the distinct values of a field. A field may be added in several parts.
    pub(super) fn add_field(
        &mut self,
        field: TermField<'_>,
        values: impl ExactSizeIterator<Item = impl AsRef<[u8]>>,
    ) {
        let field = field.hash();
        self.hashes.push(field);
        if values.len() > MAX_VALUES_PER_FIELD || self.n_field_terms + values.len() > MAX_TERMS {
            self.overflowed.push(field);
            return;
        }
        self.n_field_terms += values.len();
        for value in values {
            let value = value.as_ref();
            if value.len() <= MAX_TERM_BYTES {
                self.hashes.push(xxh3_64_with_seed(value, field));
            }
        }
    }

    /// Says that the field has values which are no terms.
    pub(super) fn add_unindexed(&mut self, field: TermField<'_>) {
        let field = field.hash();
        self.hashes.push(field);
        if !self.overflowed.contains(&field) {
            self.overflowed.push(field);
        }
    }

    /// The hashes of the fields that are not indexed because they have too many values.
    pub(super) fn overflowed(&self) -> &[u64] {
        &self.overflowed
    }

    /// The bits of the filter.
    pub(super) fn to_bits(&self) -> Vec<u8> {
        let mut hashes = self.hashes.clone();
        hashes.sort_unstable();
        hashes.dedup();
        let mut bits = vec![0; (hashes.len() * BITS_PER_TERM).div_ceil(8)];
        let n_bits = bits.len() as u64 * 8;
        for hash in hashes {
            for bit in probes(hash, n_bits) {
                bits[bit / 8] |= 1 << (bit % 8);
            }
        }
        bits
    }
}

/// The bits of a term: double hashing with the two halves of its hash.
fn probes(hash: u64, n_bits: u64) -> impl Iterator<Item = usize> {
    let step = (hash >> 32) | 1;
    (0..N_PROBES).map(move |probe| {
        let mixed = hash.wrapping_add(probe.wrapping_mul(step)) as u32;
        ((u64::from(mixed) * n_bits) >> 32) as usize
    })
}

/// Returns whether a filter may have the term; a filter without bits has none.
pub(super) fn may_have(bits: &[u8], hash: u64) -> bool {
    let n_bits = bits.len() as u64 * 8;
    !bits.is_empty() && probes(hash, n_bits).all(|bit| bits[bit / 8] >> (bit % 8) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_term_is_missed_and_few_are_seen_that_are_not_there() {
        let mut terms = TermsBuilder::default();
        let values: Vec<String> = (0..4_000).map(|n| format!("user-{n}")).collect();
        terms.add_field(TermField::Tag("user"), values.iter());
        let bits = terms.to_bits();
        let asked = |value: &str| may_have(&bits, Term::new(TermField::Tag("user"), value).hash);
        assert!(values.iter().all(|value| asked(value)));
        assert!(may_have(&bits, Term::exists(TermField::Tag("user")).hash));
        let wrong = (0..10_000)
            .filter(|n| asked(&format!("nobody-{n}")))
            .count();
        assert!(wrong < 100, "{wrong} of 10,000 false positives");
        assert!(!may_have(&[], 1));
    }

    #[test]
    fn fields_with_too_many_values_overflow() {
        let mut terms = TermsBuilder::default();
        let values = vec![b"x".as_slice(); MAX_VALUES_PER_FIELD + 1];
        terms.add_field(TermField::Name, values.into_iter());
        assert_eq!(terms.overflowed(), [TermField::Name.hash()]);
    }
}
