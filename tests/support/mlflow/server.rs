use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

const VERSION: &str = "3.17.2";
/// The first start of an installation compiles some thousand Python files.
const START_TIMEOUT: Duration = Duration::from_secs(180);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// An MLflow server on a free loopback port with a SQLite store of its own. Ends with the value.
#[derive(Debug)]
pub struct MlflowServer {
    folder: TempDir,
    backend: Backend,
    python: PathBuf,
    port: u16,
    child: Option<Child>,
}

/// What a server keeps traces in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    Sqlite,
    Files,
}

/// The server that tests share, for as long as one of them uses it.
static SHARED: Mutex<Weak<MlflowServer>> = Mutex::new(Weak::new());

impl MlflowServer {
    /// The server that the tests of a process share: a start takes ten seconds of a core. Each
    /// test has an experiment of its own there. Nothing where MLflow cannot be installed.
    pub fn shared() -> Option<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Some(server);
        }
        let server = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&server);
        Some(server)
    }

    /// Starts a server with nothing in it; nothing where MLflow cannot be installed.
    pub fn start() -> Option<Self> {
        Self::start_on(Backend::Sqlite)
    }

    /// Likewise, one that keeps traces in files instead of a database.
    pub fn start_with_files() -> Option<Self> {
        Self::start_on(Backend::Files)
    }

    fn start_on(backend: Backend) -> Option<Self> {
        let python = crate::python_with("mlflow", VERSION)?;
        let port = TcpListener::bind(("127.0.0.1", 0))
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let mut server = Self {
            folder: tempfile::tempdir().expect("a folder"),
            backend,
            python,
            port,
            child: None,
        };
        server.resume();
        Some(server)
    }

    /// Starts the server again on its port with what it stored.
    pub fn resume(&mut self) {
        let folder = self.folder.path();
        let log = File::create(folder.join("server.log")).expect("a log");
        let child = Command::new(&self.python)
            .args([
                "-m",
                "mlflow",
                "server",
                "--host",
                "127.0.0.1",
                "--workers",
                "1",
            ])
            .arg("--port")
            .arg(self.port.to_string())
            .arg("--backend-store-uri")
            .arg(match self.backend {
                Backend::Sqlite => format!("sqlite:///{}", folder.join("mlflow.db").display()),
                Backend::Files => format!("file://{}", folder.join("mlruns").display()),
            })
            .arg("--artifacts-destination")
            .arg(folder.join("artifacts"))
            .current_dir(folder)
            .envs([
                ("MLFLOW_DISABLE_TELEMETRY", "true"),
                ("DO_NOT_TRACK", "true"),
                ("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false"),
                ("GIT_PYTHON_REFRESH", "quiet"),
                ("MLFLOW_ALLOW_FILE_STORE", "true"),
            ])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a handle"))
            .stderr(log)
            .spawn()
            .expect("MLflow starts");
        self.child = Some(child);
        let begin = Instant::now();
        while !self.is_healthy() {
            let gone = self
                .child
                .as_mut()
                .is_some_and(|child| !matches!(child.try_wait(), Ok(None)));
            assert!(
                !gone && begin.elapsed() < START_TIMEOUT,
                "MLflow did not start:\n{}",
                fs::read_to_string(folder.join("server.log")).unwrap_or_default()
            );
            sleep(Duration::from_millis(100));
        }
    }

    fn is_healthy(&self) -> bool {
        let answer = super::readback::get(self.port, "/health");
        answer.is_ok_and(|body| body.trim() == "OK")
    }

    /// Ends all processes of the server and waits for them.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let group = Pid::from_child(&child);
        let begin = Instant::now();
        let mut signal = Signal::TERM;
        loop {
            match kill_process_group(group, signal) {
                Ok(()) => {}
                // The whole group is gone.
                Err(rustix::io::Errno::SRCH) => break,
                Err(error) => panic!("the server cannot be stopped: {error}"),
            }
            // Reaps the leader, which otherwise keeps the group alive.
            let _status: io::Result<_> = child.try_wait();
            if begin.elapsed() > STOP_TIMEOUT {
                signal = Signal::KILL;
            }
            sleep(Duration::from_millis(50));
        }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its port on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How long its processes have computed since they were started.
    pub fn cpu_time(&self) -> Duration {
        let group = self.child.as_ref().map_or(0, Child::id);
        let ticks: u64 = fs::read_dir("/proc")
            .expect("/proc")
            .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok())
            .filter_map(|stat| {
                // After the name, which may hold anything: state, parent, group, and further on
                // the ticks in user and in system mode (proc_pid_stat(5)).
                let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
                let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
                (number(2)? == u64::from(group)).then_some(number(11)? + number(12)?)
            })
            .sum();
        // The kernel tells programs ticks of 10 ms on every architecture that Rust has.
        Duration::from_millis(10 * ticks)
    }

    /// The interpreter that has MLflow.
    pub fn python(&self) -> &Path {
        &self.python
    }

    /// The raw interface.
    pub fn api(&self) -> super::Api {
        super::Api { port: self.port }
    }
}

impl Drop for MlflowServer {
    fn drop(&mut self) {
        self.stop();
    }
}
