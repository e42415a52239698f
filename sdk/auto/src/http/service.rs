use std::pin::Pin;
use std::task::{self, Poll};

use spanlite::Context;
use tower_layer::Layer;
use tower_service::Service;

use super::body::watch;
use super::call::Call;

/// A tower layer that records calls of models; other requests pass.
///
/// It goes around any service that takes [`reqwest::Request`], such as [`reqwest::Client`], and
/// with the feature `async-openai` around those that take its request factories. Put it outside
/// of a retry layer, and a call is one span however often it is sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct ModelCallLayer;

impl<S> Layer<S> for ModelCallLayer {
    type Service = ModelCallService<S>;

    fn layer(&self, inner: S) -> ModelCallService<S> {
        ModelCallService { inner }
    }
}

/// A service whose calls of models are recorded; made by [`ModelCallLayer`].
#[derive(Debug, Clone)]
pub struct ModelCallService<S> {
    pub(super) inner: S,
}

/// The answer of a service, to come.
pub(super) type Answer<E> =
    Pin<Box<dyn Future<Output = Result<reqwest::Response, E>> + Send + 'static>>;

impl<S> Service<reqwest::Request> for ModelCallService<S>
where
    S: Service<reqwest::Request, Response = reqwest::Response>,
    S::Future: Send + 'static,
    S::Error: std::fmt::Display,
{
    type Response = reqwest::Response;
    type Error = S::Error;
    type Future = Answer<S::Error>;

    fn poll_ready(&mut self, task: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, request: reqwest::Request) -> Self::Future {
        let call = Call::begin(Context::current(), &request);
        let answer = self.inner.call(request);
        Box::pin(async move { finish(answer.await, call) })
    }
}

/// Hands the answer on, and the call to its body.
pub(super) fn finish<E: std::fmt::Display>(
    answer: Result<reqwest::Response, E>,
    call: Option<Call>,
) -> Result<reqwest::Response, E> {
    match (answer, call) {
        (Ok(response), Some(call)) => Ok(watch(response, call)),
        (Err(error), Some(mut call)) => {
            call.fail("RequestError", &error.to_string());
            Err(error)
        }
        (answer, None) => answer,
    }
}
