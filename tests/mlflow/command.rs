//! The command's jobs against a real server, as people see them.

use spanlite_model::Trace;
use spanlite_tests::mlflow::MlflowServer;

use super::fixtures::agent_run;
use super::kill::output;
use super::replicate::store_of;

#[test]
fn the_command_adds_runs_shows_and_removes_jobs() {
    let Some(server) = MlflowServer::shared() else {
        return;
    };
    let traces: Vec<Trace> = (201..=203).map(agent_run).collect();
    let (_folder, store) = store_of(&traces);
    let path = store.path().to_owned();
    store.close().unwrap();
    let url = server.url();
    let text = |arguments: &[&str]| {
        let output = output(&path, arguments);
        let code = output.status.code().expect("a code");
        let said =
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (code, said.replace(&url, "URL"))
    };
    let (code, said) = text(&["jobs", "run", "prod"]);
    assert_eq!(code, 3, "{said}");
    let bare = url.strip_prefix("http://").expect("plain");
    let (code, said) = text(&["jobs", "add", "bare", "--to", "mlflow", "--url", bare]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("hint: an address begins with"), "{said}");
    let (code, said) = text(&[
        "jobs",
        "add",
        "prod",
        "--to",
        "mlflow",
        "--url",
        &url,
        "--experiment",
        "command",
        "--where",
        "span.status = 'ERROR'",
        "--redact",
        "default",
    ]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = text(&["jobs", "run", "prod", "--dry-run"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("would send 3 traces, 9 spans, "), "{said}");
    let (code, said) = text(&["jobs", "run", "prod"]);
    assert_eq!((code, said.trim()), (0, "✓ 3 sent"));
    let (code, said) = text(&["jobs", "run", "prod"]);
    assert_eq!((code, said.trim()), (0, "✓ 0 sent   3 there already"));
    let (code, said) = text(&["jobs", "status", "prod"]);
    assert_eq!(code, 0);
    let (first, rest) = said.split_once('\n').expect("two lines");
    // When it ended stands behind.
    assert!(first.starts_with("prod → mlflow URL   done   "), "{said}");
    assert_eq!(rest, "3 sent   0 waiting   0 refused\n");
    let once = [
        "export",
        "--to",
        "mlflow",
        "--url",
        &url,
        "--experiment",
        "once",
    ];
    let (code, said) = text(&once);
    assert_eq!((code, said.trim()), (0, "✓ 3 sent"));
    let (code, said) = text(&once);
    assert_eq!((code, said.trim()), (0, "✓ 0 sent   3 there already"));
    let (code, said) = text(&["jobs", "rm", "prod"]);
    assert_eq!(code, 2, "{said}");
    let (code, said) = text(&["jobs", "rm", "prod", "--yes"]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = text(&["jobs", "status", "prod"]);
    assert_eq!(code, 3, "{said}");
}
