//! A server that speaks what an MLflow server speaks and fails when it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use flate2::read::GzDecoder;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// What is done with a request instead of answering it.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Answers with a status and a body; what was asked is not done.
    Status(u16, String),
    /// Asks to be left alone for some seconds.
    RetryAfter(u64),
    /// Hangs up before anything is done.
    Close,
    /// Does what was asked and hangs up in the middle of the answer.
    Truncate,
    /// Takes what was asked without a word and forgets the assessments, as a server does that met
    /// a field it cannot read.
    ForgetAssessments,
}

/// What the server holds and was told.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) store_type: String,
    pub(crate) experiments: BTreeMap<String, String>,
    /// Spans by trace id and span id, with how often they came.
    pub(crate) spans: BTreeMap<(String, String), u64>,
    pub(crate) infos: BTreeMap<String, Value>,
    pub(crate) requests: Vec<Request>,
    /// Faults for the next requests to a path, first one first.
    pub(crate) faults: BTreeMap<String, Vec<Fault>>,
    /// A trace no request may contain.
    pub(crate) poison: BTreeSet<String>,
    /// What is answered to requests with such a trace.
    pub(crate) poison_answer: Option<(u16, String)>,
    /// Answers that part of the spans was rejected instead of refusing the request.
    pub(crate) partial_success: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct FakeServer {
    port: u16,
    pub(crate) contents: Arc<Mutex<Contents>>,
    ended: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl FakeServer {
    pub(crate) fn start() -> Self {
        Self::start_with(None)
    }

    /// Speaks TLS.
    pub(crate) fn start_tls(config: Arc<ServerConfig>) -> Self {
        Self::start_with(Some(config))
    }

    fn start_with(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let contents = Arc::new(Mutex::new(Contents {
            store_type: "SqlStore".to_owned(),
            ..Contents::default()
        }));
        let ended = Arc::new(AtomicBool::new(false));
        let accepting = {
            let (contents, ended) = (Arc::clone(&contents), Arc::clone(&ended));
            thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                    let contents = Arc::clone(&contents);
                    let tls = tls.clone();
                    thread::spawn(move || {
                        // The client may hang up whenever it likes.
                        let _gone: io::Result<()> = match tls {
                            None => serve(stream, &contents),
                            Some(config) => {
                                let session = ServerConnection::new(config).unwrap();
                                serve(StreamOwned::new(session, stream), &contents)
                            }
                        };
                    });
                }
            })
        };
        Self {
            port,
            contents,
            ended,
            accepting: Some(accepting),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn fault(&self, path: &str, faults: &[Fault]) {
        let mut contents = self.contents.lock().unwrap();
        let all = contents.faults.entry(path.to_owned()).or_default();
        all.extend_from_slice(faults);
    }

    pub(crate) fn count(&self, path: &str) -> usize {
        let contents = self.contents.lock().unwrap();
        contents
            .requests
            .iter()
            .filter(|request| request.path == path)
            .count()
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(accepting) = self.accepting.take() {
            accepting.join().unwrap();
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length");
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body)?;
    if headers.get("content-encoding").map(String::as_str) == Some("gzip") {
        let mut plain = Vec::new();
        GzDecoder::new(body.as_slice()).read_to_end(&mut plain)?;
        body = plain;
    }
    Ok(Some(Request {
        method,
        path: target.split('?').next().unwrap().to_owned(),
        headers,
        body,
    }))
}

/// Answers requests until the client hangs up, or until a fault hangs up by returning.
fn serve(stream: impl Read + Write, contents: &Mutex<Contents>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        let mut contents = contents.lock().unwrap();
        contents.requests.push(request.clone());
        let faults = contents.faults.get_mut(&request.path);
        let fault = faults
            .filter(|faults| !faults.is_empty())
            .map(|faults| faults.remove(0));
        let (status, body, extra) = match &fault {
            Some(Fault::Close) => return Ok(()),
            Some(Fault::Status(status, body)) => {
                (*status, body.clone().into_bytes(), String::new())
            }
            Some(Fault::RetryAfter(seconds)) => {
                (503, Vec::new(), format!("retry-after: {seconds}\r\n"))
            }
            Some(Fault::Truncate | Fault::ForgetAssessments) | None => {
                let forget = matches!(fault, Some(Fault::ForgetAssessments));
                let (status, body) = contents.answer(&request, forget);
                (status, body, String::new())
            }
        };
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{extra}content-length: {}\r\n\r\n",
            body.len()
        );
        if matches!(fault, Some(Fault::Truncate)) {
            return reader
                .get_mut()
                .write_all(&head.as_bytes()[..head.len() / 2]);
        }
        let stream = reader.get_mut();
        stream.write_all(&[head.as_bytes(), &body].concat())?;
        stream.flush()?;
    }
    Ok(())
}

