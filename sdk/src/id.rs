//! Makes trace ids and span ids.

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};

use spanlite_model::{SpanId, TraceId};

thread_local! {
    /// State of the generator, and the process it was seeded in; a state of 0 is not seeded.
    static STATE: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Sixty-four bits that no other thread or process gets, except by chance.
///
/// This is splitmix64 (Steele, Lea, Flood 2014), seeded for each thread from the keys of a
/// [`RandomState`], which come from the system. Good enough for ids, useless for secrets.
#[inline]
fn random() -> u64 {
    let process = spanlite_store::fork_generation();
    let next = |(state, seeded): (u64, u64)| {
        if state == 0 || seeded != process {
            seed(process)
        } else {
            state
        }
        .wrapping_add(0x9e37_79b9_7f4a_7c15)
    };
    let state = STATE
        .try_with(|cell| {
            let state = next(cell.get());
            cell.set((state, process));
            state
        })
        .unwrap_or_else(|_| next((0, process)));
    let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cold]
fn seed(process: u64) -> u64 {
    let place = (
        process,
        std::process::id(),
        std::thread::current().id(),
        std::time::Instant::now(),
    );
    RandomState::new().hash_one(place)
}

/// A span id, never zero.
#[inline]
pub(crate) fn span_id() -> SpanId {
    SpanId::from_bytes(random().max(1).to_be_bytes())
}

/// A trace id in the layout of UUID version 7 (RFC 9562, 5.7): 48 bits of Unix milliseconds, then
/// random bits around version and variant.
#[inline]
pub(crate) fn trace_id(unix_nanos: u64) -> TraceId {
    let millis = u128::from(unix_nanos / 1_000_000) & 0xffff_ffff_ffff;
    let random_a = u128::from(random() & 0xfff);
    let random_b = u128::from(random() >> 2);
    let id = millis << 80 | 7 << 76 | random_a << 64 | 0b10 << 62 | random_b;
    TraceId::from_bytes(id.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ_across_threads() {
        let mut ids: HashSet<SpanId> = HashSet::new();
        for _ in 0..4 {
            let thread = std::thread::spawn(|| (0..1000).map(|_| span_id()).collect::<Vec<_>>());
            ids.extend(thread.join().unwrap());
        }
        assert_eq!(ids.len(), 4000);
    }

    #[test]
    fn trace_ids_have_the_layout_of_uuid_7() {
        let id = trace_id(0x0123_4567_89ab * 1_000_000).to_hex();
        assert!(id.starts_with("0123456789ab7"), "{id}");
        assert!(
            matches!(id.as_bytes()[16], b'8' | b'9' | b'a' | b'b'),
            "{id}"
        );
    }
}
