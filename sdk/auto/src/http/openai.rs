use std::sync::{Arc, Mutex, PoisonError};
use std::task::{self, Poll};

use async_openai::Client;
use async_openai::config::Config;
use async_openai::middleware::retry::OpenAIRetryLayer;
use async_openai::middleware::{HttpRequestFactory, ReqwestService};
use spanlite::Context;
use tower_layer::Layer as _;
use tower_service::Service;

use super::call::Call;
use super::service::{Answer, ModelCallLayer, ModelCallService, finish};

impl<S> Service<HttpRequestFactory> for ModelCallService<S>
where
    S: Service<HttpRequestFactory, Response = reqwest::Response>,
    S::Future: Send + 'static,
    S::Error: std::fmt::Display + 'static,
{
    type Response = reqwest::Response;
    type Error = S::Error;
    type Future = Answer<S::Error>;

    fn poll_ready(&mut self, task: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(task)
    }

    /// The request is seen when the innermost service has it built, so that its body is not
    /// serialised twice and attempts are counted.
    fn call(&mut self, factory: HttpRequestFactory) -> Self::Future {
        let place = Context::current();
        let call: Arc<Mutex<Option<Call>>> = Arc::default();
        let begun = Arc::clone(&call);
        let factory = HttpRequestFactory::new(move || {
            let (factory, begun) = (factory.clone(), Arc::clone(&begun));
            async move {
                let request = factory.build().await?;
                let mut begun = begun.lock().unwrap_or_else(PoisonError::into_inner);
                match begun.as_mut() {
                    Some(call) => call.retry(),
                    None => *begun = Call::begin(place, &request),
                }
                drop(begun);
                Ok(request)
            }
        });
        let answer = self.inner.call(factory);
        Box::pin(async move {
            let answer = answer.await;
            let call = call.lock().unwrap_or_else(PoisonError::into_inner).take();
            finish(answer, call)
        })
    }
}

/// A client whose calls are recorded. Retries are those of the client's own default, and one
/// span holds all attempts of a call.
///
/// What was set with `with_http_service` or `with_http_client` before is replaced; for these,
/// put [`ModelCallLayer`] around the service instead.
pub fn traced_openai<C: Config>(client: Client<C>) -> Client<C> {
    let retried = OpenAIRetryLayer::default().layer(ReqwestService::default());
    client.with_http_service(ModelCallLayer.layer(retried))
}
