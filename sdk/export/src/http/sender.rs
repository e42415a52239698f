use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use spanlite_model::TraceId;
use tokio::time::sleep;

use super::{Circuit, Client, GaveUp, Reply, Request, RequestError};
use crate::stop::StopSignal;

/// What a failure says about the request that met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It passes: the server is away or busy.
    Again,
    /// It may pass, and may be this request's fault: it is tried a few times.
    AFewTimes,
    /// The request itself is refused, and always will be.
    Bad,
    /// No request of this job will succeed until somebody changes something.
    Stop,
}

/// A request that was not carried out, and why nobody tries again.
#[derive(Debug)]
pub(crate) enum Unsent {
    /// It is refused.
    Bad(RequestError),
    /// All are refused.
    Stop(RequestError),
    /// The server did not answer for as long as was waited; the last failure.
    GaveUp(Option<RequestError>),
    /// The stop signal was given; the last failure, if the request was being tried again.
    Stopped(Option<RequestError>),
}

/// Is told of a failure, and how long until the next try.
type FailureListener = dyn Fn(&RequestError, Duration) + Send + Sync;

/// Sends requests until they are answered.
pub(crate) struct Sender {
    pub(crate) client: Client,
    pub(crate) circuit: Arc<Circuit>,
    pub(crate) stop: StopSignal,
    /// A request that succeeds whenever the server works, to tell a bad request from a bad server.
    pub(crate) canary: Option<Request>,
    /// Is told of every failure that is met with another try, and how long until then.
    pub(crate) on_failure: Box<FailureListener>,
    /// Is told of every trace that the target has taken, before that is noted.
    pub(crate) on_taken: Box<dyn Fn(TraceId) + Send + Sync>,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("client", &self.client)
            .field("circuit", &self.circuit)
            .finish_non_exhaustive()
    }
}

impl Sender {
    /// Sends a request, again and again while `judge` says so; `few` is how often a failure that
    /// may be the request's fault is accepted.
    pub(crate) async fn send(
        &self,
        request: &Request,
        few: u32,
        judge: impl Fn(&RequestError) -> Verdict,
    ) -> Result<Reply, Unsent> {
        let mut last = None;
        let mut n_tries = 0;
        let mut n_suspicious = 0;
        loop {
            let passed = tokio::select! {
                () = self.stop.stopped() => return Err(Unsent::Stopped(last)),
                passed = self.circuit.pass() => passed,
            };
            if passed == Err(GaveUp) {
                return Err(Unsent::GaveUp(last));
            }
            let answered = tokio::select! {
                () = self.stop.stopped() => return Err(Unsent::Stopped(last)),
                answered = self.client.send(request) => answered,
            };
            let error = match answered {
                Ok(reply) => {
                    self.circuit.succeeded();
                    return Ok(reply);
                }
                Err(error) => error,
            };
            match judge(&error) {
                Verdict::Bad => {
                    self.circuit.succeeded();
                    return Err(Unsent::Bad(error));
                }
                Verdict::Stop => return Err(Unsent::Stop(error)),
                Verdict::AFewTimes => {
                    n_suspicious += 1;
                    if n_suspicious >= few && self.server_works().await {
                        return Err(Unsent::Bad(error));
                    }
                }
                Verdict::Again => {}
            }
            let asked = error.answer().and_then(|answer| answer.retry_after);
            let Ok(pause) = self.circuit.failed(n_tries, asked) else {
                return Err(Unsent::GaveUp(Some(error)));
            };
            n_tries += 1;
            (self.on_failure)(&error, pause);
            last = Some(error);
            tokio::select! {
                () = self.stop.stopped() => return Err(Unsent::Stopped(last)),
                () = sleep(pause) => {}
            }
        }
    }

    async fn server_works(&self) -> bool {
        let Some(canary) = &self.canary else {
            return !self.circuit.is_open();
        };
        tokio::select! {
            // The run ends before the answer would count.
            () = self.stop.stopped() => false,
            answered = self.client.send(canary) => answered.is_ok(),
        }
    }
}
