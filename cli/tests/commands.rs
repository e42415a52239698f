//! Runs the built command on fixed stores and compares what it prints and how it exits.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

const AGENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/agents.otlp.json");

/// A folder to run in, and the variables of the environment that are set.
struct Place {
    folder: TempDir,
}

/// What a run printed and how it exited.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    stdout: String,
    stderr: String,
    code: i32,
}

impl Run {
    /// All of it in one text.
    fn transcript(&self) -> String {
        let mut text = self.stdout.clone();
        if !self.stderr.is_empty() {
            text.push_str("--- stderr\n");
            text.push_str(&self.stderr);
        }
        text + &format!("--- exit {}", self.code)
    }
}

impl Place {
    fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A place with a store of three traces.
    fn with_agents() -> Self {
        let place = Self::empty();
        let run = place.run(&["import", AGENTS]);
        assert_eq!(run.code, 0, "{run:?}");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spanlite"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .env("SPANLITE_UTC", "1")
            .env("HOME", "/nonexistent");
        command
    }

    fn run(&self, args: &[&str]) -> Run {
        self.run_with_input(args, "")
    }

    fn run_with_input(&self, args: &[&str], input: &str) -> Run {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        let out = child.wait_with_output().unwrap();
        let folder = self.folder.path().to_str().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(folder, "FOLDER");
        Run {
            stdout: text(out.stdout),
            stderr: text(out.stderr),
            code: out.status.code().unwrap(),
        }
    }

    /// The transcript of a run, with ids that differ from run to run made equal.
    fn transcript(&self, args: &[&str]) -> String {
        let text = self.run(args).transcript();
        let mut out = String::new();
        for (index, piece) in text.split("a-").enumerate() {
            let hex = piece.bytes().take_while(u8::is_ascii_hexdigit).count();
            match index {
                0 => out.push_str(piece),
                _ if hex == 32 => {
                    out.push_str("a-ID");
                    out.push_str(piece.split_at(32).1);
                }
                _ => {
                    out.push_str("a-");
                    out.push_str(piece);
                }
            }
        }
        out
    }
}

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
    assert_eq!(std::fs::read_dir(place.folder.path()).unwrap().count(), 0);
}

#[test]
fn traces_are_listed_at_every_width() {
    let place = Place::with_agents();
    for width in ["60", "80", "120", "200"] {
        let text = place.transcript(&["list", "--width", width]);
        insta::assert_snapshot!(format!("list_{width}"), text);
    }
    let color = place.transcript(&["list", "--color", "always"]);
    insta::assert_snapshot!("list_color", color.replace('\x1b', "␛"));
    insta::assert_snapshot!("list_ascii", place.transcript(&["list", "--ascii"]));
    insta::assert_snapshot!("list_json", place.transcript(&["list", "--json"]));
    insta::assert_snapshot!("list_csv", place.transcript(&["list", "--format", "csv"]));
    insta::assert_snapshot!(
        "list_md",
        place.transcript(&["list", "--format", "md", "-n", "1"])
    );
    assert_eq!(
        place
            .run(&["list", "--format", "ndjson", "-q"])
            .stdout
            .lines()
            .count(),
        3
    );
}

