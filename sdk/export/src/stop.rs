use tokio::sync::watch;

/// Ends a run from outside. What is under way is finished or left for the next run, never half
/// marked.
///
/// Clones stop together.
#[derive(Debug, Clone)]
pub struct StopSignal {
    sender: watch::Sender<bool>,
}

impl Default for StopSignal {
    fn default() -> Self {
        Self {
            sender: watch::Sender::new(false),
        }
    }
}

impl StopSignal {
    /// A signal that has not been given.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the signal. Giving it again does nothing.
    pub fn stop(&self) {
        self.sender.send_replace(true);
    }

    /// Returns whether the signal was given.
    pub fn is_stopped(&self) -> bool {
        *self.sender.borrow()
    }

    /// Waits until the signal is given.
    pub async fn stopped(&self) {
        let mut receiver = self.sender.subscribe();
        // Fails when every sender is gone, which `self` prevents.
        drop(receiver.wait_for(|stopped| *stopped).await);
    }
}
