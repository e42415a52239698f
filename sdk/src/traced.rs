//! Functions of others, traced without changing them.

use serde::Serialize;

use crate::failure::{Failure, Sheet};
use crate::rt;
use crate::span::{Span, SpanBuilder, span};

/// Wraps a function of up to eight arguments: each call becomes a span, with the list of the
/// arguments as inputs and what is returned as outputs.
///
/// ```
/// let power = spanlite::traced("pow", f64::powi);
/// assert_eq!(power(2.0, 3), 8.0);
/// ```
pub fn traced<'f, A, F: Traceable<'f, A, Plain>>(name: &'f str, function: F) -> F::Traced {
    function.traced(name)
}

/// Wraps a function that returns a `Result`. An `Err` is recorded, and need not be `Serialize`.
///
/// ```
/// let parse = spanlite::try_traced("parse", str::parse::<i32>);
/// assert!(parse("x").is_err());
/// ```
pub fn try_traced<'f, A, M, F: Traceable<'f, A, Fallible<M>>>(
    name: &'f str,
    function: F,
) -> F::Traced {
    function.traced(name)
}

/// Wraps an async function.
pub fn traced_async<'f, A, F: Traceable<'f, A, Async>>(name: &'f str, function: F) -> F::Traced {
    function.traced(name)
}

/// Wraps an async function that returns a `Result`.
pub fn try_traced_async<'f, A, M, F: Traceable<'f, A, AsyncFallible<M>>>(
    name: &'f str,
    function: F,
) -> F::Traced {
    function.traced(name)
}

/// Marks functions that return a value.
#[derive(Debug)]
pub enum Plain {}
/// Marks functions that return a `Result`.
#[derive(Debug)]
pub struct Fallible<M>(M);
/// Marks async functions.
#[derive(Debug)]
pub enum Async {}
/// Marks async functions that return a `Result`.
#[derive(Debug)]
pub struct AsyncFallible<M>(M);

/// A function that can be wrapped. `A` is its signature and `K` what it returns; the compiler
/// finds both.
pub trait Traceable<'f, A, K> {
    /// The wrapped function.
    type Traced;

    /// Wraps it.
    fn traced(self, name: &'f str) -> Self::Traced;
}

fn begin(name: &str, inputs: impl Serialize) -> SpanBuilder<'_> {
    span(name).inputs(inputs)
}

fn record<T: Serialize, E: Failure<M>, M>(span: &mut Span, result: &Result<T, E>) {
    match result {
        Ok(value) => rt::output(span, value),
        Err(failure) => rt::fault(span, |sheet: &mut Sheet<'_>| failure.record(sheet)),
    }
}

/// A call of a wrapped async function.
type Call<'f, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'f>>;

macro_rules! traceable {
    ($(($argument:ident $type:ident))*) => {
        impl<'f, Function, R, $($type),*> Traceable<'f, fn($($type),*) -> R, Plain> for Function
        where
            Function: Fn($($type),*) -> R + Send + Sync + 'f,
            R: Serialize,
            $($type: Serialize,)*
        {
            type Traced = Box<dyn Fn($($type),*) -> R + Send + Sync + 'f>;

            fn traced(self, name: &'f str) -> Self::Traced {
                Box::new(move |$($argument),*| {
                    let span = begin(name, ($(&$argument,)*)).start_detached();
                    let (returned, mut span) = rt::call(span, || self($($argument),*));
                    rt::output(&mut span, &returned);
                    returned
                })
            }
        }

        impl<'f, Function, T, E, Mark, $($type),*>
            Traceable<'f, fn($($type),*) -> Result<T, E>, Fallible<Mark>> for Function
        where
            Function: Fn($($type),*) -> Result<T, E> + Send + Sync + 'f,
            T: Serialize,
            E: Failure<Mark>,
            $($type: Serialize,)*
        {
            type Traced = Box<dyn Fn($($type),*) -> Result<T, E> + Send + Sync + 'f>;

            fn traced(self, name: &'f str) -> Self::Traced {
                Box::new(move |$($argument),*| {
                    let span = begin(name, ($(&$argument,)*)).start_detached();
                    let (returned, mut span) = rt::call(span, || self($($argument),*));
                    record(&mut span, &returned);
                    returned
                })
            }
        }

        impl<'f, Function, Running, $($type),*>
            Traceable<'f, fn($($type),*) -> Running, Async> for Function
        where
            Function: Fn($($type),*) -> Running + Send + Sync + 'f,
            Running: Future + Send + 'f,
            Running::Output: Serialize + Send,
            $($type: Serialize,)*
        {
            type Traced =
                Box<dyn Fn($($type),*) -> Call<'f, Running::Output> + Send + Sync + 'f>;

            fn traced(self, name: &'f str) -> Self::Traced {
                Box::new(move |$($argument),*| {
                    let span = begin(name, ($(&$argument,)*)).start_detached();
                    let running = self($($argument),*);
                    Box::pin(async move {
                        let (returned, mut span) = rt::run(span, running).await;
                        rt::output(&mut span, &returned);
                        returned
                    })
                })
            }
        }

        impl<'f, Function, Running, T, E, Mark, $($type),*>
            Traceable<'f, fn($($type),*) -> Running, AsyncFallible<(Mark, T, E)>> for Function
        where
            Function: Fn($($type),*) -> Running + Send + Sync + 'f,
            Running: Future<Output = Result<T, E>> + Send + 'f,
            T: Serialize + Send,
            E: Failure<Mark> + Send,
            $($type: Serialize,)*
        {
            type Traced =
                Box<dyn Fn($($type),*) -> Call<'f, Result<T, E>> + Send + Sync + 'f>;

            fn traced(self, name: &'f str) -> Self::Traced {
                Box::new(move |$($argument),*| {
                    let span = begin(name, ($(&$argument,)*)).start_detached();
                    let running = self($($argument),*);
                    Box::pin(async move {
                        let (returned, mut span) = rt::run(span, running).await;
                        record(&mut span, &returned);
                        returned
                    })
                })
            }
        }
    };
}

traceable!();
traceable!((a A));
traceable!((a A) (b B));
traceable!((a A) (b B) (c C));
traceable!((a A) (b B) (c C) (d D));
traceable!((a A) (b B) (c C) (d D) (e G));
traceable!((a A) (b B) (c C) (d D) (e G) (f H));
traceable!((a A) (b B) (c C) (d D) (e G) (f H) (g I));
traceable!((a A) (b B) (c C) (d D) (e G) (f H) (g I) (h J));
