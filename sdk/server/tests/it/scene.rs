use std::path::Path;

use serde_json::{Value, json};
use spanlite_model::TraceId;
use spanlite_server::{ReceiveOptions, Receiver, Totals};
use spanlite_store::{OpenOptions, Store};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// A receiver's address, its store, and a client.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) url: String,
    pub(crate) store: Store,
    pub(crate) client: reqwest::Client,
}

impl Scene {
    pub(crate) async fn post(
        &self,
        path: &str,
        kind: &str,
        body: impl Into<reqwest::Body>,
    ) -> Reply {
        let request = self.client.post(format!("{}{path}", self.url));
        Reply::of(request.header("content-type", kind).body(body)).await
    }

    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> Reply {
        self.post(path, "application/json", body.to_string()).await
    }

    /// Sends a body of so many bytes but for the last, and returns when the receiver has it: from
    /// then on a request of `probe` bytes is refused for want of memory. It is held until the
    /// connection is dropped.
    pub(crate) async fn hold(&self, bytes: usize, probe: usize) -> TcpStream {
        let address = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nhost: {address}\r\ncontent-length: {bytes}\r\n\
             content-type: application/x-protobuf\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![0; bytes - 1]).await.unwrap();
        let kind = "application/x-protobuf";
        while self.post("/v1/traces", kind, vec![0; probe]).await.status != 429 {}
        stream
    }

    /// How many spans the store has of a trace.
    pub(crate) fn spans(&self, trace_id: &str) -> usize {
        let id: TraceId = trace_id.parse().unwrap();
        let trace = self.store.snapshot().unwrap().trace(id).unwrap();
        trace.map_or(0, |trace| trace.spans.len())
    }
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Reply {
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            bytes: response.bytes().await.unwrap().to_vec(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }
}

/// Runs a receiver on a free port and what is to be done with it.
pub(crate) fn with_receiver<F: Future<Output = ()>>(
    options: &ReceiveOptions,
    what: impl FnOnce(Scene) -> F,
) -> Totals {
    let folder = tempfile::tempdir().unwrap();
    with_receiver_in(folder.path(), options, what)
}

/// Likewise, with the store in this folder.
pub(crate) fn with_receiver_in<F: Future<Output = ()>>(
    folder: &Path,
    options: &ReceiveOptions,
    what: impl FnOnce(Scene) -> F,
) -> Totals {
    let store = Store::open(folder.join("traces.spans"), OpenOptions::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let totals = runtime.block_on(async {
        let receiver = Receiver::bind(store.clone(), options).await.unwrap();
        let url = format!("http://{}", receiver.addresses()[0]);
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(receiver.run(async move {
            let _told = stopped.await;
        }));
        // An error says that another test was first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        what(Scene {
            url,
            store: store.clone(),
            client,
        })
        .await;
        stop.send(()).unwrap();
        running.await.unwrap()
    });
    store.close().unwrap();
    totals
}

pub(crate) fn options() -> ReceiveOptions {
    ReceiveOptions {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        ..ReceiveOptions::default()
    }
}

pub(crate) const A: &str = "0af7651916cd43dd8448eb211c80319c";
pub(crate) const B: &str = "1af7651916cd43dd8448eb211c80319c";
pub(crate) const C: &str = "2af7651916cd43dd8448eb211c80319c";

pub(crate) fn request(trace_id: &str, spans: u64) -> Value {
    let spans: Vec<Value> = (1..=spans)
        .map(|n| {
            json!({"traceId": trace_id, "spanId": format!("{n:016x}"), "name": "chat",
                "startTimeUnixNano": "1000", "endTimeUnixNano": "3000",
                "attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
                    {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "7"}}]})
        })
        .collect();
    json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
}

pub(crate) fn protobuf(trace_id: &str) -> Vec<u8> {
    let traces = spanlite_formats::read_otlp_json(request(trace_id, 2).to_string().as_bytes());
    let mut bytes = Vec::new();
    spanlite_formats::write_otlp_protobuf(&traces.unwrap(), &mut bytes).unwrap();
    bytes
}
