//! Traces that come in and go out.

use std::fs;

use serde_json::{Value, json};

use super::support::{AGENTS, Place};

#[test]
fn made_up_traces_are_always_the_same() {
    let place = Place::empty();
    let args = [
        "generate",
        "-n",
        "3",
        "--seed",
        "7",
        "--profile",
        "tool-agent",
    ];
    assert_eq!(place.run(&args).code, 0);
    let first = place.run(&["list", "--json"]).stdout;
    assert_eq!(place.run(&args).code, 0);
    assert_eq!(place.run(&["list", "--json"]).stdout, first);
}

#[test]
fn importing_twice_changes_nothing() {
    let place = Place::empty();
    insta::assert_snapshot!(place.transcript(&["import", AGENTS]), @r#"
    3 traces, 17 spans from 1 file
    --- exit 0
    "#);
    insta::assert_snapshot!(place.transcript(&["import", AGENTS]), @r#"
    3 traces, 17 spans from 1 file; 17 spans were there already
    --- exit 0
    "#);
    insta::assert_snapshot!(place.transcript(&["import", AGENTS, "--json"]), @r#"
    {"traces":3,"spans":17,"new_traces":0,"new_spans":0,"files":1,"deliveries":0,"skipped":[]}
    --- exit 0
    "#);
}

#[test]
fn what_cannot_be_imported_is_named_and_nothing_of_it_is_taken() {
    let place = Place::empty();
    let whole = fs::read_to_string(AGENTS).unwrap();
    fs::create_dir_all(place.path("files/below")).unwrap();
    place.write("files/broken.json", whole.split_at(whole.len() / 2).0);
    place.write("files/empty.json", "");
    place.write("files/notes.txt", "just a text");
    place.write("files/below/good.json", &whole);
    place.write("files/bin", b"\xff\xfe\0\0");
    insta::assert_snapshot!(place.transcript(&["import", "files"]), @r#"
    3 traces, 17 spans from 1 file; 4 skipped
    --- stderr
    skipped files/bin: it begins with `\xff\xfe\x00\x00` and is neither JSON nor OTLP protobuf
    skipped files/broken.json, line 323: EOF while parsing a string at column 14
    skipped files/empty.json: it is empty
    skipped files/notes.txt: it begins with `just a text` and is neither JSON nor OTLP protobuf
    --- exit 0
    "#);
    insta::assert_snapshot!(place.transcript(&["import", "files/broken.json", "gone.json"]), @r#"
    0 traces, 0 spans from 0 files; 2 skipped
    --- stderr
    skipped files/broken.json, line 323: EOF while parsing a string at column 14
    skipped gone.json: No such file or directory (os error 2)
    --- exit 1
    "#);
    let run = place.run(&["info", "--json"]);
    let info: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&info["traces"], &info["spans"]), (&3.into(), &17.into()));
}

#[test]
fn traces_come_in_by_stdin_and_go_out_again() {
    let place = Place::empty();
    let whole = fs::read_to_string(AGENTS).unwrap();
    let run = place.run_with_input(&["import", "-"], &whole);
    assert_eq!(run.stdout, "3 traces, 17 spans from 1 file\n");
    let shown = |place: &Place| {
        let ids = ["9f31c2ab000000000000000000000001", "0c4f"];
        ids.map(|id| place.run(&["show", id, "--json"]).stdout)
    };
    for (format, name) in [
        ("otlp-json", "o.json"),
        ("mlflow-json", "m.json"),
        ("jsonl", "l.jsonl"),
    ] {
        let run = place.run(&["export", "--to", format, name]);
        assert_eq!(run.code, 0, "{run:?}");
        let other = Place::empty();
        let file = place.path(name);
        let run = other.run(&["import", file.to_str().unwrap()]);
        assert_eq!(run.stdout, "3 traces, 17 spans from 1 file\n", "{format}");
        assert_eq!(shown(&other), shown(&place), "{format}");
    }
    insta::assert_snapshot!(place.transcript(&["export", "--to", "jsonl", "no/such/folder"]), @r#"
    --- stderr
    error: no/such/folder cannot be written
      the destination cannot be written
      No such file or directory (os error 2)
    --- exit 1
    "#);
    let names: Vec<_> = fs::read_dir(place.folder.path()).unwrap().collect();
    assert_eq!(names.len(), 4, "{names:?}");
}

#[test]
fn traces_leave_as_one_page_or_one_file() {
    let place = Place::with_agents();
    assert_eq!(place.run(&["export", "--to", "html", "page.html"]).code, 0);
    let page = fs::read_to_string(place.path("page.html")).unwrap();
    assert!(page.starts_with("<!doctype html>"));
    assert!(page.contains("default-src 'none'"));
    assert!(page.contains("critical path:"), "the tree without script");
    assert!(!page.contains('\x1b'));
    assert_eq!(place.run(&["export", "--to", "html"]).code, 2, "no path");
    assert_eq!(
        place
            .run(&["bundle", "--where", "{ status = error }", "b.spans"])
            .code,
        0
    );
    let other = Place::empty();
    let bundle = place.path("b.spans");
    let run = other.run(&["import", bundle.to_str().unwrap()]);
    assert_eq!(run.stdout, "2 traces, 13 spans from 1 file\n");
}

#[test]
fn a_page_is_opened_or_its_place_is_told() {
    let place = Place::with_agents();
    let told = place.run(&["open", "@"]);
    let page = fs::read_to_string(place.real(told.stdout.trim())).unwrap();
    assert!(page.contains("<!doctype html>"));
    assert!(told.stderr.contains("no program opens pages here"));
    let opener = place.path("browser");
    fs::write(&opener, "#!/bin/sh\ncp \"$1\" opened.html\n").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).unwrap();
        let opened = place
            .command(&["open", "--where", "{ status = error }", "--json"])
            .env("BROWSER", &opener)
            .env("PATH", "/usr/bin:/bin")
            .output()
            .unwrap();
        let said: Value = serde_json::from_slice(&opened.stdout).unwrap();
        assert_eq!(
            (&said["opened"], &said["traces"]),
            (&json!(true), &json!(2))
        );
        let written = fs::metadata(place.path(said["path"].as_str().unwrap())).unwrap();
        assert_eq!(written.permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn an_imported_span_without_an_end_is_interrupted_in_blocks_and_outside() {
    let place = Place::empty();
    let span = json!({
        "traceId": "0000000000000000000000000000000a", "spanId": "000000000000000a",
        "name": "left open", "startTimeUnixNano": "1786569488000000000", "endTimeUnixNano": "0",
    });
    let request = json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]});
    let file = place.write("open.json", request.to_string());
    place.done(&["import", file.to_str().unwrap()]);
    for _ in 0..2 {
        assert!(place.done(&["list"]).contains("interrupted"));
        let query = "{ trace:state = \"INTERRUPTED\" }";
        let found: Value = serde_json::from_str(&place.done(&["query", query, "--json"])).unwrap();
        assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
        place.done(&["compact"]);
    }
}

#[test]
fn trace_events_hold_every_span() {
    let place = Place::with_agents();
    let text = place.done(&["export", "--to", "chrome", "-"]);
    let document: Value = serde_json::from_str(&text).unwrap();
    let events = document["traceEvents"].as_array().unwrap();
    let count = |ph: &str| events.iter().filter(|event| event["ph"] == ph).count();
    assert_eq!((count("M"), count("X") + count("B")), (3, 17));
}

#[test]
fn a_pipe_is_written_to_and_stays_a_pipe() {
    let place = Place::with_agents();
    let pipe = place.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).unwrap()
    });
    place.done(&["export", "--to", "jsonl", pipe.to_str().unwrap()]);
    assert_eq!(reader.join().unwrap().lines().count(), 3);
    assert!(!fs::metadata(&pipe).unwrap().is_file());
}

