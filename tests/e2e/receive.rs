//! Programs in Python send to `spanlite receive`, which is killed: what was acknowledged is there.

use std::io::{BufRead as _, BufReader, Lines, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::{find, run, spanlite};

/// Sends spans by one of OpenTelemetry's exporters, and says which ids were acknowledged.
const OTEL: &str = "
import itertools, sys
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
if sys.argv[1] == 'grpc':
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
class Told(OTLPSpanExporter):
    def export(self, spans):
        result = super().export(spans)
        if result == SpanExportResult.SUCCESS:
            for span in spans:
                print(f'acknowledged tr-{span.context.trace_id:032x}', flush=True)
        return result
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(Told()))
tracer = provider.get_tracer('test')
for turn in itertools.count():
    with tracer.start_as_current_span('chat m') as span:
        span.set_attribute('gen_ai.operation.name', 'chat')
        span.set_attribute('gen_ai.usage.input_tokens', turn)
";

/// Traces with MLflow's own client, and says which ids were acknowledged.
const MLFLOW: &str = "
import itertools, mlflow
from mlflow.store.tracking.rest_store import RestStore
inner = RestStore.log_spans
def told(self, location, spans, *rest, **more):
    logged = inner(self, location, spans, *rest, **more)
    for span in spans:
        print(f'acknowledged {span.trace_id}', flush=True)
    return logged
RestStore.log_spans = told
mlflow.set_experiment('from python')
@mlflow.trace(span_type='TOOL')
def double(number):
    return number * 2
@mlflow.trace(span_type='AGENT')
def answer(question):
    mlflow.update_current_trace(tags={'plan': 'pro'})
    return double(question)
for turn in itertools.count():
    answer(turn)
";

/// `spanlite receive`, with its addresses.
struct Receiver {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
    url: String,
}

impl Receiver {
    fn start(store: &Path) -> Self {
        let mut command = spanlite(store, &["receive", "--listen", "127.0.0.1:0", "--json"]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let out = child.stdout.take().expect("its output is piped");
        let mut said = BufReader::new(out).lines();
        let first = said.next().expect("it says that it listens");
        let first: Value = serde_json::from_str(&first.expect("UTF-8")).expect("JSON");
        let address = first["addresses"][0].as_str().expect("an address");
        Self {
            url: format!("http://{address}"),
            child,
            said,
        }
    }

    /// Posts a body, and gives the status and the headers of the answer.
    fn post(&self, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
        let address = self.url.strip_prefix("http://").expect("a URL");
        let mut stream = TcpStream::connect(address).expect("it listens");
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
             content-length: {length}\r\n{headers}\r\n\r\n"
        );
        // What is refused early is not read to its end.
        drop(stream.write_all(head.as_bytes()));
        drop(stream.write_all(body));
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).expect("a status");
        (status.parse().expect("a number"), answer)
    }

    /// The most memory that it had so far, in MiB.
    fn peak_mebibytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kibibytes = line.and_then(|line| line.split_ascii_whitespace().nth(1));
        let kibibytes: u64 = kibibytes.and_then(|text| text.parse().ok()).expect("KiB");
        kibibytes >> 10
    }

    fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Ends it as the user does, and gives what it says then.
    fn interrupt(mut self) -> Value {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        let pid = rustix::process::Pid::from_raw(pid).expect("a process id");
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
        let last = self.said.next().expect("it sums up").expect("UTF-8");
        assert!(self.child.wait().expect("it ends").success());
        serde_json::from_str(&last).expect("JSON")
    }
}

/// A program in Python, away from the proxies of the machine.
struct Sender {
    child: Child,
    acknowledged: Lines<BufReader<ChildStdout>>,
}

impl Sender {
    fn otel(python: &Path, kind: &str, url: &str, folder: &Path) -> Self {
        let mut command = Command::new(python);
        command
            .args(["-c", OTEL, kind])
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", url)
            .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip");
        Self::start(command, folder)
    }

    fn mlflow(python: &Path, url: &str, folder: &Path) -> Self {
        let mut command = Command::new(python);
        command
            .args(["-c", MLFLOW])
            .env("MLFLOW_TRACKING_URI", url)
            .env("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")
            .env("MLFLOW_USE_BATCH_SPAN_PROCESSOR", "false")
            .env("MLFLOW_DISABLE_TELEMETRY", "true");
        Self::start(command, folder)
    }

    fn start(mut command: Command, folder: &Path) -> Self {
        let mut child = command
            .current_dir(folder)
            .env("NO_PROXY", "127.0.0.1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python starts");
        let out = child.stdout.take().expect("its output is piped");
        Self {
            child,
            acknowledged: BufReader::new(out).lines(),
        }
    }

    /// Waits for so many acknowledgements.
    fn wait_for(&mut self, count: usize) -> Vec<String> {
        let ids: Vec<String> = self
            .acknowledged
            .by_ref()
            .take(count)
            .map(|line| id_of(&line.expect("UTF-8")))
            .collect();
        assert_eq!(ids.len(), count, "the sender ended early");
        ids
    }

    /// Ends the program, and gives what was acknowledged meanwhile.
    fn end(mut self) -> Vec<String> {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
        let rest = self.acknowledged.map_while(Result::ok);
        rest.filter(|line| line.len() == "acknowledged tr-".len() + 32)
            .map(|line| id_of(&line))
            .collect()
    }
}

fn id_of(line: &str) -> String {
    let id = line.strip_prefix("acknowledged ");
    id.expect("only ids are printed").to_owned()
}

#[track_caller]
fn all_are_there(store: &Path, acknowledged: &[String]) {
    let found = find(store, "{ }");
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|id| !found.contains(id))
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {} lost",
        lost.len(),
        acknowledged.len()
    );
    run(store, &["verify"]);
}

