//! Calls of a model over HTTP: bare, through the tower layer, through the proxy.

use std::time::Instant;

use spanlite_auto::ModelCallLayer;
use spanlite_benches::{median, print_goal, print_table, rounds};
use spanlite_server::{Proxy, ProxyOptions, Upstream};
use tower_layer::Layer as _;
use tower_service::Service as _;

use super::Fault;
use super::upstream::{self, CHUNKS};

const ROUNDS: usize = 15;
const PLAIN_CALLS: usize = 200;
const STREAMED_CALLS: usize = 5;
const PLAIN: &str = "plain calls";
const NAMES: [&str; 3] = ["bare", "tower layer", "proxy"];
const PATH: &str = "/v1/chat/completions";

pub(super) fn measure() -> Result<(), Fault> {
    // An error says that it is chosen already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let tracing = spanlite::init(folder.path().join("traces.spans"))?;
    let address = upstream::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let proxy = runtime.block_on(Proxy::bind(ProxyOptions {
        listen: vec!["127.0.0.1:0".parse()?],
        upstreams: vec![Upstream::new("up", &format!("http://{address}"))?],
        ..ProxyOptions::default()
    }))?;
    let proxied = proxy.addresses().first().copied().unwrap_or(address);
    runtime.spawn(proxy.run(std::future::pending()));
    let client = reqwest::Client::builder()
        .no_proxy()
        .tcp_nodelay(true)
        .build()?;
    let direct = format!("http://{address}{PATH}");
    let through = format!("http://{proxied}/up{PATH}");
    for (title, body, calls) in [
        (PLAIN, "{\"model\":\"m\"}", PLAIN_CALLS),
        (
            "calls that are streamed, in a thousand chunks",
            "{\"model\":\"m\",\"stream\":true}",
            STREAMED_CALLS,
        ),
    ] {
        let results = rounds(ROUNDS, NAMES.len(), |contender| {
            let url = if contender == 2 { &through } else { &direct };
            runtime.block_on(call(&client, url, body, calls, contender == 1))
        });
        let results: Vec<Vec<f64>> = results
            .into_iter()
            .map(|runs| runs.into_iter().collect())
            .collect::<Result<_, _>>()?;
        print(title, results);
    }
    tracing.close()?;
    Ok(())
}

/// Microseconds a call takes, from sending to the last byte.
async fn call(
    client: &reqwest::Client,
    url: &str,
    body: &'static str,
    calls: usize,
    layered: bool,
) -> Result<f64, reqwest::Error> {
    let mut service = ModelCallLayer.layer(client.clone());
    let begun = Instant::now();
    for _ in 0..calls {
        let request = client.post(url).body(body).build()?;
        let mut response = if layered {
            service.call(request).await?
        } else {
            client.execute(request).await?
        };
        while response.chunk().await?.is_some() {}
    }
    Ok(begun.elapsed().as_nanos() as f64 / 1e3 / calls as f64)
}

fn print(title: &str, results: Vec<Vec<f64>>) {
    let medians: Vec<f64> = results
        .into_iter()
        .map(|mut micros| median(&mut micros))
        .collect();
    let bare = medians.first().copied().unwrap_or(0.0);
    let rows: Vec<Vec<String>> = NAMES
        .iter()
        .zip(&medians)
        .map(|(name, micros)| {
            vec![
                (*name).to_owned(),
                format!("{micros:.1}"),
                format!("{:.1}", micros - bare),
                format!("{:.0}", (micros - bare) * 1e3 / CHUNKS as f64),
            ]
        })
        .collect();
    print_table(
        title,
        &["one after another", "µs a call", "more", "ns more/1000"],
        &rows,
    );
    if title == PLAIN {
        for (name, micros) in NAMES.iter().zip(&medians).skip(1) {
            print_goal(&format!("µs more by the {name}"), micros - bare, 50.0);
        }
    }
}
