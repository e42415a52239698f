//! A recording proxy for the interfaces of models.

mod forward;
mod upstream;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use tokio::net::TcpListener;

use crate::budget::Budget;
use crate::error::ServeError;
use crate::gate::{Gate, Token};
use crate::listen;
use forward::Forwarder;
pub use upstream::Upstream;

/// How a [`Proxy`] listens and where it sends.
#[derive(Debug, Clone)]
pub struct ProxyOptions {
    /// Where it listens. Default: 127.0.0.1, port 4319.
    pub listen: Vec<SocketAddr>,
    /// What clients must give as `x-spanlite-token`, which is not sent on. Needed for addresses
    /// that other machines reach. Default: nothing.
    pub token: Option<Token>,
    /// Where calls go, by the first part of the path. Default: [`Upstream::known`].
    pub upstreams: Vec<Upstream>,
    /// How large the request of a call may be. Default: 64 MiB.
    pub max_body_bytes: usize,
    /// How many bytes of requests may be in memory at once. Default: 256 MiB.
    pub memory_bytes: usize,
}

impl Default for ProxyOptions {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 4319))],
            token: None,
            upstreams: Upstream::known(),
            max_body_bytes: 64 << 20,
            memory_bytes: 256 << 20,
        }
    }
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ProxyTotals {
    /// Requests that were sent on.
    pub requests: u64,
    /// Calls of models among them, each of which became a span.
    pub calls: u64,
    /// Requests that got no answer of an upstream.
    pub unanswered: u64,
}

/// Counters behind [`ProxyTotals`].
#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    calls: AtomicU64,
    unanswered: AtomicU64,
}

impl Counters {
    fn totals(&self) -> ProxyTotals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ProxyTotals {
            requests: read(&self.requests),
            calls: read(&self.calls),
            unanswered: read(&self.unanswered),
        }
    }
}

/// Sends requests on to providers of models, and records those that call a model, as the tracer
/// of this process records spans ([`spanlite::init`]).
///
/// Bytes pass as they come, in both directions, streams chunk by chunk. Two headers of calls are
/// changed: `host`, and `accept-encoding`, so that answers come unpacked. Of what is sent, bodies
/// are recorded, and headers never, so that no key is. A `traceparent` puts the call into the
/// trace of its sender.
#[derive(Debug)]
pub struct Proxy {
    listeners: Vec<TcpListener>,
    forwarder: Arc<Forwarder>,
}

impl Proxy {
    /// Listens, but does not answer yet.
    pub async fn bind(options: ProxyOptions) -> Result<Self, ServeError> {
        let gate = Gate::new(options.token, &options.listen)?;
        let listeners = listen::bind(&options.listen).await?;
        Ok(Self {
            forwarder: Arc::new(Forwarder {
                client: upstream::client()?,
                upstreams: options.upstreams,
                gate,
                budget: Budget::new(options.memory_bytes),
                max_body_bytes: options.max_body_bytes,
                counters: Counters::default(),
            }),
            listeners,
        })
    }

    /// Where it listens, with the ports that the system chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        listen::addresses(&self.listeners)
    }

    /// Answers until `stop`, then waits at most 10 seconds for calls that are under way. The spans
    /// are the tracer's: flush it afterwards.
    pub async fn run(self, stop: impl Future<Output = ()>) -> ProxyTotals {
        let router = Router::new()
            .fallback(forward::forward)
            .with_state(Arc::clone(&self.forwarder));
        listen::serve(self.listeners, router, stop).await;
        self.forwarder.counters.totals()
    }
}
