//! A lock for what one thread uses all the time and others hardly ever.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

/// A lock that is taken by one atomic exchange and given back by a store, half of what a `Mutex`
/// costs. Who has to wait yields the processor until it is free, so it is for short holds.
#[derive(Debug, Default)]
pub(in super::super) struct Latch<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached only through a `Guard`, of which `taken` allows one at a time, so
// sharing the latch moves the value between threads and nothing more.
unsafe impl<T: Send> Sync for Latch<T> {}

/// The right to use the value of a [`Latch`].
#[derive(Debug)]
pub(in super::super) struct Guard<'a, T> {
    latch: &'a Latch<T>,
}

impl<T> Latch<T> {
    /// Takes the latch, waiting for whoever has it.
    #[inline]
    pub(in super::super) fn lock(&self) -> Guard<'_, T> {
        loop {
            if let Some(guard) = self.try_lock() {
                return guard;
            }
            std::thread::yield_now();
        }
    }

    /// Takes the latch if nobody has it.
    #[inline]
    pub(in super::super) fn try_lock(&self) -> Option<Guard<'_, T>> {
        let taken = self.taken.swap(true, Ordering::Acquire);
        // Made only when it is right: dropping a guard gives the latch back.
        (!taken).then(|| Guard { latch: self })
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: while this guard lives nobody else has one, and `&self` excludes `deref_mut`.
        unsafe { &*self.latch.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: while this guard lives nobody else has one, and `&mut self` excludes `deref`.
        unsafe { &mut *self.latch.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.latch.taken.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn one_thread_at_a_time_has_it() {
        let latch = Arc::new(Latch::<[u64; 4]>::default());
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let latch = Arc::clone(&latch);
                std::thread::spawn(move || {
                    for _ in 0..10_000 {
                        let mut value = latch.lock();
                        let before = value[0];
                        for number in value.iter_mut() {
                            assert_eq!(*number, before, "nobody is in between");
                            *number += 1;
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(*latch.lock(), [40_000; 4]);
        let held = latch.lock();
        assert!(latch.try_lock().is_none());
        assert!(latch.try_lock().is_none(), "failing gave nothing back");
        drop(held);
        assert!(latch.try_lock().is_some());
    }
}
