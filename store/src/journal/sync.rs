//! Makes appended records durable one file sync for many threads at a time.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Lets threads that wait for the same disk share its syncs.
#[derive(Debug, Default)]
pub(super) struct GroupSync {
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Syncs that have begun.
    begun: u64,
    /// The last sync that has ended, and how.
    ended: u64,
    running: bool,
    /// The last sync that failed.
    failed: u64,
}

impl GroupSync {
    /// Returns when a sync that began after this call has ended. False: it failed.
    pub(super) fn wait(&self, sync: impl FnOnce() -> io::Result<()>) -> bool {
        let mut state = self.lock();
        // One that runs already may have passed over what the caller wrote.
        let mine = state.begun + 1;
        while state.ended < mine && state.running {
            state = self
                .done
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.ended < mine {
            state.running = true;
            state.begun += 1;
            let number = state.begun;
            drop(state);
            let synced = sync().is_ok();
            state = self.lock();
            state.running = false;
            state.ended = number;
            if !synced {
                state.failed = number;
            }
            self.done.notify_all();
        }
        state.failed < mine
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn every_wait_sees_a_sync_that_began_after_it() {
        let group = Arc::new(GroupSync::default());
        let written = Arc::new(AtomicU64::new(0));
        let on_disk = Arc::new(AtomicU64::new(0));
        let syncs = Arc::new(AtomicU64::new(0));
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let (group, written) = (Arc::clone(&group), Arc::clone(&written));
                let (on_disk, syncs) = (Arc::clone(&on_disk), Arc::clone(&syncs));
                std::thread::spawn(move || {
                    for _ in 0..200 {
                        let mine = written.fetch_add(1, Ordering::SeqCst) + 1;
                        assert!(group.wait(|| {
                            let seen = written.load(Ordering::SeqCst);
                            syncs.fetch_add(1, Ordering::SeqCst);
                            std::thread::yield_now();
                            on_disk.fetch_max(seen, Ordering::SeqCst);
                            Ok(())
                        }));
                        assert!(on_disk.load(Ordering::SeqCst) >= mine);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(syncs.load(Ordering::SeqCst) <= 1600);
    }

    #[test]
    fn a_failed_sync_is_told_to_those_who_waited_for_it_alone() {
        let group = GroupSync::default();
        assert!(!group.wait(|| Err(io::ErrorKind::StorageFull.into())));
        assert!(group.wait(|| Ok(())));
    }
}
