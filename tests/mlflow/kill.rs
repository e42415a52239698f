//! The command killed at random points, the network bad, the server restarted: in the end every
//! trace is there once and equal.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use spanlite_model::Trace;
use spanlite_tests::mlflow::{BadProxy, MlflowServer, Mode, differences};

use super::fixtures::agent_run;
use super::replicate::store_of;

const BAD_MODES: [Mode; 5] = [
    Mode::Pass,
    Mode::Truncate,
    Mode::Fail,
    Mode::Delay(Duration::from_millis(30)),
    Mode::Drop,
];

/// About what one of the traces takes on its way.
const BYTES_OF_A_TRACE: u64 = 900;
const LONGEST_WORK: Duration = Duration::from_secs(20);

fn spanlite(store: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spanlite-under-test"));
    command.arg("--store").arg(store).args(arguments);
    command.stdin(Stdio::null());
    command
}

pub(crate) fn output(store: &Path, arguments: &[&str]) -> Output {
    spanlite(store, arguments).output().expect("spanlite runs")
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let stdout = String::from_utf8_lossy(&output.stdout);
        panic!("{error}: {stdout}\n{stderr}")
    })
}

/// Numbers that are the same in every run, so that a failure can be seen again.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn start(store: &Path) -> Child {
    // Small batches, so that most kills hit when some are noted and some are not.
    spanlite(store, &["jobs", "run", "prod", "--json", "--batch", "5"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("spanlite runs")
}

/// Sends `n_traces` with a job that is killed `n_kills` times and a server that is restarted
/// `n_restarts` times.
fn replicate_with_kills(n_traces: u64, n_kills: u32, n_restarts: u32) {
    let Some(mut server) = MlflowServer::start() else {
        return;
    };
    let proxy = BadProxy::before(server.port());
    let traces: Vec<Trace> = (1..=n_traces).map(agent_run).collect();
    let (_folder, store) = store_of(&traces);
    let path = store.path().to_owned();
    store.close().unwrap();
    let added = output(
        &path,
        &[
            "jobs",
            "add",
            "prod",
            "--to",
            "mlflow",
            "--url",
            &proxy.url(),
            "--experiment",
            "agents",
        ],
    );
    assert!(added.status.success(), "{added:?}");

    let mut numbers = Numbers(0x5eed_1234_5678_9abc);
    let mut n_restarted = 0;
    for kill in 0..n_kills {
        proxy.set(Mode::Pass);
        let mut job = start(&path);
        // Some work, then trouble, then the end. All rounds together send about two thirds, so
        // that there is something to do for every kill.
        let most = n_traces * BYTES_OF_A_TRACE * 4 / 3 / u64::from(n_kills);
        let until = proxy.n_bytes_sent() + 1_000 + numbers.below(most);
        let begin = Instant::now();
        while proxy.n_bytes_sent() < until && begin.elapsed() < LONGEST_WORK {
            sleep(Duration::from_millis(5));
        }
        proxy.set(BAD_MODES[kill as usize % BAD_MODES.len()]);
        if n_restarted < n_restarts && kill * n_restarts >= n_restarted * n_kills + n_kills / 2 {
            server.stop();
            server.resume();
            n_restarted += 1;
        }
        sleep(Duration::from_millis(numbers.below(1_500)));
        job.kill().expect("the job is killed");
        job.wait().expect("the job is gone");
    }
    assert_eq!(n_restarted, n_restarts);
    proxy.set(Mode::Pass);
    let before = json_of(&output(&path, &["jobs", "status", "prod", "--json"]));
    assert_eq!(before["running"], false, "{before}");
    let last = output(&path, &["jobs", "run", "prod", "--json"]);
    let report = json_of(&last);
    assert!(last.status.success(), "{report}");
    println!("before the last run: {before}\nlast run: {report}");
    let status = json_of(&output(&path, &["jobs", "status", "prod", "--json"]));
    assert_eq!(status["sent"], n_traces, "{status}");
    assert_eq!(
        (&status["waiting"], &status["refused"]),
        (&0.into(), &0.into())
    );

    let api = server.api();
    let there = api.search(&api.experiment_id("agents"), "");
    assert_eq!(there.len() as u64, n_traces, "each trace is there once");
    for trace in &traces {
        let id = trace.trace_id.to_string();
        let wrong = differences(trace, &api.spans(&id));
        assert!(wrong.is_empty(), "{id}: {wrong:#?}");
        let info = api.info(&id);
        assert_eq!(
            info["assessments"].as_array().map(Vec::len),
            Some(1),
            "{id}"
        );
        assert_eq!(info["tags"]["changed"], "old", "{id}");
        assert_eq!(
            info["trace_metadata"]["mlflow.trace.session"],
            **trace.info.session.as_ref().unwrap()
        );
    }
    let again = json_of(&output(&path, &["jobs", "run", "prod", "--json"]));
    assert_eq!(again["n_unchanged"], n_traces, "{again}");
}

#[test]
fn killed_five_times_each_trace_is_there_once() {
    replicate_with_kills(300, 5, 1);
}

/// The full form: `cargo test --release -p spanlite-tests --test mlflow -- --ignored killed_fifty`.
#[test]
#[ignore = "takes a quarter of an hour"]
fn killed_fifty_times_each_of_a_thousand_traces_is_there_once() {
    replicate_with_kills(1_000, 50, 5);
}
