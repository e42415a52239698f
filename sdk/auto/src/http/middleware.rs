use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};
use spanlite::Context;

use super::body::{chain, watch};
use super::call::{Call, class_of};

/// Records calls of models that a client of `reqwest-middleware` makes; other requests pass.
///
/// Put it before a middleware that retries, and a call is one span however often it is sent; put
/// it after, and each attempt is a span.
///
/// ```no_run
/// let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
///     .with(spanlite_auto::ModelCalls)
///     .build();
/// # drop(client);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct ModelCalls;

#[async_trait::async_trait]
impl Middleware for ModelCalls {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let Some(mut call) = Call::begin(Context::current(), &request) else {
            return next.run(request, extensions).await;
        };
        match next.run(request, extensions).await {
            Ok(response) => Ok(watch(response, call)),
            Err(error) => {
                match &error {
                    Error::Reqwest(error) => call.fail(class_of(error), &chain(error)),
                    Error::Middleware(error) => call.fail("MiddlewareError", &error.to_string()),
                }
                Err(error)
            }
        }
    }
}
