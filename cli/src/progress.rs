use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Work shorter than this shows no progress.
const QUIET: Duration = Duration::from_millis(500);

/// A line on stderr that tells how far long work is; nothing where stderr is no terminal.
pub(crate) struct Progress {
    began: Instant,
    enabled: bool,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn new(enabled: bool) -> Self {
        Self {
            began: Instant::now(),
            enabled,
            bar: None,
        }
    }

    /// Tells how far the work is.
    pub(crate) fn tell(&mut self, message: impl FnOnce() -> String) {
        if !self.enabled || self.began.elapsed() < QUIET {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new_spinner();
            // The default style is used where the template should not be understood.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
                bar.set_style(style);
            }
            bar
        });
        bar.set_message(message());
        bar.tick();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
