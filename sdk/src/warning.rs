//! What the SDK says on stderr.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

/// What is said once in the life of the process: a program that is traced must not be drowned in
/// messages about tracing, and one kind of trouble must not hide another.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Warning {
    /// Variables of the environment say nothing sensible.
    Variables,
    /// A span or a change could not be handed over.
    Dropped,
    /// The store could not be closed in order.
    Close,
}

impl Warning {
    /// Says it, a line each, unless it was said before. Nothing to say counts as not said.
    #[expect(
        clippy::print_stderr,
        reason = "a library that fails silently loses traces unnoticed"
    )]
    pub(crate) fn once<T: fmt::Display>(self, lines: impl IntoIterator<Item = T>) {
        /// A bit for each kind.
        static SAID: AtomicU8 = AtomicU8::new(0);
        let mut lines = lines.into_iter().peekable();
        let bit = 1 << self as u8;
        if lines.peek().is_some() && SAID.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            for line in lines {
                eprintln!("spanlite: {line}");
            }
        }
    }
}