#[test]
fn a_trace_is_shown() {
    let place = Place::with_agents();
    insta::assert_snapshot!("show", place.transcript(&["show", "@"]));
    insta::assert_snapshot!("show_all", place.transcript(&["show", "@", "--all"]));
    insta::assert_snapshot!("show_hostile", place.transcript(&["show", "@-1"]));
    let json = place.run(&["show", "@", "--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(
        document["info"]["trace_id"],
        "tr-9f31c2ab000000000000000000000001"
    );
    assert_eq!(document["data"]["spans"].as_array().map(Vec::len), Some(11));
    insta::assert_snapshot!(place.transcript(&["show", "@", "--format", "csv"]), @r#"
    --- stderr
    error: `show` has no form csv
      it has tree, json and ndjson
    --- exit 2
    "#);
}

#[test]
fn the_messages_of_a_trace_are_shown() {
    let place = Place::with_agents();
    insta::assert_snapshot!("show_io", place.transcript(&["show", "@", "--io"]));
    let full = place.run(&["show", "@", "--io", "--full"]).stdout;
    assert_eq!(full.matches("You help customers.").count(), 2);
}

#[test]
fn two_traces_are_compared() {
    let place = Place::with_agents();
    insta::assert_snapshot!("diff", place.transcript(&["diff", "@-2", "@"]));
    insta::assert_snapshot!("diff_io", place.transcript(&["diff", "@-2", "@", "--io"]));
    insta::assert_snapshot!("diff_same", place.transcript(&["diff", "@-2", "@-2"]));
    let json = place.run(&["diff", "@-2", "@", "--json"]).stdout;
    let diff: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(diff["first_divergence"], 0);
    assert_eq!(diff["spans"][2]["mark"], "changed");
}

#[test]
fn the_newest_happenings_are_shown() {
    let place = Place::with_agents();
    insta::assert_snapshot!("tail", place.transcript(&["tail", "-n", "6"]));
    let ended = place.run(&["tail", "-n", "6", "--format", "ndjson"]).stdout;
    assert_eq!(ended.lines().count(), 5);
}

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
fn questions_are_answered() {
    let place = Place::with_agents();
    let text = |args: &[&str]| {
        let text = place.transcript(args);
        // How long it took differs from run to run.
        let lines = text
            .lines()
            .map(|line| line.split(" matched in ").next().unwrap());
        lines.collect::<Vec<_>>().join("\n")
    };
    let failed = "{ status = error }";
    insta::assert_snapshot!("query", text(&["query", failed]));
    let grouped = "{ span:type = \"tool\" } | by(name) | count() > 1 | select(span:duration)";
    insta::assert_snapshot!("query_by", text(&["query", grouped, "--spans", "2"]));
    insta::assert_snapshot!(
        "query_ndjson",
        text(&["query", grouped, "--format", "ndjson"])
    );
    insta::assert_snapshot!(
        "query_json",
        text(&["query", failed, "--json", "--spans", "all"])
    );
    insta::assert_snapshot!(text(&["query", "{ lattency > 2s }"]), @r#"
    --- stderr
    error: unknown name lattency
        | { lattency > 2s }
        |   ^^^^^^^^ an attribute begins with a dot or a scope: .lattency, span.lattency; a text needs quotes
    --- exit 2
    "#);
    let counted = "{ } | count_over_time() by (span:type)";
    insta::assert_snapshot!(text(&["query", counted]), @r#"
    span:type   VALUE
    AGENT           4
    CHAIN           1
    CHAT_MODEL      4
    RETRIEVER       1
    TOOL            7
    --- exit 0
    "#);
    insta::assert_snapshot!(text(&["query", counted, "--step", "10m"]), @r#"
    span:type   LAST  MOST  TREND
    AGENT          3     3  ▄█
    CHAIN          1     1  ▁█
    CHAT_MODEL     2     2  ██
    RETRIEVER      1     1  ▁█
    TOOL           6     6  ▃█
    --- stderr
    2 steps of 10m00s from 2026-08-12 21:00:00
    --- exit 0
    "#);
    insta::assert_snapshot!(text(&["list", counted]), @r#"
    --- stderr
    error: the query failed
      this query yields metrics, not traces
    --- exit 2
    "#);
    insta::assert_snapshot!(text(&["list", "span.type = 'RETRIEVER'", "-q"]), @r#"
       TRACE      STARTED         NAME            DUR  SPANS  LLM     TOKENS     COST  STATE
    ✗  9f31c2ab0  08-12 21:18:08  support.turn  41.2s     11    2  183k→3.3k  $0.0295  error: no order …
    --- exit 0
    "#);
    insta::assert_snapshot!(text(&["list", "tag.none = 'x'"]), @r#"
    --- stderr
    no match in 3 traces
    --- exit 0
    "#);
    insta::assert_snapshot!(text(&["stats", failed, "--by", "error"]), @r#"
    ERROR          CALLS   ERR    P50    P95    P99  TREND
    –                  2  100%  980ms  41.2s  41.2s  █▁▁▁▁▁▁▁▁▁▁▁
    OrderNotFound      1  100%  1.00s  1.00s  1.00s  ▁▁▁▁▁▁▁▁▁▁▁█
    --- stderr
    3 spans in 2 groups
    --- exit 0
    "#);
    let run = place.run(&["query", "{ }", "--since", "1s", "--format", "ndjson"]);
    assert_eq!(run.stdout, "");
    let args = ["export", "--to", "jsonl", "--where", failed, "-"];
    assert_eq!(place.run(&args).stdout.lines().count(), 2);
}

#[test]
fn queries_are_checked_without_a_store() {
    let place = Place::empty();
    let input = "\"{ }\"\n\"{ status = ERROR }\"\n\"tag.a = 'b' AND\"\n";
    let run = place.run_with_input(&["query", "--check"], input);
    insta::assert_snapshot!(run.transcript(), @r#"
    {"ok":true,"canonical":"{ true }"}
    {"ok":false,"stage":"parse","error":{"code":"UnknownName","span":[11,16],"message":"unknown name ERROR","help":"did you mean error? (status values are ok, error, unset)","replace":"error"}}
    {"ok":false,"stage":"parse","error":{"code":"Unexpected","span":[15,15],"message":"expected a value, found the end","help":null,"expected":["a value"]}}
    --- exit 0
    "#);
    assert_eq!(
        place
            .run_with_input(&["query", "--check"], "no string\n")
            .code,
        2
    );
}

#[test]
fn queries_are_kept_and_checked() {
    let place = Place::with_agents();
    assert_eq!(
        place
            .run(&["queries", "add", "bad", "{ status = error }"])
            .code,
        0
    );
    assert_eq!(
        place.run(&["queries", "add", "worse", "{ status = "]).code,
        2
    );
    insta::assert_snapshot!(place.transcript(&["queries", "list"]), @r#"
    NAME  QUERY
    @bad  { status = error }
    --- exit 0
    "#);
    insta::assert_snapshot!(place.transcript(&["check", "@bad"]), @r#"
    ✗ 2 traces, at most 0 allowed: tr-9f31c2ab000000000000000000000001 tr-9f31c2ab700000000000000000000002
    --- exit 7
    "#);
    insta::assert_snapshot!(place.transcript(&["check", "@bad", "--max", "2"]), @r#"
    ✓ 2 traces, at most 2 allowed
    --- exit 0
    "#);
    insta::assert_snapshot!(place.transcript(&["check", "@bad", "--min", "4", "--spans"]), @r#"
    ✗ 3 spans, at least 4 allowed: tr-9f31c2ab000000000000000000000001 tr-9f31c2ab700000000000000000000002
    --- exit 7
    "#);
    assert_eq!(place.run(&["queries", "rm", "bad"]).code, 0);
    insta::assert_snapshot!(place.transcript(&["list", "@bad"]), @r#"
    --- stderr
    error: there is no saved query `@bad`
      hint: `spanlite queries list` shows them
    --- exit 3
    "#);
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
fn a_span_is_shown() {
    let place = Place::with_agents();
    insta::assert_snapshot!("span_failed", place.transcript(&["span", "@/get_order"]));
    insta::assert_snapshot!(
        "span_model",
        place.transcript(&["span", "@/0000000000000003"])
    );
    insta::assert_snapshot!(
        "span_json",
        place.transcript(&["span", "@/get_order", "--json"])
    );
}

#[test]
fn traces_are_named_by_prefix_and_age() {
    let place = Place::with_agents();
    insta::assert_snapshot!(place.transcript(&["show", "9f31"]), @r#"
    --- stderr
    error: prefix 9f31 is not unique
      9f31c2ab0 support.turn
      9f31c2ab7 clear \x1b[2J screen\nline
      hint: give more digits of the id
    --- exit 3
    "#);
    insta::assert_snapshot!(place.transcript(&["show", "abc"]), @r#"
    --- stderr
    error: no trace begins with `abc`
      hint: `spanlite list` shows the ids
    --- exit 3
    "#);
    insta::assert_snapshot!(place.transcript(&["show", "@-7"]), @r#"
    --- stderr
    error: the store holds 3 traces, `@-7` is further back
    --- exit 3
    "#);
    insta::assert_snapshot!(place.transcript(&["show", "order"]), @r#"
    --- stderr
    error: `order` names no trace: an id has the digits 0-9 and a-f
      hint: a trace is named by its id, the beginning of it, `@` or `@-1`
    --- exit 2
    "#);
    insta::assert_snapshot!(place.transcript(&["span", "@/search_orders"]), @r#"
    --- stderr
    error: `search_orders` is not one span
      0000000000000006 search_orders
      0000000000000007 search_orders
      0000000000000008 search_orders
      hint: give more digits of the id
    --- exit 3
    "#);
    insta::assert_snapshot!(place.transcript(&["span", "@/nothing"]), @r#"
    --- stderr
    error: no span of the trace begins with, or is named, `nothing`
      hint: `spanlite show TRACE --format json` has the ids
    --- exit 3
    "#);
    for reference in ["0c", "tr-0c4f7d18000000000000000000000003", "0C4F", "@-2"] {
        let run = place.run(&["show", reference, "--json"]);
        assert!(
            run.stdout.contains("tr-0c4f7d18000000000000000000000003"),
            "{reference}"
        );
    }
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
    let whole = std::fs::read_to_string(AGENTS).unwrap();
    std::fs::create_dir_all(place.path("files/below")).unwrap();
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
    let info: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&info["traces"], &info["spans"]), (&3.into(), &17.into()));
}

#[test]
fn traces_come_in_by_stdin_and_go_out_again() {
    let place = Place::empty();
    let whole = std::fs::read_to_string(AGENTS).unwrap();
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
    let names: Vec<_> = std::fs::read_dir(place.folder.path()).unwrap().collect();
    assert_eq!(names.len(), 4, "{names:?}");
}

#[test]
fn spans_are_counted() {
    let place = Place::with_agents();
    insta::assert_snapshot!("stats", place.transcript(&["stats"]));
    let by = ["stats", "--by", "type,status", "--width", "80", "--ascii"];
    insta::assert_snapshot!("stats_by", place.transcript(&by));
    insta::assert_snapshot!(
        "stats_json",
        place.transcript(&["stats", "-n", "2", "--json"])
    );
    insta::assert_snapshot!("values", place.transcript(&["values", "type"]));
    insta::assert_snapshot!(
        "values_near",
        place.transcript(&["values", "gen_ai.requst.model"])
    );
    insta::assert_snapshot!("sessions", place.transcript(&["sessions"]));
}

#[test]
fn traces_are_judged() {
    let place = Place::with_agents();
    let add = [
        "feedback",
        "add",
        "@",
        "correctness",
        "no",
        "--by",
        "alice",
        "--why",
        "wrong order",
    ];
    insta::assert_snapshot!(place.transcript(&add), @r#"
    --- stderr
    a-ID correctness tr-9f31c2ab000000000000000000000001 support.turn
    --- exit 0
    "#);
    let add = [
        "feedback",
        "add",
        "@/get_order",
        "severity",
        "0.5",
        "--source",
        "code",
    ];
    assert_eq!(place.run(&add).code, 0);
    assert_eq!(place.run(&["expect", "0c", "answer", "{\"a\": 1}"]).code, 0);
    assert_eq!(place.run(&["tag", "@", "env=prod", "team=a"]).code, 0);
    assert_eq!(place.run(&["tag", "@", "--rm", "team"]).code, 0);
    assert_eq!(place.run(&["pin", "@"]).code, 0);
    insta::assert_snapshot!("feedback_list", place.transcript(&["feedback", "list"]));
    let head = place.run(&["show", "@"]).stdout;
    insta::assert_snapshot!(
        "judged_head",
        head.lines().take(4).collect::<Vec<_>>().join("\n")
    );
    assert_eq!(place.run(&["feedback", "rm", "@", "correctness"]).code, 0);
    insta::assert_snapshot!(place.transcript(&["feedback", "rm", "@", "correctness"]), @r#"
    --- stderr
    error: the trace has no assessment `correctness`
      hint: `spanlite feedback list TRACE` shows them
    --- exit 3
    "#);
    insta::assert_snapshot!(place.transcript(&["tag", "@", "novalue"]), @r#"
    --- stderr
    error: `novalue` is no KEY=VALUE
    --- exit 2
    "#);
    let run = place.run(&["feedback", "list", "@", "--json"]);
    assert_eq!(run.stdout.matches("assessment_id").count(), 1);
}

#[test]
fn the_store_is_looked_after() {
    let place = Place::with_agents();
    insta::assert_snapshot!(place.transcript(&["verify"]), @r#"
    ✓ sound  3 traces, 17 spans read and checked
    --- exit 0
    "#);
    insta::assert_snapshot!(place.transcript(&["verify", "--json"]), @r#"
    {"ok":true,"traces":3,"spans":17,"damage":[]}
    --- exit 0
    "#);
    insta::assert_snapshot!(place.transcript(&["list", "--store", "/dev/null"]), @r#"
    --- stderr
    error: the store did not open
      `/dev/null` is not a Spanlite store
      hint: a store is a folder with a file STORE; `spanlite import` reads trace files
    --- exit 4
    "#);
    place.write("some.json", "{}");
    std::fs::create_dir(place.path("folder")).unwrap();
    insta::assert_snapshot!(place.transcript(&["list", "--store", "folder"]), @r#"
    --- stderr
    error: no store at folder
      looked at --store
      hint: your program has not written yet, or pass --store PATH; `spanlite demo` makes a store to play with
    --- exit 3
    "#);
}

#[test]
fn the_store_is_kept_small_and_safe() {
    let place = Place::with_agents();
    let planned = place.run(&["gc", "--older", "1d", "--dry-run"]).stdout;
    let expected = "would remove 3 traces in 1 segment, free about ";
    assert!(planned.starts_with(expected), "{planned}");
    let refused = place.run(&["gc", "--older", "1d"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("--yes"));
    assert_eq!(
        place
            .run(&["list", "--format", "ndjson"])
            .stdout
            .lines()
            .count(),
        3
    );
    assert_eq!(place.run(&["backup", "copy.spans"]).code, 0);
    let copied = place.run(&["list", "--store", "copy.spans", "--format", "ndjson"]);
    assert_eq!(copied.stdout.lines().count(), 3);
    assert_eq!(
        place.run(&["backup", "copy.spans"]).code,
        1,
        "it never writes over a store"
    );
    insta::assert_snapshot!(place.transcript(&["recover", "--out", "fixed.spans"]), @r#"
    3 traces, 17 spans to fixed.spans
    --- exit 0
    "#);
    let fixed = place
        .run(&["show", "@", "--store", "fixed.spans", "--json"])
        .stdout;
    assert_eq!(fixed, place.run(&["show", "@", "--json"]).stdout);
}

#[test]
fn chosen_traces_are_deleted_for_good() {
    let place = Place::with_agents();
    let count = |query: &str| {
        let found = place.run(&["query", query, "--format", "ndjson"]).stdout;
        found.lines().count()
    };
    assert_eq!((count("{ }"), count("{ status = error }")), (3, 2));
    let planned = place.run(&["delete", "@", "@", "--dry-run"]).stdout;
    assert!(
        planned.starts_with("would delete 1 trace with "),
        "{planned}"
    );
    let refused = place.run(&["delete", "--where", "{ status = error }"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(
        refused
            .stdout
            .starts_with("would delete 2 traces with 13 spans\n")
    );
    assert_eq!(count("{ }"), 3, "nothing was confirmed");
    let args = ["delete", "--where", "{ status = error }", "--yes", "--json"];
    let done: serde_json::Value = serde_json::from_str(&place.run(&args).stdout).unwrap();
    assert_eq!(done["done"], true);
    assert_eq!(
        (done["traces"].as_u64(), done["spans"].as_u64()),
        (Some(2), Some(13))
    );
    assert!(done["segments"].as_u64() >= Some(1), "{done}");
    assert_eq!((count("{ }"), count("{ status = error }")), (1, 0));
    assert_eq!(place.run(&["verify"]).code, 0);
    assert_eq!(
        place.run(&["delete", "0123456789"]).code,
        3,
        "there is none"
    );
    assert_eq!(place.run(&["delete"]).code, 2, "none is named");
}

#[test]
fn traces_leave_as_one_page_or_one_file() {
    let place = Place::with_agents();
    assert_eq!(place.run(&["export", "--to", "html", "page.html"]).code, 0);
    let page = std::fs::read_to_string(place.path("page.html")).unwrap();
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
fn a_query_is_explained() {
    let place = Place::with_agents();
    let text = place
        .run(&["query", "{ status = error }", "--explain"])
        .stdout;
    assert!(text.starts_with("{ status = error }\nplan\n"), "{text}");
    let json = place
        .run(&["query", "{ status = error }", "--explain", "--json"])
        .stdout;
    let explain: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(explain["traces_matched"], 2);
}

#[test]
fn settings_tell_where_they_came_from() {
    let place = Place::empty();
    place.write(
        ".spanlite.toml",
        "store = \"near.spans\"\ncolor = \"never\"\n",
    );
    insta::assert_snapshot!(place.transcript(&["config", "--no-pager"]), @r#"
    SETTING  VALUE                       FROM
    store    FOLDER/near.spans  FOLDER/.spanlite.toml
    color    never                       FOLDER/.spanlite.toml
    utc      true                        environment, SPANLITE_UTC
    pager                                command line
    --- exit 0
    "#);
    place.write(".spanlite.toml", "stor = 1\n");
    insta::assert_snapshot!(place.transcript(&["config"]), @r#"
    --- stderr
    error: FOLDER/.spanlite.toml is no configuration
      TOML parse error at line 1, column 1
        |
      1 | stor = 1
        | ^^^^
      unknown field `stor`, expected one of `store`, `color`, `utc`, `pager`
    --- exit 2
    "#);
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
fn queries_write_nothing_when_told_so() {
    let place = Place::with_agents();
    let files = |path: &Path| {
        let mut names: Vec<_> = std::fs::read_dir(path)
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
