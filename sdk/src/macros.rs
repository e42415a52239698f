//! The macro form of spans, which knows the types that a function does not.

/// Runs a closure or a future inside of a span, and records its `Err`.
///
/// The first argument names the span, or is one that is being made; the second is a closure that
/// is given the span's guard, or a future. What comes out comes out unchanged, of whatever type.
/// If it is an `Err` the span gets the status `error` and the event `exception`, with type, text
/// and causes as far as the error's type gives them away: `Error`, else `Display`, else `Debug`,
/// else the name of the type.
///
/// ```
/// use spanlite::{SpanType, in_span, span};
///
/// let answer = in_span!("parse", |span| {
///     span.set_inputs("42");
///     "42".parse::<u32>()
/// });
/// assert_eq!(answer, Ok(42));
///
/// # async fn fetch() -> Result<(), std::fmt::Error> { Err(std::fmt::Error) }
/// # async fn example() -> Result<(), std::fmt::Error> {
/// in_span!(span("fetch").span_type(SpanType::Tool), async { fetch().await }).await?;
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! in_span {
    ($span:expr, move | $($closure:tt)*) => {
        $crate::__in_span_closure!($span, move | $($closure)*)
    };
    ($span:expr, | $($closure:tt)*) => {
        $crate::__in_span_closure!($span, | $($closure)*)
    };
    ($span:expr, $future:expr $(,)?) => {
        $crate::rt::recorded(
            $crate::Span::from($crate::SpanBuilder::from($span)),
            $future,
            |__returned, __span| $crate::__record_err!(__returned, |__record| {
                $crate::rt::fault(__span, __record)
            }),
        )
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __in_span_closure {
    ($span:expr, $closure:expr $(,)?) => {{
        let __guard = $crate::SpanBuilder::from($span).start();
        let __returned = $crate::rt::call_with(&__guard, $closure);
        $crate::__record_err!(&__returned, |__record| {
            $crate::rt::fault_of(&__guard, __record)
        });
        ::core::mem::drop(__guard);
        __returned
    }};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __record_err {
    ($returned:expr, |$record:ident| $put:expr) => {{
        use $crate::rt::{
            FaultDebug as _, FaultDisplay as _, FaultError as _, FaultHolder as _,
            FaultOpaque as _, FaultSharedHolder as _, SplitResult as _, SplitValue as _,
        };
        match (&&$crate::rt::Returned($returned)).split() {
            ::core::result::Result::Ok(_) => {}
            ::core::result::Result::Err(__error) => {
                let $record = |__sheet: &mut $crate::Sheet<'_>| {
                    (&&&&&&$crate::rt::Fault(__error)).record(__sheet)
                };
                $put
            }
        }
    }};
}
