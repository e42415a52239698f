//! Errors of any type, recorded with what is known of them.

use std::any::type_name;
use std::error::Error;
use std::fmt;

use crate::live::Live;

/// An `Err` that can be recorded: any [`Error`], what can be seen as one (`anyhow::Error`, boxed
/// errors), and plain texts.
///
/// `M` only tells these cases apart; the compiler finds it.
pub trait Failure<M> {
    /// Writes the exception event and the status.
    fn record(&self, sheet: &mut Sheet<'_>);
}

/// The sheet of a span, on which a failure is written.
pub struct Sheet<'l>(pub(crate) &'l mut Live);

impl fmt::Debug for Sheet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sheet").finish_non_exhaustive()
    }
}

/// Marks a type that is an error.
#[derive(Debug)]
pub enum IsError {}
/// Marks a type that holds an error, such as `anyhow::Error`.
#[derive(Debug)]
pub enum HoldsError {}
/// Marks a box that holds an error of one thread.
#[derive(Debug)]
pub enum HoldsLocalError {}
/// Marks a text.
#[derive(Debug)]
pub enum IsText {}

impl<E: Error> Failure<IsError> for E {
    fn record(&self, sheet: &mut Sheet<'_>) {
        sheet.0.error(type_name::<E>(), self);
    }
}

impl<E: AsRef<dyn Error + Send + Sync>> Failure<HoldsError> for E {
    fn record(&self, sheet: &mut Sheet<'_>) {
        sheet.0.error(type_name::<E>(), self.as_ref());
    }
}

impl Failure<HoldsLocalError> for Box<dyn Error> {
    fn record(&self, sheet: &mut Sheet<'_>) {
        sheet.0.error(type_name::<Self>(), self.as_ref());
    }
}

impl Failure<IsText> for String {
    fn record(&self, sheet: &mut Sheet<'_>) {
        self.as_str().record(sheet);
    }
}

impl Failure<IsText> for &str {
    fn record(&self, sheet: &mut Sheet<'_>) {
        sheet
            .0
            .exception("str", format_args!("{self}"), format_args!("{self}"));
    }
}
