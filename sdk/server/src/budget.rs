use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a permit of the semaphore stands for.
const UNIT_BYTES: usize = 1 << 10;

/// Memory that the bodies of all requests share until what they brought is on disk.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    units: Arc<Semaphore>,
}

/// The budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        let units = (bytes / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            units: Arc::new(Semaphore::new(units)),
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
    /// Takes what is lacking to so many bytes, if that much is free.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> Result<(), Full> {
        let held = self
            .held
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let lacking = bytes.div_ceil(UNIT_BYTES).saturating_sub(held);
        if lacking == 0 {
            return Ok(());
        }
        let lacking = u32::try_from(lacking).map_err(|_beyond_any_budget| Full)?;
        let more = Arc::clone(&self.budget.units)
            .try_acquire_many_owned(lacking)
            .map_err(|_none_free| Full)?;
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
        let mut second = budget.share();
        assert_eq!(second.grow_to((4 << 10) + 1), Err(Full));
        assert_eq!(second.grow_to(4 << 10), Ok(()));
        drop(first);
        assert_eq!(second.grow_to(10 << 10), Ok(()));
        assert_eq!(second.grow_to(usize::MAX), Err(Full));
    }
}
