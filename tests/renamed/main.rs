//! Every shape of `#[trace]`, with the SDK under another name and no prelude in sight.
#![no_implicit_prelude]

use ::std::println;

#[::tracer::trace(crate = ::tracer, attributes("k" = 1), fields(more = 2))]
fn plain(x: u8) -> u8 {
    x
}

#[::tracer::trace(crate = ::tracer)]
fn fallible(x: u8) -> ::core::result::Result<u8, ::std::string::String> {
    ::core::result::Result::Ok(x)
}

#[::tracer::trace(crate = ::tracer)]
async fn asynchronous(x: u8) -> u8 {
    x
}

#[::tracer::trace(crate = ::tracer)]
fn future(x: u8) -> impl ::core::future::Future<Output = u8> {
    async move { x }
}

#[::tracer::trace(crate = ::tracer, output_reducer = <[u8]>::len)]
fn items(end: u8) -> impl ::core::iter::Iterator<Item = u8> {
    0..end
}

fn poll<F: ::core::future::Future>(future: F) {
    let mut future = ::std::boxed::Box::pin(future);
    let mut task = ::core::task::Context::from_waker(::core::task::Waker::noop());
    let polled = ::core::future::Future::poll(::core::pin::Pin::as_mut(&mut future), &mut task);
    ::std::assert!(::core::task::Poll::is_ready(&polled));
}

#[expect(clippy::print_stdout, reason = "a test reads it")]
fn main() {
    let capture = ::tracer::testing::capture();
    plain(1);
    ::std::assert!(::core::result::Result::is_ok(&fallible(1)));
    poll(asynchronous(1));
    poll(future(1));
    ::std::assert_eq!(::core::iter::Iterator::count(items(3)), 3);
    ::tracer::in_span("by hand", |span| span.set_outputs(plain(2)));
    println!("{} spans", ::std::vec::Vec::len(&capture.spans()));
}
