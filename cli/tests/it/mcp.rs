//! Drives `spanlite mcp` over its pipes, as a coding agent does.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

use super::support::{AGENTS, Place};

struct Client {
    place: Place,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    next_id: u64,
}

impl Client {
    /// A server whose client has said hello, on a store of three traces, if `args` make one.
    fn on(args: &[&str]) -> Self {
        let place = Place::empty();
        if !args.is_empty() {
            place.done(args);
        }
        let mut client = Self::silent(place);
        let hello = client.ask(
            "initialize",
            &json!({"protocolVersion": "2025-06-18", "capabilities": {},
                "clientInfo": {"name": "test", "version": "0"}}),
        );
        assert_eq!(hello["result"]["serverInfo"]["name"], "spanlite");
        assert_eq!(hello["result"]["protocolVersion"], "2025-06-18");
        assert!(hello["result"]["capabilities"]["tools"].is_object());
        client.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        client
    }

    fn silent(place: Place) -> Self {
        let mut child = place
            .command(&["mcp"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            place,
            child,
            next_id: 1,
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(bytes).unwrap();
        stdin.flush().unwrap();
    }

    fn send(&mut self, message: &Value) {
        self.write(format!("{message}\n").as_bytes());
    }

    fn send_request(&mut self, method: &str, params: &Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    /// The answer to a request, whatever else comes before it.
    fn answer(&mut self, id: u64) -> Value {
        loop {
            let mut line = String::new();
            let read = self.stdout.read_line(&mut line).unwrap();
            assert!(read > 0, "the server ended");
            let message: Value = serde_json::from_str(&line).unwrap();
            if message["id"] == id {
                return message;
            }
        }
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        let id = self.send_request(method, params);
        self.answer(id)
    }

    /// The text of a tool's result, and whether it is a failure.
    fn call(&mut self, tool: &str, arguments: &Value) -> (String, bool) {
        let answer = self.ask("tools/call", &json!({"name": tool, "arguments": arguments}));
        let result = &answer["result"];
        assert_eq!(result["content"][0]["type"], "text", "{answer}");
        let text = result["content"][0]["text"].as_str().unwrap().to_owned();
        (text, result["isError"] == true)
    }

    /// The JSON of a result that is no failure.
    fn json(&mut self, tool: &str, arguments: &Value) -> Value {
        let (text, failed) = self.call(tool, arguments);
        assert!(!failed, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    fn end(mut self) -> (i32, String) {
        drop(self.stdin.take());
        let output = self.child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), stderr)
    }
}

#[test]
fn an_agent_finds_its_way_from_the_list_to_one_span() {
    let mut client = Client::on(&["import", AGENTS]);
    let tools = client.ask("tools/list", &json!({}));
    let tools = tools["result"]["tools"].as_array().unwrap().clone();
    let names: Vec<&str> = tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["list", "query", "show", "stats", "diff", "values"]);
    assert!(tools.iter().all(|tool| {
        tool["annotations"]["readOnlyHint"] == true && tool["inputSchema"]["type"] == "object"
    }));

    let list = client.json("list", &json!({"limit": 2}));
    assert_eq!(
        (&list["schema"], &list["complete"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    let rest = client.json("list", &json!({"after": list["next"]}));
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    assert_eq!(rest["next"], Value::Null);

    let found = client.json("query", &json!({"query": "{ status = error }"}));
    let trace = found["items"][0]["trace_id"].as_str().unwrap().to_owned();
    let shown = client.json("show", &json!({"trace": trace}));
    assert_eq!(shown["trace"]["trace_id"], trace);
    let failed = shown["spans"].as_array().unwrap();
    let failed = failed
        .iter()
        .find(|span| span["status"] == "error")
        .unwrap();
    assert!(failed["error"].is_string() && failed.get("inputs").is_none());
    let span = client.json("show", &json!({"trace": trace, "span": failed["span_id"]}));
    assert_eq!(span["span_id"], failed["span_id"]);
    assert!(span["attributes"].is_object());

    let stats = client.json("stats", &json!({"by": ["type"]}));
    assert!(stats["items"][0]["count"].as_u64().unwrap() > 0);
    let values = client.json("values", &json!({"field": "name"}));
    assert!(values["items"][0]["value"].is_string());
    let diff = client.json("diff", &json!({"a": "@", "b": "@-1"}));
    assert!(diff.is_object());
    assert_eq!(client.end(), (0, String::new()));
}

#[test]
fn mistakes_are_told_and_the_server_goes_on() {
    let mut client = Client::on(&["import", AGENTS]);
    for (tool, arguments, expected) in [
        ("query", json!({"query": "{ status = "}), "found"),
        ("query", json!({}), "missing field `query`"),
        ("list", json!({"limits": 3}), "unknown field `limits`"),
        ("list", json!({"since": "yesterday"}), "a length of time"),
        ("list", json!({"after": "7"}), "`after` is no `next`"),
        (
            "show",
            json!({"trace": "ffffffff"}),
            "hint: `spanlite list`",
        ),
        ("show", json!({"trace": "@", "span": "nothing"}), "no span"),
    ] {
        let (text, failed) = client.call(tool, &arguments);
        assert!(failed && text.contains(expected), "{tool}: {text}");
    }
    let unknown = client.ask("tools/call", &json!({"name": "delete", "arguments": {}}));
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    let unknown = client.ask("traces/burn", &json!({}));
    assert_eq!(unknown["error"]["code"], -32601, "{unknown}");
    client.write(b"this is no JSON\n\xff\xfe\n{\"jsonrpc\":\"2.0\"}\n");
    let long = vec![b'x'; 20 << 20];
    client.write(&long);
    client.write(b"\n");
    assert_eq!(client.json("list", &json!({"limit": 1}))["schema"], 1);
    assert_eq!(client.end().0, 0);
}

#[test]
fn without_a_store_the_agent_is_told_and_reading_makes_none() {
    let mut client = Client::on(&[]);
    let (text, failed) = client.call("list", &json!({}));
    assert!(failed && text.contains("no store at"), "{text}");
    assert!(
        std::fs::read_dir(client.place.folder.path())
            .unwrap()
            .next()
            .is_none()
    );
    client.place.done(&["import", AGENTS]);
    assert_eq!(
        client.json("list", &json!({}))["items"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(client.end().0, 0);
}

#[test]
fn results_are_bounded_and_a_cancelled_call_stops() {
    let traces = ["generate", "-n", "60", "--profile", "tool-agent"];
    let mut client = Client::on(&traces);
    let (text, failed) = client.call(
        "show",
        &json!({"trace": "@", "payloads": true, "text_bytes": 100_000}),
    );
    assert!(text.len() <= 200_000, "{}", text.len());
    assert!(!failed || text.contains("ask for less"), "{text}");
    // Every trace is put together for this, which takes a while.
    let id = client.send_request(
        "tools/call",
        &json!({"name": "stats", "arguments": {"query": "{ .nothing =~ \".*x.*y.*z\" }"}}),
    );
    client.send(
        &json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": {"requestId": id, "reason": "the user went on"}}),
    );
    // No answer to it is needed; the next call is answered.
    assert_eq!(client.json("list", &json!({"limit": 1}))["schema"], 1);
    assert_eq!(client.end().0, 0);
}

#[test]
fn a_client_that_says_nothing_leaves_in_peace() {
    let client = Client::silent(Place::empty());
    assert_eq!(client.end(), (0, String::new()));
}
