//! What programs see of the SDK.

#![expect(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod contexts;
mod errors;
mod functions;
mod settings;
mod stored;
mod streams;
mod without_macro;

/// Polls a future until it is done.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut task = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut task) {
            return output;
        }
    }
}

/// A future that is pending once.
async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut yielded, true) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}
