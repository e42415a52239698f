//! Blocks on all cores.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// More threads than this are not used; each holds what it reads of one block.
const MAX_THREADS: usize = 16;
/// So many blocks are searched before their turn has come, at most.
pub(super) const MAX_AHEAD: usize = 128;

/// How many blocks are searched at once: one first, since most queries want the newest traces
/// only, then twice as many each time.
#[derive(Debug, Default)]
pub(super) struct Ahead(usize);

impl Ahead {
    pub(super) fn grow(&mut self) -> usize {
        self.0 = (self.0 * 2).clamp(1, MAX_AHEAD);
        self.0
    }
}

fn n_threads() -> usize {
    std::thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(MAX_THREADS)
}

/// What `work` gives for each item, in their order; several run at once.
pub(crate) fn map<I: Sync, T: Send>(items: &[I], work: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let n_threads = n_threads().min(items.len() / 2);
    if n_threads < 2 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::with_capacity(items.len()));
    let run = || {
        let mut own = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(number) else { break };
            own.push((number, work(item)));
        }
        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
        done.extend(own);
    };
    std::thread::scope(|scope| {
        // A thread that cannot be started leaves its part to the others.
        for _ in 1..n_threads {
            drop(std::thread::Builder::new().spawn_scoped(scope, run));
        }
        run();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_the_order_of_the_items() {
        let items: Vec<u64> = (0..1_000).collect();
        let squares: Vec<u64> = items.iter().map(|n| n * n).collect();
        assert_eq!(map(&items, |n| n * n), squares);
        assert_eq!(map(&items[..1], |n| n * n), [0]);
        assert!(map(&items[..0], |n| n * n).is_empty());
    }

    #[test]
    fn more_blocks_are_searched_each_time_up_to_a_limit() {
        let mut ahead = Ahead::default();
        let grown: Vec<usize> = (0..9).map(|_| ahead.grow()).collect();
        assert_eq!(grown, [1, 2, 4, 8, 16, 32, 64, 128, 128]);
    }
}
