use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a permit of the semaphore stands for.
const UNIT_BYTES: usize = 1 << 10;

/// Memory that all requests share until what they brought is on disk.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    units: Arc<Semaphore>,
    total_bytes: usize,
}

/// There is no room for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// Others have it.
    Taken,
    /// It would not have room if it were alone.
    TooLarge {
        needed_bytes: usize,
        total_bytes: usize,
    },
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        let units = (bytes / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            units: Arc::new(Semaphore::new(units)),
            total_bytes: units * UNIT_BYTES,
        }
    }

    /// An empty share, to be grown.
    pub(crate) fn share(&self) -> Share {
        Share {
            budget: self.clone(),
            held: None,
        }
    }
}

/// A part of a budget, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    held: Option<OwnedSemaphorePermit>,
}

impl Share {
    pub(crate) fn bytes(&self) -> usize {
        let held = self.held.as_ref();
        held.map_or(0, OwnedSemaphorePermit::num_permits) * UNIT_BYTES
    }

    /// Takes what is lacking to so many bytes, if that much is free.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let lacking = bytes.saturating_sub(self.bytes()).div_ceil(UNIT_BYTES);
        if lacking == 0 {
            return Ok(());
        }
        let too_large = NoRoom::TooLarge {
            needed_bytes: bytes,
            total_bytes: self.budget.total_bytes,
        };
        if bytes > self.budget.total_bytes {
            return Err(too_large);
        }
        let lacking = u32::try_from(lacking).map_err(|_beyond_any_budget| too_large)?;
        let more = Arc::clone(&self.budget.units)
            .try_acquire_many_owned(lacking)
            .map_err(|_none_free| NoRoom::Taken)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_exceed_the_budget_and_are_given_back() {
        let budget = Budget::new(10 << 10);
        let mut first = budget.share();
        assert_eq!(first.grow_to(6 << 10), Ok(()));
        assert_eq!(first.grow_to(1), Ok(()), "shares do not shrink");
        assert_eq!(first.bytes(), 6 << 10);
        let mut second = budget.share();
        assert_eq!(second.grow_to((4 << 10) + 1), Err(NoRoom::Taken));
        assert_eq!(second.grow_to(4 << 10), Ok(()));
        drop(first);
        assert_eq!(second.grow_to(10 << 10), Ok(()));
        drop(second);
        for needed_bytes in [(10 << 10) + 1, usize::MAX] {
            let total_bytes = 10 << 10;
            let beyond = NoRoom::TooLarge {
                needed_bytes,
                total_bytes,
            };
            assert_eq!(budget.share().grow_to(needed_bytes), Err(beyond));
        }
    }
}
