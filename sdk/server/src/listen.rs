use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::error::ServeError;

/// Connections that are open at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 1_024;
/// Requests that one connection of HTTP/2 has under way at once.
const MAX_STREAMS: u32 = 256;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a silent HTTP/2 connection is asked whether somebody is there, and how long it may think.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long requests that are under way may take once the server is told to end.
const FAREWELL: Duration = Duration::from_secs(10);
/// How long accepting rests after the system refused a connection, for want of descriptors mostly.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Listens on all of the addresses, or on none.
pub(crate) async fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, ServeError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        let listener = TcpListener::bind(address).await;
        listeners.push(listener.map_err(|source| ServeError::Bind {
            address: *address,
            source,
        })?);
    }
    Ok(listeners)
}

/// The addresses that are listened on, with the ports that the system chose.
pub(crate) fn addresses(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    let addresses = listeners.iter().map(TcpListener::local_addr);
    addresses.filter_map(Result::ok).collect()
}

/// Answers on all listeners, HTTP/1.1 and HTTP/2 alike, until `stop`; then waits for what is under
/// way.
pub(crate) async fn serve(
    listeners: Vec<TcpListener>,
    router: Router,
    stop: impl Future<Output = ()>,
) {
    let graceful = Arc::new(GracefulShutdown::new());
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(
            listener,
            router.clone(),
            Arc::clone(&graceful),
            Arc::clone(&room),
        ));
    }
    stop.await;
    accepting.shutdown().await;
    // What takes longer is broken off; it was not acknowledged.
    if let Some(graceful) = Arc::into_inner(graceful) {
        drop(tokio::time::timeout(FAREWELL, graceful.shutdown()).await);
    }
}

async fn accept(
    listener: TcpListener,
    router: Router,
    graceful: Arc<GracefulShutdown>,
    room: Arc<Semaphore>,
) {
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(stream, router.clone(), graceful.watcher(), place));
            }
            Err(_) => tokio::time::sleep(ACCEPT_REST).await,
        }
    }
}

async fn converse(
    stream: TcpStream,
    router: Router,
    watcher: Watcher,
    place: OwnedSemaphorePermit,
) {
    // Small answers must not wait for an acknowledgement of the client.
    drop(stream.set_nodelay(true));
    // Who says nothing must not keep a place: the time for headers begins with their first byte.
    let first = tokio::time::timeout(HEADER_TIMEOUT, stream.peek(&mut [0])).await;
    if !matches!(first, Ok(Ok(1..))) {
        return;
    }
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(KEEP_ALIVE))
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(MAX_STREAMS);
    let connection =
        builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // A connection that breaks off is the client's business: it got no answer.
    drop(watcher.watch(connection).await);
    drop(place);
}