/// A Python that has OpenTelemetry's SDK with both of its OTLP exporters.
fn otel_python() -> Option<PathBuf> {
    spanlite_tests::python_with("opentelemetry-exporter-otlp", "1.45.2")
}

/// Kills the receiver of two senders, after a number of acknowledgements that differs by round.
fn otel_survives_kills(python: &Path, rounds: usize) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let store = folder.path().join("traces.spans");
    let mut acknowledged = Vec::new();
    for round in 0..rounds {
        let receiver = Receiver::start(&store);
        let start = |kind| Sender::otel(python, kind, &receiver.url, folder.path());
        let (mut http, mut grpc) = (start("http"), start("grpc"));
        acknowledged.extend(grpc.wait_for(7 + 13 * round));
        acknowledged.extend(http.wait_for(5 + 11 * round));
        receiver.kill();
        acknowledged.extend(http.end());
        acknowledged.extend(grpc.end());
    }
    all_are_there(&store, &acknowledged);
    let models = find(&store, "{ span:type = \"chat_model\" }");
    assert!(models.len() >= acknowledged.len());
}

#[test]
fn spans_of_opentelemetry_that_were_acknowledged_survive_a_kill() {
    if let Some(python) = otel_python() {
        otel_survives_kills(&python, 2);
    }
}

#[test]
#[ignore = "twenty rounds take minutes"]
fn spans_of_opentelemetry_survive_many_kills() {
    if let Some(python) = otel_python() {
        otel_survives_kills(&python, 20);
    }
}

#[test]
fn traces_of_mlflow_that_were_acknowledged_survive_a_kill() {
    let Some(python) = spanlite_tests::python_with("mlflow", "3.17.2") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a scratch folder");
    let store = folder.path().join("traces.spans");
    let receiver = Receiver::start(&store);
    let mut sender = Sender::mlflow(&python, &receiver.url, folder.path());
    let mut acknowledged = sender.wait_for(8);
    receiver.kill();
    acknowledged.extend(sender.end());
    all_are_there(&store, &acknowledged);

    // After the kill it goes on with the same store, and an end in peace is summed up.
    let receiver = Receiver::start(&store);
    let mut sender = Sender::mlflow(&python, &receiver.url, folder.path());
    let more = sender.wait_for(4);
    acknowledged.extend(more);
    acknowledged.extend(sender.end());
    let totals = receiver.interrupt();
    assert!(totals["spans"].as_u64() >= Some(4), "{totals}");
    all_are_there(&store, &acknowledged);
    let tree = run(&store, &["show", &acknowledged[0], "--format", "json"]).json();
    let spans = tree["data"]["spans"].as_array().expect("spans");
    let named = |name: &str| {
        let found = spans.iter().find(|span| span["name"] == name);
        &found.expect("the span is there")["attributes"]
    };
    assert_eq!(spans.len(), 2);
    assert_eq!(named("answer")["mlflow.spanType"], "\"AGENT\"");
    assert_eq!(named("double")["mlflow.spanOutputs"], "0");
}

/// A field of a protobuf message.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length > 0x7f {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
    out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).expect("into memory");
    packed.finish().expect("into memory")
}

/// Bodies of 4 MiB that become hundreds where nobody looks first, four at once of each kind.
#[test]
#[cfg(target_os = "linux")]
fn hostile_bodies_are_refused_in_little_memory() {
    const BYTES: usize = 4 << 20;
    let folder = tempfile::tempdir().expect("a scratch folder");
    let store = folder.path().join("traces.spans");
    let receiver = Receiver::start(&store);
    let spans = field(1, &field(2, &b"\x12\x00".repeat(BYTES / 2)));
    let ids = [field(1, &[1; 16]), field(2, &[1; 8])].concat();
    let span = [ids, b"\x4a\x00".repeat(BYTES / 2)].concat();
    let attributes = field(1, &field(2, &field(2, &span)));
    let packed = gzip(&spans);
    let frame = [&[1][..], &(packed.len() as u32).to_be_bytes(), &packed].concat();
    let list = "{},".repeat(BYTES / 3) + "{}";
    let text = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{list}]}}]}}]}}"#);
    let info = format!(r#"{{"trace":{{"trace_info":{{"trace_id":"tr-1","x":[{list}]}}}}}}"#);
    let grpc = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let (json, protobuf) = (
        "content-type: application/json",
        "content-type: application/x-protobuf",
    );
    let packed_protobuf = format!("{protobuf}\r\ncontent-encoding: gzip");
    let framed = "content-type: application/grpc\r\ngrpc-encoding: gzip";
    let kinds: [(&str, &str, Vec<u8>); 6] = [
        ("/v1/traces", protobuf, spans),
        ("/v1/traces", protobuf, attributes),
        ("/v1/traces", &packed_protobuf, packed),
        (grpc, framed, frame),
        ("/v1/traces", json, text.into_bytes()),
        ("/api/3.0/mlflow/traces", json, info.into_bytes()),
    ];
    for (path, headers, body) in &kinds {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let (status, answer) = receiver.post(path, headers, body);
                    let refused = match status {
                        // gRPC tells its status in a header of its own.
                        200 => {
                            answer.contains("grpc-status: 3") || answer.contains("grpc-status: 8")
                        }
                        status => status == 413 || status == 429,
                    };
                    assert!(refused, "{path}, {headers}: {answer}");
                });
            }
        });
        let peak = receiver.peak_mebibytes();
        assert!(peak < 300, "{path}, {headers}: {peak} MiB");
    }
    let totals = receiver.interrupt();
    assert_eq!(
        (&totals["spans"], &totals["refused_requests"]),
        (&0.into(), &24.into())
    );
}
