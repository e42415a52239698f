//! Captures arguments and return values of any type, as much as the type gives away.
//!
//! `#[trace]` puts no bound on the types of a function. Its expansion calls methods on references
//! of several depths (`(&&&Captured(&value)).capture()`), and method resolution takes the first
//! one that fits: `Serialize`, else `Debug`, else the name of the type. This has to happen in the
//! expansion, where the types are known; a generic function would know no more than its bounds.

use std::convert::Infallible;
use std::fmt::{Debug, Display};

use serde::{Serialize, Serializer};

/// A value to capture.
#[derive(Debug)]
pub struct Captured<'v, T: ?Sized>(pub &'v T);

/// A value that is written as its `Debug` prints it.
#[derive(Debug, Clone, Copy)]
pub struct AsDebug<T>(T);

/// A value that is written as its `Display` prints it.
#[derive(Debug, Clone, Copy)]
pub struct AsDisplay<T>(T);

/// The name of a type, in the place of a value that nothing else can be said of.
#[derive(Debug, Clone, Copy)]
pub struct TypeName(&'static str);

/// A value as its `Debug` prints it, for inputs, outputs and attributes.
///
/// ```
/// let span = spanlite::span("look-up").start();
/// span.set_attribute("range", spanlite::debug(1..3));
/// ```
pub fn debug<T: Debug>(value: T) -> AsDebug<T> {
    AsDebug(value)
}

/// A value as its `Display` prints it, for inputs, outputs and attributes.
pub fn display<T: Display>(value: T) -> AsDisplay<T> {
    AsDisplay(value)
}

impl<T: Debug> Serialize for AsDebug<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:?}", self.0))
    }
}

impl<T: Display> Serialize for AsDisplay<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Serialize for TypeName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("<{}>", self.0))
    }
}

/// First choice: the value itself.
pub trait CaptureSerialize {
    /// What is captured.
    type As: Serialize;
    /// Captures it.
    fn capture(&self) -> Self::As;
}

impl<'v, T: Serialize + ?Sized> CaptureSerialize for &&Captured<'v, T> {
    type As = &'v T;
    fn capture(&self) -> &'v T {
        self.0
    }
}

/// Second choice: what `Debug` prints.
pub trait CaptureDebug {
    /// What is captured.
    type As: Serialize;
    /// Captures it.
    fn capture(&self) -> Self::As;
}

impl<'v, T: Debug + ?Sized> CaptureDebug for &Captured<'v, T> {
    type As = AsDebug<&'v T>;
    fn capture(&self) -> AsDebug<&'v T> {
        AsDebug(self.0)
    }
}

/// Last choice: the name of the type.
pub trait CaptureTypeName {
    /// Captures it.
    fn capture(&self) -> TypeName;
}

impl<T: ?Sized> CaptureTypeName for Captured<'_, T> {
    fn capture(&self) -> TypeName {
        TypeName(std::any::type_name::<T>())
    }
}

/// A return value, to be told apart into what came out and what went wrong.
#[derive(Debug)]
pub struct Returned<'v, T: ?Sized>(pub &'v T);

/// First choice: a `Result`.
pub trait SplitResult {
    /// What came out.
    type Output: ?Sized;
    /// What went wrong.
    type Error;
    /// One of both.
    fn split(&self) -> Result<&Self::Output, &Self::Error>;
}

impl<T, E> SplitResult for &Returned<'_, Result<T, E>> {
    type Output = T;
    type Error = E;
    fn split(&self) -> Result<&T, &E> {
        self.0.as_ref()
    }
}

/// Second choice: a value that is no `Result`.
pub trait SplitValue {
    /// What came out.
    type Output: ?Sized;
    /// It.
    fn split(&self) -> Result<&Self::Output, &Infallible>;
}

impl<T: ?Sized> SplitValue for Returned<'_, T> {
    type Output = T;
    fn split(&self) -> Result<&T, &Infallible> {
        Ok(self.0)
    }
}
