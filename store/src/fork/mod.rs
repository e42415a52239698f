//! Keeps a forked child away from what its parent opened.
//!
//! A child inherits open file descriptions and with them the parent's locks. Writing through an
//! inherited redb handle, or only dropping it, destroys the parent's database. So everything that
//! holds one sits in a [`PerProcess`]: after a fork the child sees an empty slot, fills it with
//! handles of its own when it first needs them, and never touches or drops the inherited value.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::OnceLock;
#[cfg(unix)]
use std::sync::atomic::AtomicI32;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the forks between the first process that used the store and this one.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// How often the line of processes forked since the first store was opened in it: a number that
/// differs between a process and its forked children. Costs one load.
#[inline]
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// Makes sure that forks are noticed from here on. To be called before the first handle opens.
pub(crate) fn watch() {
    static WATCHED: OnceLock<()> = OnceLock::new();
    WATCHED.get_or_init(register);
}

#[cfg(unix)]
#[expect(unsafe_code, reason = "pthread_atfork has no safe form")]
fn register() {
    extern "C" fn child() {
        GENERATION.fetch_add(1, Ordering::Relaxed);
        for slot in &CLOSED_IN_CHILD {
            let file = slot.swap(NO_FILE, Ordering::Relaxed);
            if file != NO_FILE {
                // SAFETY: the descriptor is the child's copy of one that a `ClosedInChild` of the
                // parent registered. Its owner is leaked in the child, so nobody uses or closes
                // it again.
                unsafe { libc::close(file) };
            }
        }
    }
    // SAFETY: the handler does atomic operations and calls `close`, which are safe between fork
    // and exec, and it lives as long as the program. A failure (ENOMEM) leaves forks unnoticed; there is no other
    // way to notice them that costs nothing at every append.
    unsafe {
        libc::pthread_atfork(None, None, Some(child));
    }
}

#[cfg(not(unix))]
fn register() {}

#[cfg(unix)]
const NO_FILE: i32 = -1;
/// Files whose lock says that their owner lives. A child that kept its copy open would hold the
/// lock after the parent's death.
#[cfg(unix)]
static CLOSED_IN_CHILD: [AtomicI32; 64] = [const { AtomicI32::new(NO_FILE) }; 64];

/// Closes a file in forked children for as long as this lives. Beyond 64 files at a time it does
/// not: then the lock is held until the children end.
///
/// The owner of the file must be leaked in the child, not dropped.
#[derive(Debug)]
pub(crate) struct ClosedInChild {
    #[cfg(unix)]
    slot: Option<&'static AtomicI32>,
}

impl ClosedInChild {
    #[cfg(unix)]
    pub(crate) fn new(file: &impl std::os::fd::AsRawFd) -> Self {
        watch();
        let file = file.as_raw_fd();
        let free = |slot: &&AtomicI32| {
            slot.compare_exchange(NO_FILE, file, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        };
        Self {
            slot: CLOSED_IN_CHILD.iter().find(free),
        }
    }

    #[cfg(not(unix))]
    pub(crate) fn new(_file: &std::fs::File) -> Self {
        Self {}
    }
}

#[cfg(unix)]
impl Drop for ClosedInChild {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            slot.store(NO_FILE, Ordering::Relaxed);
        }
    }
}

/// A value that belongs to the process that made it; a forked child starts with none.
///
/// Reading takes no lock, because a lock that another thread of the parent held at the fork stays
/// taken in the child for good. The slots of parents are leaked on drop.
#[derive(Debug)]
pub(crate) struct PerProcess<T> {
    slot: Option<Box<Slot<T>>>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u64,
    value: OnceLock<T>,
    child: OnceLock<Box<Self>>,
}

impl<T> Slot<T> {
    fn new() -> Self {
        Self {
            generation: generation(),
            value: OnceLock::new(),
            child: OnceLock::new(),
        }
    }
}

impl<T> PerProcess<T> {
    /// An empty slot.
    pub(crate) fn new() -> Self {
        watch();
        Self {
            slot: Some(Box::new(Slot::new())),
        }
    }

    /// This process's value, if it was made.
    pub(crate) fn get(&self) -> Option<&T> {
        self.own().and_then(|slot| slot.value.get())
    }

    /// This process's value; made by `make` the first time.
    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> Option<&T> {
        self.own().map(|slot| slot.value.get_or_init(make))
    }

    fn own(&self) -> Option<&Slot<T>> {
        let mut slot = self.slot.as_deref()?;
        while slot.generation != generation() {
            slot = slot.child.get_or_init(|| Box::new(Slot::new()));
        }
        Some(slot)
    }
}

impl<T> Drop for PerProcess<T> {
    #[expect(
        clippy::mem_forget,
        reason = "dropping what a parent opened corrupts its files"
    )]
    fn drop(&mut self) {
        let mut next = self.slot.take();
        while let Some(mut slot) = next {
            next = slot.child.take();
            if slot.generation != generation() {
                std::mem::forget(slot);
            }
        }
    }
}

/// A value that is leaked instead of dropped in a forked child.
#[derive(Debug)]
pub(crate) struct Owned<T> {
    generation: u64,
    value: ManuallyDrop<T>,
}

impl<T> Owned<T> {
    pub(crate) fn new(value: T) -> Self {
        watch();
        Self {
            generation: generation(),
            value: ManuallyDrop::new(value),
        }
    }
}

impl<T> Deref for Owned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Drop for Owned<T> {
    #[expect(unsafe_code, reason = "dropping by hand is unsafe")]
    fn drop(&mut self) {
        if self.generation == generation() {
            // SAFETY: the value is not used again, because its owner is being dropped.
            unsafe { ManuallyDrop::drop(&mut self.value) }
        }
    }
}

#[cfg(all(test, unix))]
mod tests;

#[cfg(test)]
mod slots {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_later_generation_sees_an_empty_slot_and_never_drops_the_old_value() {
        // The counter is global, so other tests must not run PerProcess drops meanwhile: this
        // test builds the slots by hand instead of raising it.
        let value = Arc::new(());
        let old = Slot {
            generation: generation().wrapping_sub(1),
            value: OnceLock::new(),
            child: OnceLock::new(),
        };
        old.value.set(Arc::clone(&value)).unwrap();
        let cell = PerProcess {
            slot: Some(Box::new(old)),
        };
        assert!(cell.get().is_none());
        let own = Arc::new(());
        cell.get_or_init(|| Arc::clone(&own)).unwrap();
        assert!(cell.get().is_some());
        drop(cell);
        assert_eq!(
            Arc::strong_count(&value),
            2,
            "the inherited value is leaked"
        );
        assert_eq!(Arc::strong_count(&own), 1, "the own value is dropped");
        let mut owned = Owned::new(Arc::clone(&own));
        drop(Owned::new(Arc::clone(&own)));
        owned.generation = generation().wrapping_sub(1);
        drop(owned);
        assert_eq!(Arc::strong_count(&own), 2, "an inherited value is leaked");
    }
}
