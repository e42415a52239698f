//! What a run takes of memory as it goes on: resident bytes of the process after each tenth of the
//! traces, which are sent to a backend in this process that takes everything and keeps nothing.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use spanlite_benches::memory_kib;
use spanlite_export::{Credentials, ExportJob, OtlpEndpoint, RunEvent, RunOptions, Target, run};
use spanlite_generate::{Profile, Workload};
use spanlite_store::{OpenOptions, Store};
use tokio::runtime::Runtime;

type Failure = Box<dyn std::error::Error>;

/// Answers all requests of a connection.
fn take(stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut n_bytes = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(length) = line.strip_prefix("content-length:") {
                n_bytes = length.trim().parse().map_err(io::Error::other)?;
            }
        }
        io::copy(&mut (&mut reader).take(n_bytes), &mut io::sink())?;
        reader
            .get_mut()
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}

fn sink() -> io::Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let url = format!("http://{}", listener.local_addr()?);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // Ends with the client.
            thread::spawn(move || drop(take(stream)));
        }
    });
    Ok(url)
}

/// Sends `n_traces` traces of a store at `path` and returns the KiB after each tenth.
pub(crate) fn run_over(path: &Path, n_traces: u64) -> Result<Vec<u64>, Failure> {
    {
        let store = Store::open(path, OpenOptions::default())?;
        let mut traces = Workload::new(Profile::Small, 1, n_traces).into_iter();
        loop {
            let some: Vec<_> = traces.by_ref().take(1_000).collect();
            if some.is_empty() {
                break;
            }
            store.write(&some)?;
        }
        store.close()?;
    }
    let store = Store::open(path, OpenOptions::default())?;
    let endpoint = OtlpEndpoint {
        url: sink()?,
        headers: Vec::new(),
        credentials: Credentials::None,
        ca_file: None,
    };
    let job = ExportJob::new("memory", Target::Otlp(endpoint));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let options = RunOptions {
        on_event: Some(Arc::new(move |event| {
            if let RunEvent::Progress(report) = event
                && let Ok(mut told) = told.lock()
                && report.n_done() * 10 / n_traces > told.len() as u64
            {
                told.extend(memory_kib("VmRSS"));
            }
        })),
        ..RunOptions::default()
    };
    let report = Runtime::new()?.block_on(run(&store, &job, options))?;
    if report.n_sent != n_traces {
        return Err(format!("not all was sent: {report:?}").into());
    }
    let seen = seen.lock().map_err(|_| "a listener panicked")?;
    Ok(seen.clone())
}