#[test]
fn a_store_that_cannot_be_read_is_no_folder_of_trace_files() {
    let place = Place::with_agents();
    let marker = place.path("traces.spans/STORE");
    let text = fs::read_to_string(&marker).unwrap();
    fs::write(&marker, text.replace("format 1", "format 9")).unwrap();
    let run = place.run(&["import", "traces.spans", "--store", "other.spans"]);
    assert_ne!(run.code, 0, "{run:?}");
    assert!(run.stderr.contains("has format 9"), "{run:?}");
    assert!(!run.stderr.contains("neither JSON"), "{run:?}");
}

#[test]
fn a_job_against_a_closed_port_says_so_at_once_and_what_waits_stays_known() {
    let place = Place::with_agents();
    place.done(&[
        "jobs",
        "add",
        "prod",
        "--to",
        "mlflow",
        "--url",
        "http://127.0.0.1:1",
    ]);
    insta::assert_snapshot!(place.transcript(&["jobs", "run", "prod", "--patience", "0s"]), @r#"
    ! 0 sent   3 left
    ! no answer to the question which store the server has: error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)
    the target did not answer; what was sent is noted, `spanlite jobs run prod` goes on
    --- exit 6
    "#);
    let run = place.run(&["jobs", "run", "prod", "--patience", "1s"]);
    assert_eq!(run.code, 6, "{run:?}");
    let (line, rest) = run.stderr.split_once('\n').unwrap();
    assert!(rest.is_empty(), "one line an outage: {rest}");
    let (what, when) = line.split_once("; trying again in ").unwrap();
    assert!(what.starts_with("! no answer to the question"), "{what}");
    assert!(what.contains("refused"), "{what}");
    assert!(when.ends_with("ms, for up to 1.00s (--patience)"), "{when}");
    let status = place.run(&["jobs", "status", "prod"]).stdout;
    let (first, rest) = status.split_once('\n').unwrap();
    assert!(first.contains("target did not answer"), "{first}");
    assert!(
        rest.starts_with("0 sent   3 waiting   0 refused\n! no answer"),
        "{rest}"
    );
}
