//! What holds for every command: no store, settings, help, pipes, reading only.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use super::support::Place;

#[test]
fn a_missing_store_is_an_error_and_is_not_made() {
    let place = Place::empty();
    insta::assert_snapshot!(place.transcript(&["list"]), @r#"
    --- stderr
    error: no store at traces.spans
      looked at --store, SPANLITE_STORE, ./traces.spans, /nonexistent/.local/share/spanlite/default.spans
      hint: your program has not written yet, or pass --store PATH; `spanlite demo` makes a store to play with
    --- exit 3
    "#);
    insta::assert_snapshot!(place.transcript(&["show", "@", "--store", "gone.spans"]), @r#"
    --- stderr
    error: no store at gone.spans
      looked at --store
      hint: your program has not written yet, or pass --store PATH; `spanlite demo` makes a store to play with
    --- exit 3
    "#);
    assert_eq!(fs::read_dir(place.folder.path()).unwrap().count(), 0);
}

#[test]
fn settings_tell_where_they_came_from() {
    let place = Place::empty();
    place.write(
        ".spanlite.toml",
        "store = \"near.spans\"\ncolor = \"never\"\n",
    );
    insta::assert_snapshot!(place.transcript(&["config", "--no-pager"]), @r#"
    SETTING     VALUE                       FROM
    store       FOLDER/near.spans  FOLDER/.spanlite.toml
    color       never                       FOLDER/.spanlite.toml
    hyperlinks  auto                        default
    trace_url                               default
    utc         true                        environment, SPANLITE_UTC
    pager                                   command line
    --- exit 0
    "#);
    place.write(".spanlite.toml", "stor = 1\n");
    insta::assert_snapshot!(place.transcript(&["list"]), @r#"
    --- stderr
    error: FOLDER/.spanlite.toml is no configuration
      TOML parse error at line 1, column 1
        |
      1 | stor = 1
        | ^^^^
      unknown field `stor`, expected one of `store`, `color`, `hyperlinks`, `trace_url`, `utc`, `pager`
    --- exit 2
    "#);
    // What one finds out with what is wrong goes on.
    for command in ["config", "doctor", "help", "version"] {
        let run = place.run(&[command]);
        assert!(run.stderr.contains("unknown field `stor`"), "{run:?}");
        assert!(!run.stdout.is_empty(), "{run:?}");
    }
}

#[test]
fn help_is_at_hand() {
    let place = Place::empty();
    insta::assert_snapshot!("help", place.transcript(&["help"]));
    let manual = place.run(&["help", "query"]).stdout;
    assert_eq!(manual, spanlite_query::LANGUAGE);
    assert_eq!(place.run(&["help", "show"]).code, 0);
    insta::assert_snapshot!(place.transcript(&["help", "nothing"]), @r#"
    --- stderr
    error: no such help: `nothing`
      hint: `spanlite help` lists the commands
    --- exit 2
    "#);
    assert_eq!(place.run(&["lisst"]).code, 2);
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            place
                .run(&["completions", shell])
                .stdout
                .contains("spanlite")
        );
    }
    assert!(place.run(&["man"]).stdout.contains(".SH NAME"));
    assert!(place.run(&["man", "show"]).stdout.contains("waterfall"));
    let page = place.done(&["man"]);
    let table = "\n.nf\n  SPANLITE_STORE       folder of the store\n";
    assert!(page.contains(table), "tables keep their lines: {page}");
    let page = place.done(&["man", "jobs", "add"]);
    let title = concat!(
        r#".TH spanlite-jobs-add 1  "spanlite "#,
        env!("CARGO_PKG_VERSION")
    );
    assert!(page.contains(title), "{page}");
    let version = concat!("spanlite ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(place.run(&["version"]).stdout, version);
}

#[test]
fn a_closed_pipe_is_silent() {
    let place = Place::with_agents();
    let mut child = place
        .command(&["show", "@", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let out = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(out.stderr).unwrap(), "");
    assert_eq!(out.status.code(), Some(0));
}

#[test]
fn the_demo_leaves_a_store_to_play_with() {
    let place = Place::empty();
    let run = place.run(&["demo"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.contains("OrderNotFound: there is no order 7"));
    let queries = run
        .stdout
        .lines()
        .filter(|line| line.contains("spanlite query "));
    assert_eq!(queries.count(), 3);
    let rows = place.run(&["list", "--format", "ndjson"]).stdout;
    assert_eq!(rows.lines().count(), 3);
    for query in [
        "{ status = error }",
        "span.type = 'CHAT_MODEL' AND tag.plan = 'pro'",
    ] {
        assert_ne!(
            place.run(&["query", query, "--format", "ndjson"]).stdout,
            ""
        );
    }
    let streamed = "{ span:type = \"chat_model\" && output contains \"arrives tomorrow\" }";
    let found = place.run(&["query", streamed, "--format", "ndjson"]).stdout;
    assert_eq!(found.lines().count(), 2);
}

#[test]
fn queries_write_nothing_when_told_so() {
    let place = Place::with_agents();
    let files = |path: &Path| {
        let mut names: Vec<_> = fs::read_dir(path)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (
                    entry.file_name(),
                    entry.metadata().unwrap().modified().unwrap(),
                )
            })
            .collect();
        names.sort();
        names
    };
    let before = files(&place.path("traces.spans"));
    for args in [&["list"][..], &["show"], &["stats"], &["verify"], &["info"]] {
        let args = [args, &["--read-only"]].concat();
        assert_eq!(place.run(&args).code, 0, "{args:?}");
    }
    assert_eq!(files(&place.path("traces.spans")), before);
    assert_ne!(place.run(&["tag", "@", "a=b", "--read-only"]).code, 0);
}

#[test]
fn a_store_that_is_in_order_is_read_without_a_writer() {
    let place = Place::with_agents();
    let store = place.path("traces.spans");
    let files = |folder: &Path| {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| {
                let entry = entry.unwrap();
                let modified = entry.metadata().unwrap().modified().unwrap();
                (entry.file_name(), modified)
            })
            .collect();
        names.sort();
        names
    };
    let before = (files(&store), files(&store.join("journal")));
    for args in [
        &["list"][..],
        &["show"],
        &["stats"],
        &["query", "{ }"],
        &["diff", "@", "@-1"],
        &["info"],
    ] {
        place.done(args);
    }
    assert_eq!(before, (files(&store), files(&store.join("journal"))));
}

#[test]
fn what_cannot_be_meant_is_a_usage_error() {
    let place = Place::with_agents();
    insta::assert_snapshot!(place.transcript(&["gc"]), @r"
    --- stderr
    error: the following required arguments were not provided:
      <--older <TIME>|--max-bytes <BYTES>|--max-traces <N>>

    Usage: spanlite gc <--older <TIME>|--max-bytes <BYTES>|--max-traces <N>>

    For more information, try '--help'.
    --- exit 2
    ");
    insta::assert_snapshot!(place.transcript(&["check", "{ }", "--min", "5", "--max", "1"]), @r"
    --- stderr
    error: no count is at least 5 and at most 1
    --- exit 2
    ");
}

#[test]
fn a_form_that_a_command_lacks_is_refused() {
    let place = Place::with_agents();
    insta::assert_snapshot!(place.transcript(&["check", "{ }", "--format", "csv"]), @r"
    --- stderr
    error: this command has no form csv
      it has json and ndjson, else plain text
    --- exit 2
    ");
    for (args, forms) in [
        (&["list"][..], ["tree"].as_slice()),
        (&["stats"], &["tree"]),
        (&["show"], &["csv"]),
        (&["diff", "@", "@-1"], &["csv"]),
        (&["info"], &["csv", "md", "tree", "table"]),
        (&["verify"], &["csv", "md", "tree", "table"]),
        (&["gc", "--older", "1w", "--dry-run"], &["csv", "md"]),
        (&["redact", "--dry-run"], &["csv", "md"]),
        (&["man"], &["json"]),
    ] {
        for form in forms {
            let run = place.run(&[args, &["--format", form]].concat());
            assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{args:?} {form}");
        }
    }
}

#[test]
fn a_limit_that_cuts_is_told() {
    let place = Place::with_agents();
    let complete = |args: &[&str]| {
        let text = place.done(&[args, &["--json"]].concat());
        let list: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(list["next"].is_null(), "{text}");
        list["complete"].as_bool().unwrap()
    };
    assert!(!complete(&["stats", "-n", "2"]));
    assert!(!complete(&["values", "name", "-n", "2"]));
    assert!(complete(&["stats"]));
    assert!(complete(&["stats", "-n", "0"]));
    assert!(complete(&["values", "name", "-n", "100"]));
    for args in [
        &["check", "{ }", "-n", "2"][..],
        &["stats", "--after", "x"],
        &["values", "name", "--after", "x"],
        &["sessions", "--after", "x"],
    ] {
        assert_eq!(place.run(args).code, 2, "{args:?}");
    }
}

#[test]
fn a_file_that_is_there_is_written_over_by_force_alone() {
    let place = Place::with_agents();
    for args in [
        &["export", "--to", "jsonl", "o"][..],
        &["export", "--to", "html", "o"],
        &["bundle", "o"],
    ] {
        let path = place.write("o", "precious");
        insta::allow_duplicates! {
            insta::assert_snapshot!(place.transcript(args), @r"
            --- stderr
            error: o is there already
              hint: --force writes over it
            --- exit 1
            ");
        }
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        place.done(&[args, &["--force"]].concat());
        assert_ne!(fs::read(&path).unwrap(), b"precious");
    }
    assert_eq!(fs::read_dir(place.folder.path()).unwrap().count(), 2);
}

#[test]
fn an_import_of_nothing_makes_no_store() {
    let place = Place::empty();
    assert_eq!(place.run(&["import", "gone.json"]).code, 1);
    assert_eq!(fs::read_dir(place.folder.path()).unwrap().count(), 0);
    place.done(&["import", super::support::AGENTS]);
    assert!(place.path("traces.spans").is_dir());
}

#[test]
fn json_is_one_value_of_every_command() {
    let place = Place::with_agents();
    place.write("prices.csv", "provider,model,from,above_tokens,input,output,cache_read,cache_write,cache_write_1h\n,m,,,1,2,,,\n");
    let read = |args: &[&str]| -> serde_json::Value {
        let run = place.run(&[args, &["--json"]].concat());
        serde_json::from_str(&run.stdout)
            .unwrap_or_else(|error| panic!("{args:?}: {error} {run:?}"))
    };
    let check = read(&["check", "{ status = error }"]);
    let expected = serde_json::json!({
        "ok": false, "found": 2, "unit": "trace", "min": null, "max": 0, "complete": true,
        "first": ["tr-9f31c2ab000000000000000000000001", "tr-9f31c2ab700000000000000000000002"],
    });
    assert_eq!(check, expected);
    let to = ["--to", "otlp", "--url", "http://127.0.0.1:1"];
    for (args, field) in [
        (&["bundle", "b.spanlite"][..], "bytes"),
        (&["export", "--to", "jsonl", "o.jsonl"], "traces"),
        (&["export", "--to", "html", "o.html"], "spans"),
        (&["tag", "@", "env=prod"], "set"),
        (&["pin", "@"], "pinned"),
        (&["feedback", "add", "@", "good", "yes"], "assessment_id"),
        (&["feedback", "rm", "@", "good"], "removed"),
        (&["expect", "@", "answer", "7"], "assessment_id"),
        (&["generate", "-n", "2"], "spans"),
        (&["init"], "made"),
        (&["queries", "add", "bad", "{ }"], "query"),
        (&["queries", "rm", "bad"], "removed"),
        (&[&["jobs", "add", "prod"][..], &to].concat(), "url"),
        (&["jobs", "retry", "prod"], "retried"),
        (&["jobs", "rm", "prod", "--yes"], "removed"),
        (
            &["prices", "set", "m", "--input", "1", "--output", "2"],
            "input",
        ),
        (&["prices", "rm", "m"], "removed"),
        (&["prices", "import", "prices.csv"], "as_of"),
        (&["prices", "reset"], "reset"),
        (&["version"], "version"),
        (&["info"], "bytes"),
        (&["verify"], "ok"),
        (&["compact"], "bytes_before"),
        (&["delete", "@", "--yes"], "done"),
    ] {
        assert!(!read(args)[field].is_null(), "{args:?}");
    }
}
