use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;

use crate::refusal::Refusal;

/// Reads requests apart from the threads of the runtime, which have others to answer. Not more at
/// once than there are processors: the rest would only take memory.
#[derive(Debug)]
pub(super) struct Readers {
    places: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new() -> Self {
        // Where the number is not known, two do not stand in each other's way.
        let places = available_parallelism().map_or(2, usize::from);
        Self {
            places: Arc::new(Semaphore::new(places)),
        }
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_closed| Refusal::Closing)?;
        let reading = tokio::task::spawn_blocking(move || {
            let read = read();
            // Until here, even if who asked has gone away.
            drop(place);
            read
        });
        reading.await.map_err(|_runtime_ends| Refusal::Closing)
    }
}
