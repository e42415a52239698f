//! The attribute macro of the Spanlite SDK.

use proc_macro::TokenStream;

mod arguments;
mod capture;
mod expand;
mod shape;

/// Records each call of a function as a span: its arguments, what came out, how long it took,
/// and what went wrong.
///
/// It stands on functions, methods and trait methods, sync and async, and on functions that
/// return `impl Future`, `impl Iterator`, `impl Stream`, or these in a box. With the attribute of
/// the `async-trait` crate, on the methods inside.
///
/// | argument | meaning |
/// |---|---|
/// | `name = "…"` | the name of the span; else the function's |
/// | `span_type = …` | MLflow's role: a `SpanType`, or any text |
/// | `attributes("key" = value, …)` | attributes; the values may use the arguments |
/// | `skip(a, b)`, `skip_all` | arguments that are not captured; `self` never is |
/// | `fields(name = value, …)` | more inputs, or others in the place of arguments |
/// | `skip_output` | what comes out is not captured; errors are |
/// | `output_reducer = f` | for iterators and streams: makes the outputs of the items, `f(&[T])` |
/// | `root` | begins a trace of its own |
/// | `sampling = 0.1` | the share of traces to record, where it begins one |
/// | `err = ignore` | an `Err` is no failure |
/// | `stream`, `iterator`, `future` | what the function returns (boxed), where its type does not say so |
/// | `crate = path` | where the `spanlite` crate is, if it was renamed |
///
/// Values are captured as their `Serialize` writes them, else as their `Debug` prints them, else
/// as the name of their type. In a generic function the bounds of the function decide.
#[proc_macro_attribute]
pub fn trace(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expanded(arguments, item.clone()).unwrap_or_else(|error| {
        // The function stays, so that what calls it is not wrong as well.
        let mut both = TokenStream::from(error.into_compile_error());
        both.extend(item);
        both
    })
}

fn expanded(arguments: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let arguments = syn::parse::<arguments::Arguments>(arguments)?;
    let function = syn::parse::<expand::Function>(item)?;
    expand::expand(&arguments, &function).map(TokenStream::from)
}
