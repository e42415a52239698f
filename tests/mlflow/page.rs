//! The server's own page shows a trace that a job sent.

use std::path::Path;
use std::process::{Command, Stdio};

use spanlite_export::{RunOptions, run};
use spanlite_tests::mlflow::MlflowServer;
use spanlite_tests::skip;

use super::fixtures::agent_run;
use super::replicate::{job_to, store_of};

/// How often the page is opened until it has loaded what it shows.
const TRIES: u32 = 4;
/// How long a page may load, in the browser's own time.
const LOAD_MILLIS: &str = "20000";

/// The page as the browser has it once it is loaded; a picture of it is left in `picture`.
fn page(profile: &Path, url: &str, picture: &Path) -> String {
    let browser = |what: &str| {
        let mut command = Command::new("chromium");
        command
            .args(["--headless=new", "--no-sandbox", "--disable-gpu"])
            .args(["--hide-scrollbars", "--window-size=1600,1000"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(format!("--virtual-time-budget={LOAD_MILLIS}"))
            .args([what, url])
            .stderr(Stdio::null());
        command.output().expect("the browser runs")
    };
    browser(&format!("--screenshot={}", picture.display()));
    String::from_utf8_lossy(&browser("--dump-dom").stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_shows_a_trace_that_was_sent() {
    let has_browser = Command::new("chromium").arg("--version").output().is_ok();
    if !has_browser {
        skip("chromium is needed to look at the server's page");
        return;
    }
    let Some(server) = MlflowServer::shared() else {
        return;
    };
    let trace = agent_run(301);
    let (folder, store) = store_of(std::slice::from_ref(&trace));
    let job = job_to(server.url(), "page");
    let report = run(&store, &job, RunOptions::default()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    let experiment_id = server.api().experiment_id("page");
    let url = format!(
        "{}/#/experiments/{experiment_id}/traces?startTimeLabel=ALL&selectedEvaluationId={}",
        server.url(),
        trace.trace_id
    );
    let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mlflow-page.png");
    // Tree, outputs, session, and the tags that have a place of their own.
    let expected = [
        "answer",
        "chat",
        "search",
        "the answer to 301 is 42",
        "s-1",
        "2 tags",
    ];
    let mut missing = Vec::new();
    for _ in 0..TRIES {
        let shown = page(folder.path(), &url, &picture);
        missing = expected
            .into_iter()
            .filter(|text| !shown.contains(text))
            .collect();
        if missing.is_empty() {
            println!("a picture is at {}", picture.display());
            return;
        }
    }
    panic!(
        "the page does not show {missing:?}; see {}",
        picture.display()
    );
}
