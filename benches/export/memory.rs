//! What a run takes of memory as it goes on: resident bytes of the process after each tenth of the
//! traces, which are sent to a backend in this process that takes everything and keeps nothing.

use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex};

use spanlite_benches::{memory_kib, serve};
use spanlite_export::{Credentials, ExportJob, OtlpEndpoint, RunEvent, RunOptions, Target, run};
use spanlite_generate::{Profile, Workload};
use spanlite_store::{OpenOptions, Store};
use tokio::runtime::Runtime;

type Failure = Box<dyn std::error::Error>;

/// Takes everything and keeps nothing.
fn take(body: &mut dyn Read) -> io::Result<Vec<u8>> {
    io::copy(body, &mut io::sink())?;
    Ok(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec())
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
        url: format!("http://{}", serve(take)?),
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
