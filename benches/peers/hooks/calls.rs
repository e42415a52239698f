//! Calls of a model over HTTP: bare, through the tower layer, through the proxy.
//!
//! The client has one thread, on which its connection is driven too, so that what the layer costs
//! is on that thread's clock. Rounds hold one run of each; what is more is the median over rounds
//! of the difference to the bare run of the same round, with the quartiles of that difference.

use spanlite_auto::ModelCallLayer;
use spanlite_benches::{measure as cost_of, median, print_goal, print_table, quantile, rounds};
use spanlite_server::{Proxy, ProxyOptions, Upstream};
use tokio::runtime::{Builder, Runtime};
use tower_layer::Layer as _;
use tower_service::Service as _;

use super::Fault;
use super::upstream::{self, CHUNKS};

const ROUNDS: usize = 41;
const PATH: &str = "/v1/chat/completions";

/// What is called, how often in one run, and in how many parts a call is told.
struct Load {
    title: &'static str,
    body: &'static str,
    calls: usize,
    parts: usize,
    unit: &'static str,
}

const PLAIN: Load = Load {
    title: "calls that are answered at once",
    body: "{\"model\":\"m\"}",
    calls: 200,
    parts: 1,
    unit: "µs a call",
};
const STREAMED: Load = Load {
    title: "calls that are streamed, in a thousand chunks",
    body: "{\"model\":\"m\",\"stream\":true}",
    calls: 20,
    parts: CHUNKS,
    unit: "µs a chunk",
};

/// Who calls, and where.
#[derive(Clone, Copy)]
enum Way {
    Bare,
    Layer,
    Proxy,
}

const WAYS: [(&str, Way); 3] = [
    ("bare", Way::Bare),
    ("tower layer", Way::Layer),
    ("proxy", Way::Proxy),
];

/// Microseconds of a part, on the wall and of the client's thread.
#[derive(Clone, Copy)]
struct Micros {
    wall: f64,
    thread: f64,
}

struct Scene {
    client: reqwest::Client,
    /// One thread: that of the benchmark.
    runtime: Runtime,
    direct: String,
    through: String,
}

pub(super) fn measure() -> Result<(), Fault> {
    // An error says that it is chosen already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let tracing = spanlite::init(folder.path().join("traces.spans"))?;
    let address = upstream::start()?;
    // As the command does it.
    let of_proxy = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let proxy = of_proxy.block_on(Proxy::bind(ProxyOptions {
        listen: vec!["127.0.0.1:0".parse()?],
        upstreams: vec![Upstream::new("up", &format!("http://{address}"))?],
        ..ProxyOptions::default()
    }))?;
    let proxied = proxy.addresses().first().copied().unwrap_or(address);
    of_proxy.spawn(proxy.run(std::future::pending()));
    let scene = Scene {
        client: reqwest::Client::builder()
            .no_proxy()
            .tcp_nodelay(true)
            .build()?,
        runtime: Builder::new_current_thread().enable_all().build()?,
        direct: format!("http://{address}{PATH}"),
        through: format!("http://{proxied}/up{PATH}"),
    };
    for load in [PLAIN, STREAMED] {
        let results = rounds(ROUNDS, WAYS.len(), |contender| {
            let way = WAYS.get(contender).map_or(Way::Bare, |(_, way)| *way);
            scene.run(&load, way)
        });
        let results: Vec<Vec<Micros>> = results
            .into_iter()
            .map(|runs| runs.into_iter().collect())
            .collect::<Result<_, _>>()?;
        print(&load, &results);
    }
    tracing.close()?;
    Ok(())
}

impl Scene {
    fn run(&self, load: &Load, way: Way) -> Result<Micros, reqwest::Error> {
        let url = match way {
            Way::Proxy => &self.through,
            Way::Bare | Way::Layer => &self.direct,
        };
        let is_layered = matches!(way, Way::Layer);
        let calls = self.call(url, load, is_layered);
        let (done, cost) = cost_of(|| self.runtime.block_on(calls));
        done?;
        let parts = (load.calls * load.parts) as f64;
        Ok(Micros {
            wall: cost.wall.as_nanos() as f64 / 1e3 / parts,
            thread: cost.thread_cpu.as_nanos() as f64 / 1e3 / parts,
        })
    }

    async fn call(&self, url: &str, load: &Load, is_layered: bool) -> Result<(), reqwest::Error> {
        let mut service = ModelCallLayer.layer(self.client.clone());
        for _ in 0..load.calls {
            let request = self.client.post(url).body(load.body).build()?;
            let mut response = if is_layered {
                service.call(request).await?
            } else {
                self.client.execute(request).await?
            };
            while response.chunk().await?.is_some() {}
        }
        Ok(())
    }
}

/// The median difference to the bare runs of the same rounds, and its quartiles.
fn more(runs: &[Micros], bare: &[Micros], clock: fn(&Micros) -> f64) -> [f64; 3] {
    let pairs = runs.iter().zip(bare);
    let mut more: Vec<f64> = pairs.map(|(run, bare)| clock(run) - clock(bare)).collect();
    [0.25, 0.5, 0.75].map(|part| quantile(&mut more, part))
}

fn print(load: &Load, results: &[Vec<Micros>]) {
    let Some(bare) = results.first() else {
        return;
    };
    let clocks: [fn(&Micros) -> f64; 2] = [|micros| micros.wall, |micros| micros.thread];
    let rows: Vec<Vec<String>> = WAYS
        .iter()
        .zip(results)
        .map(|((name, _), runs)| {
            let mut row = vec![(*name).to_owned()];
            for clock in clocks {
                let mut all: Vec<f64> = runs.iter().map(clock).collect();
                let [low, middle, high] = more(runs, bare, clock);
                row.push(format!("{:.3}", median(&mut all)));
                row.push(format!("{middle:+.3}"));
                row.push(format!("{low:+.3} … {high:+.3}"));
            }
            row
        })
        .collect();
    print_table(
        load.title,
        &[
            load.unit,
            "wall",
            "more",
            "quartiles",
            "thread",
            "more",
            "quartiles",
        ],
        &rows,
    );
    for ((name, _), runs) in WAYS.iter().zip(results).skip(1) {
        let [wall, thread] = clocks.map(|clock| more(runs, bare, clock)[1]);
        if load.parts == 1 {
            print_goal(&format!("µs more by the {name}"), wall, 50.0);
        } else if *name == "tower layer" {
            print_goal(
                "µs of the thread more a chunk by the tower layer",
                thread,
                0.2,
            );
        }
    }
}
