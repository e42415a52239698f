//! How many spans a second `receive` has on disk, with its senders in the same process.

use std::time::Instant;

use spanlite_benches::{measure as cost_of, median, print_goal, print_table};
use spanlite_formats::write_otlp_protobuf;
use spanlite_generate::{Profile, Workload};
use spanlite_server::{ReceiveOptions, Receiver};
use spanlite_store::{OpenOptions, Store};

use super::Fault;

const ROUNDS: usize = 5;
/// Programs that send at once; each waits for its answer before it sends more, as the exporters of
/// OpenTelemetry do.
const SENDERS: [usize; 2] = [4, 16];
const TRACES: u64 = 20_000;
const SPANS_A_REQUEST: usize = 512;

/// Requests as a batch processor sends them, and how many spans they have.
fn requests() -> Result<(Vec<Vec<u8>>, usize), Fault> {
    let (mut requests, mut batch, mut waiting, mut spans) = (Vec::new(), Vec::new(), 0, 0);
    for trace in Workload::new(Profile::Small, 1, TRACES) {
        waiting += trace.spans.len();
        spans += trace.spans.len();
        batch.push(trace);
        if waiting >= SPANS_A_REQUEST {
            let mut bytes = Vec::new();
            write_otlp_protobuf(&batch, &mut bytes)?;
            requests.push(bytes);
            batch.clear();
            waiting = 0;
        }
    }
    let mut bytes = Vec::new();
    write_otlp_protobuf(&batch, &mut bytes)?;
    requests.push(bytes);
    Ok((requests, spans))
}

pub(super) fn measure() -> Result<(), Fault> {
    // An error says that it is chosen already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let (requests, spans) = requests()?;
    let mut rows = Vec::new();
    let mut best = 0.0;
    for senders in SENDERS {
        let (mut rates, mut cpu, mut writes) = (Vec::new(), Vec::new(), 0);
        for _ in 0..ROUNDS {
            let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
            let store = Store::open(folder.path().join("traces.spans"), OpenOptions::default())?;
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?;
            let (sent, cost) = cost_of(|| runtime.block_on(send_all(&store, &requests, senders)));
            let (seconds, count) = sent?;
            store.close()?;
            rates.push(spans as f64 / seconds);
            cpu.push(cost.process_cpu.as_secs_f64() * 1e6 / spans as f64);
            writes = count;
        }
        let rate = median(&mut rates);
        best = rate.max(best);
        rows.push(vec![
            format!("{senders} senders"),
            format!("{rate:.0}"),
            format!("{:.1}", median(&mut cpu)),
            writes.to_string(),
        ]);
    }
    print_table(
        &format!(
            "receive: {spans} small spans in {} requests of OTLP over HTTP",
            requests.len()
        ),
        &[
            "each acknowledged on disk",
            "spans/s",
            "CPU µs/span",
            "writes",
        ],
        &rows,
    );
    print_goal("µs a span", 1e6 / best, 10.0);
    Ok(())
}

/// Seconds until all is acknowledged, and how often the store was made to write.
async fn send_all(
    store: &Store,
    requests: &[Vec<u8>],
    n_senders: usize,
) -> Result<(f64, u64), Fault> {
    let options = ReceiveOptions {
        listen: vec!["127.0.0.1:0".parse()?],
        ..ReceiveOptions::default()
    };
    let receiver = Receiver::bind(store.clone(), &options).await?;
    let watch = receiver.watch();
    let url = receiver
        .addresses()
        .first()
        .map(|one| format!("http://{one}/v1/traces"));
    let url = url.unwrap_or_default();
    let running = tokio::spawn(receiver.run(std::future::pending()));
    let client = reqwest::Client::builder().no_proxy().build()?;
    let begun = Instant::now();
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..n_senders {
        let (client, url) = (client.clone(), url.clone());
        let mine = requests.iter().skip(sender).step_by(n_senders);
        let mine: Vec<Vec<u8>> = mine.cloned().collect();
        senders.spawn(async move {
            for body in mine {
                let request = client.post(&url).body(body);
                let request = request.header("content-type", "application/x-protobuf");
                request.send().await?.error_for_status()?;
            }
            Ok::<(), reqwest::Error>(())
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    running.abort();
    Ok((seconds, watch().writes))
}
