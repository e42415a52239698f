use std::any::Any;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{self, Poll};

use spanlite::Context;
use tower_layer::Layer;
use tower_service::Service;

use super::body::{chain, watch};
use super::call::{Call, class_of};

/// A tower layer that records calls of models; other requests pass.
///
/// It goes around any service that takes [`reqwest::Request`], such as [`reqwest::Client`], and
/// with the feature `async-openai` around those that take its request factories. Put it outside
/// of a retry layer, and a call is one span however often it is sent.
///
/// A call that fails has the class `Timeout`, `ConnectError` or `BodyError` where an error of
/// `reqwest` is the cause, else `RequestError`.
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
    S::Error: fmt::Display + 'static,
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
pub(super) fn finish<E: fmt::Display + 'static>(
    answer: Result<reqwest::Response, E>,
    call: Option<Call>,
) -> Result<reqwest::Response, E> {
    match (answer, call) {
        (Ok(response), Some(call)) => Ok(watch(response, call)),
        (Err(error), Some(mut call)) => {
            match sent_by_reqwest(&error) {
                Some(error) => call.fail(class_of(error), &chain(error)),
                None => call.fail("RequestError", &error.to_string()),
            }
            Err(error)
        }
        (answer, None) => answer,
    }
}

/// The error of `reqwest` in one of a service: itself, or what caused it.
///
/// Services fail with types of their own, and those of tower with a box, which is no
/// [`Error`]: so it is looked for by type.
fn sent_by_reqwest(error: &dyn Any) -> Option<&reqwest::Error> {
    let boxed = error.downcast_ref::<Box<dyn Error + Send + Sync>>();
    let first = boxed.map(|boxed| boxed.as_ref() as &(dyn Error + 'static));
    #[cfg(feature = "async-openai")]
    let first = first.or_else(|| {
        let error = error.downcast_ref::<async_openai::error::OpenAIError>()?;
        Some(error as _)
    });
    let mut causes = std::iter::successors(first, |cause| (*cause).source()).take(32);
    error
        .downcast_ref()
        .or_else(|| causes.find_map(|cause| cause.downcast_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_reqwest_is_found_in_others() {
        #[derive(Debug)]
        struct Outer(reqwest::Error);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("outer")
            }
        }
        impl Error for Outer {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let error = || reqwest::Proxy::http("no address").unwrap_err();
        assert!(sent_by_reqwest(&error()).is_some());
        let boxed: Box<dyn Error + Send + Sync> = Box::new(Outer(error()));
        assert!(sent_by_reqwest(&boxed).is_some());
        let other: Box<dyn Error + Send + Sync> = "other".into();
        assert!(sent_by_reqwest(&other).is_none());
        assert!(sent_by_reqwest(&"no error").is_none());
        #[cfg(feature = "async-openai")]
        assert!(sent_by_reqwest(&async_openai::error::OpenAIError::Reqwest(error())).is_some());
    }
}
