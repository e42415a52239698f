use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work shorter than this shows no progress.
const QUIET: Duration = Duration::from_millis(500);
/// How often the line is drawn anew.
const TICK: Duration = Duration::from_millis(100);

/// A line on stderr that tells that long work goes on, how far it is and since when; nothing where
/// stderr is no terminal. Whatever writes to the terminal drops it first.
pub(crate) struct Progress {
    bar: ProgressBar,
    shown_later: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Begins to tell of some work, once it has taken a while.
    pub(crate) fn new(enabled: bool, work: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        // The default style is used where the template should not be understood.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(work.to_owned());
        let shown_later = enabled.then(|| show_later(bar.clone())).flatten();
        Self { bar, shown_later }
    }

    /// Tells how far the work is.
    pub(crate) fn tell(&mut self, message: impl FnOnce() -> String) {
        if !self.bar.is_hidden() {
            self.bar.set_message(message());
        }
    }
}

/// Shows a bar after a while, unless the work has ended by then. A call into the store that takes
/// seconds tells nothing meanwhile, so a thread does it.
fn show_later(bar: ProgressBar) -> Option<(Sender<()>, JoinHandle<()>)> {
    let (ended, end) = mpsc::channel();
    let show = move || {
        if end.recv_timeout(QUIET) == Err(RecvTimeoutError::Timeout) {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(TICK);
        }
    };
    let thread = thread::Builder::new().name("progress".into()).spawn(show);
    // Work is done without a word where no thread can be had.
    thread.ok().map(|thread| (ended, thread))
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((ended, thread)) = self.shown_later.take() {
            drop(ended);
            // It draws nothing after this.
            drop(thread.join());
        }
        self.bar.finish_and_clear();
    }
}
