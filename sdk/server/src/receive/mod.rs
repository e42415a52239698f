//! OTLP and the calls of MLflow's own client, into the store.

mod body;
mod experiments;
mod grpc;
mod http;
mod mlflow;
mod readers;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::routing::{get, post};
use bytes::Bytes;
use spanlite_formats::{Footprint, Taken, take_otlp_json, take_otlp_protobuf};
use spanlite_store::Store;
use tokio::net::TcpListener;

pub(crate) use body::read as read_body;

use crate::budget::{Budget, Share};
use crate::error::ServeError;
use crate::gate::{Gate, Token};
use crate::intake::{Intake, Load, Totals, add};
use crate::listen;
use crate::refusal::Refusal;
use body::Encoding;
use readers::Readers;
use wire::Outcome;

/// The ports that OTLP names for gRPC and for HTTP. Both speak both here.
const PORTS: [u16; 2] = [4317, 4318];

/// How a [`Receiver`] listens and what it takes.
#[derive(Debug, Clone)]
pub struct ReceiveOptions {
    /// Where it listens. Default: 127.0.0.1, ports 4317 and 4318.
    pub listen: Vec<SocketAddr>,
    /// What senders must know. Needed for addresses that other machines reach. Default: nothing.
    pub token: Option<Token>,
    /// How large a body may be, packed and unpacked. Default: 64 MiB.
    pub max_body_bytes: usize,
    /// How many bytes of memory all requests together may take, from the first byte until what they
    /// brought is on disk. That is worked out from a body before it is read, since a body can be
    /// written of which each byte takes a thousand. What exceeds it is refused, to be sent again;
    /// a request that would exceed it alone is refused for good. Default: 256 MiB.
    pub memory_bytes: usize,
}

impl Default for ReceiveOptions {
    fn default() -> Self {
        Self {
            listen: PORTS
                .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
                .into(),
            token: None,
            max_body_bytes: 64 << 20,
            memory_bytes: 256 << 20,
        }
    }
}

/// Takes spans from other programs into a store: OTLP over HTTP (protobuf or JSON, packed or not)
/// and over gRPC, and what MLflow's Python client sends to a tracking server.
///
/// A request is answered with success when its spans are on disk, and not before.
#[derive(Debug)]
pub struct Receiver {
    listeners: Vec<TcpListener>,
    door: Arc<Door>,
}

/// What the handlers of all requests share.
#[derive(Debug)]
struct Door {
    store: Store,
    intake: Intake,
    budget: Budget,
    readers: Readers,
    gate: Gate,
    max_body_bytes: usize,
}

/// How the spans of a request are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Protobuf,
    Json,
}

impl Receiver {
    /// Listens, but does not answer yet. The store must be open for writing.
    pub async fn bind(store: Store, options: &ReceiveOptions) -> Result<Self, ServeError> {
        let gate = Gate::new(options.token.clone(), &options.listen)?;
        let listeners = listen::bind(&options.listen).await?;
        let intake = Intake::start(store.clone()).map_err(ServeError::Thread)?;
        Ok(Self {
            listeners,
            door: Arc::new(Door {
                store,
                intake,
                budget: Budget::new(options.memory_bytes),
                readers: Readers::new(),
                gate,
                max_body_bytes: options.max_body_bytes,
            }),
        })
    }

    /// Where it listens, with the ports that the system chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        listen::addresses(&self.listeners)
    }

    /// A view of the counts, for as long as it runs.
    pub fn watch(&self) -> impl Fn() -> Totals + Send + 'static {
        let counters = Arc::clone(&self.door.intake.counters);
        move || counters.totals()
    }

    /// Answers until `stop`, then waits at most 10 seconds for requests that are under way. What
    /// was acknowledged is on disk at any time; nothing has to be flushed afterwards.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Totals {
        let door = Arc::clone(&self.door);
        let router = Router::new()
            .route("/v1/traces", post(http::export))
            .route(grpc::PATH, post(grpc::export))
            .route("/health", get(http::health))
            .merge(mlflow::routes(&door))
            .fallback(http::not_found)
            .with_state(Arc::clone(&door));
        listen::serve(self.listeners, router, stop).await;
        let closing = Arc::clone(&door);
        // Waits for the disk, which the runtime's threads must not.
        drop(tokio::task::spawn_blocking(move || closing.intake.close()).await);
        door.intake.counters.totals()
    }
}

impl Door {
    /// Reads spans and stores them.
    async fn take(
        self: &Arc<Self>,
        bytes: Bytes,
        form: Form,
        encoding: Encoding,
        share: Share,
    ) -> Result<Outcome, Refusal> {
        let limit_bytes = self.max_body_bytes;
        let read = move || read_spans(bytes, form, encoding, limit_bytes, share);
        let (taken, share) = self.readers.run(read).await??;
        let outcome = Outcome::of(&taken);
        let refused = taken.refused_spans;
        if !taken.traces.is_empty() {
            self.intake.store(Load::Traces(taken.traces), share).await?;
        }
        self.count(|counters| &counters.refused_spans, refused);
        Ok(outcome)
    }

    fn count(&self, which: impl Fn(&crate::intake::Counters) -> &AtomicU64, count: u64) {
        add(which(&self.intake.counters), count);
    }

    /// Counts a refusal on its way to the sender.
    fn note(&self, refusal: Refusal) -> Refusal {
        self.count(|counters| &counters.refused_requests, 1);
        refusal
    }
}

fn read_spans(
    bytes: Bytes,
    form: Form,
    encoding: Encoding,
    limit_bytes: usize,
    mut share: Share,
) -> Result<(Taken, Share), Refusal> {
    let bytes = body::unpack(bytes, encoding, limit_bytes, &mut share)?;
    let footprint = match form {
        Form::Protobuf => Footprint::of_otlp_protobuf(&bytes),
        Form::Json => Footprint::of_otlp_json(&bytes),
    };
    share.grow_to(memory_of(&footprint, share.bytes()))?;
    let taken = match form {
        Form::Protobuf => take_otlp_protobuf(&bytes),
        Form::Json => take_otlp_json(&bytes),
    };
    Ok((taken.map_err(Refusal::Malformed)?, share))
}

/// What a span takes on its way to the disk beside itself: places in maps and lists of the store.
const STORED_SPAN_BYTES: usize = 512;
/// In how many forms the store has a span at once on that way: as a record, read back from it, and
/// in columns. It does that with a few MiB of spans at a time, or with one that is larger.
const STORED_FORMS: usize = 3;

/// What a request takes whose body takes so much: while it is read, or while it is stored.
fn memory_of(footprint: &Footprint, body_bytes: usize) -> usize {
    let of_reading = body_bytes.saturating_add(footprint.largest_bytes);
    let of_storing = (footprint.spans.saturating_mul(STORED_SPAN_BYTES))
        .saturating_add(footprint.largest_bytes.saturating_mul(STORED_FORMS));
    let more = of_reading.max(of_storing);
    footprint.held_bytes.saturating_add(more)
}

/// When a change that names no time was made.
fn now_unix_nano() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}