impl Contents {
    fn answer(&mut self, request: &Request, forget_assessments: bool) -> (u16, Vec<u8>) {
        let (status, body) = match request.path.as_str() {
            "/version" => return (200, b"3.17.2".to_vec()),
            "/api/3.0/mlflow/server-info" => (200, json!({"store_type": self.store_type})),
            "/api/2.0/mlflow/experiments/get-by-name" => match self.experiments.get("agents") {
                Some(stage) => (
                    200,
                    json!({"experiment": {"experiment_id": "7", "lifecycle_stage": stage}}),
                ),
                None => (404, json!({"error_code": "RESOURCE_DOES_NOT_EXIST"})),
            },
            "/api/2.0/mlflow/experiments/create" => {
                self.experiments
                    .insert("agents".to_owned(), "active".to_owned());
                (200, json!({"experiment_id": "7"}))
            }
            "/v1/traces" => return self.take_spans(&request.body),
            "/api/3.0/mlflow/traces" => {
                let body: Value = serde_json::from_slice(&request.body).unwrap();
                let mut info = body["trace"]["trace_info"].clone();
                if forget_assessments {
                    info["assessments"] = json!([]);
                }
                self.merge(info);
                (200, json!({}))
            }
            "/api/3.0/mlflow/traces/batchGetInfos" => {
                let body: Value = serde_json::from_slice(&request.body).unwrap();
                let ids = body["trace_ids"].as_array().unwrap();
                let infos: Vec<&Value> = ids
                    .iter()
                    .filter_map(|id| self.infos.get(id.as_str().unwrap()))
                    .collect();
                (200, json!({"trace_infos": infos}))
            }
            other => (404, json!({"message": format!("no such path {other}")})),
        };
        (status, body.to_string().into_bytes())
    }

    fn take_spans(&mut self, body: &[u8]) -> (u16, Vec<u8>) {
        let traces = spanlite_formats::read_otlp_protobuf(body).unwrap();
        let poisoned = traces
            .iter()
            .filter(|trace| self.poison.contains(&trace.trace_id.to_string()))
            .count();
        if poisoned > 0 && !self.partial_success {
            let (status, text) = self.poison_answer.clone().unwrap();
            return (status, text.into_bytes());
        }
        for trace in traces {
            let trace_id = trace.trace_id.to_string();
            if self.poison.contains(&trace_id) {
                continue;
            }
            for span in trace.spans {
                let key = (trace_id.clone(), span.span_id.to_string());
                *self.spans.entry(key).or_default() += 1;
            }
        }
        if poisoned > 0 {
            // ExportTraceServiceResponse { partial_success { rejected_spans: 1, error_message } }
            let inner = [&[8, 1, 18, 3][..], b"bad"].concat();
            return (200, [&[10, inner.len() as u8], inner.as_slice()].concat());
        }
        (200, Vec::new())
    }

    /// Tags and assessments are added to what is there, everything else is replaced.
    fn merge(&mut self, mut info: Value) {
        let id = info["trace_id"].as_str().unwrap().to_owned();
        if let Some(old) = self.infos.get(&id) {
            let mut tags = old["tags"].clone();
            for (key, value) in info["tags"].as_object().unwrap() {
                tags[key] = value.clone();
            }
            info["tags"] = tags;
        }
        self.infos.insert(id, info);
    }
}
