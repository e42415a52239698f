use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value as JsonValue, json};
use spanlite_model::{Attributes, Json, Span, SpanType, StatusCode, Trace, Value, keys};

const TIMEOUT: Duration = Duration::from_secs(120);

/// The raw interface of a server: what its own page reads.
#[derive(Debug, Clone, Copy)]
pub struct Api {
    pub(super) port: u16,
}

/// One request without any library of ours, answered with status 200.
fn request(port: u16, method: &str, path: &str, body: Option<&str>) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let body = body.unwrap_or_default();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| io::Error::other("no answer"))?;
    if head.split_whitespace().nth(1) == Some("200") {
        Ok(body.to_owned())
    } else {
        Err(io::Error::other(format!("{path}: {head}\n{body}")))
    }
}

pub(super) fn get(port: u16, path: &str) -> io::Result<String> {
    request(port, "GET", path, None)
}

impl Api {
    fn json(self, method: &str, path: &str, body: Option<&JsonValue>) -> JsonValue {
        let body = body.map(ToString::to_string);
        let text = request(self.port, method, path, body.as_deref()).expect("an answer");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    /// Makes an experiment.
    pub fn create_experiment(self, name: &str) {
        let path = "/api/2.0/mlflow/experiments/create";
        self.json("POST", path, Some(&json!({"name": name})));
    }

    /// The id of an experiment.
    pub fn experiment_id(self, name: &str) -> String {
        let path = format!("/api/2.0/mlflow/experiments/get-by-name?experiment_name={name}");
        let found = self.json("GET", &path, None);
        let id = &found["experiment"]["experiment_id"];
        id.as_str().expect("an experiment").to_owned()
    }

    /// What the server holds of a whole trace.
    pub fn info(self, trace_id: &str) -> JsonValue {
        let found = self.json("GET", &format!("/api/3.0/mlflow/traces/{trace_id}"), None);
        found["trace"]["trace_info"].clone()
    }

    /// The spans, raw as they are stored.
    pub fn spans(self, trace_id: &str) -> Vec<JsonValue> {
        let path = format!("/ajax-api/2.0/mlflow/get-trace-artifact?request_id={trace_id}");
        let found = self.json("GET", &path, None);
        found["spans"].as_array().expect("spans").clone()
    }

    /// How many spans the call gives that fails for values the server cannot decode.
    pub fn n_decoded_spans(self, trace_id: &str) -> usize {
        let path = format!("/api/3.0/mlflow/traces/get?trace_id={trace_id}&allow_partial=true");
        let found = self.json("GET", &path, None);
        found["trace"]["spans"].as_array().map_or(0, Vec::len)
    }

    /// All traces of an experiment.
    pub fn search(self, experiment_id: &str, filter: &str) -> Vec<JsonValue> {
        let mut found = Vec::new();
        let mut page = String::new();
        loop {
            let body = json!({
                "locations": [{
                    "type": "MLFLOW_EXPERIMENT",
                    "mlflow_experiment": {"experiment_id": experiment_id}
                }],
                "filter": filter,
                "max_results": 500,
                "page_token": page,
            });
            let answer = self.json("POST", "/api/3.0/mlflow/traces/search", Some(&body));
            found.extend(answer["traces"].as_array().cloned().unwrap_or_default());
            match answer["next_page_token"].as_str() {
                Some(next) if !next.is_empty() => next.clone_into(&mut page),
                _ => return found,
            }
        }
    }

    /// Sets a tag, as somebody does on the server's page.
    pub fn set_tag(self, trace_id: &str, key: &str, value: &str) {
        let path = format!("/api/3.0/mlflow/traces/{trace_id}/tags");
        self.json("PATCH", &path, Some(&json!({"key": key, "value": value})));
    }
}

/// How a span's attribute reads in the server's store: the JSON value itself.
pub(super) fn plain(value: &Value) -> Option<JsonValue> {
    serde_json::from_str(&value.to_json_text()).ok()
}

pub(super) fn payload(json: Option<&Json>) -> Option<JsonValue> {
    json.and_then(|json| serde_json::from_str(json.as_text()).ok())
}

/// What the server holds of each attribute, decoded.
fn stored_attributes(span: &JsonValue) -> BTreeMap<String, JsonValue> {
    let attributes = span["attributes"].as_object().expect("attributes");
    attributes
        .iter()
        .filter_map(|(key, text)| {
            let text = text.as_str()?;
            let value = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
            Some((key.clone(), value))
        })
        .collect()
}

pub(super) fn first_of_each(attributes: &Attributes) -> BTreeMap<&str, &Value> {
    let mut first = BTreeMap::new();
    for (key, value) in attributes.iter() {
        first.entry(key).or_insert(value);
    }
    first
}

/// What differs between a trace and the raw spans a server holds of it, by an oracle of its own:
/// values are compared as JSON, not as they were encoded to be sent.
pub fn differences(trace: &Trace, stored: &[JsonValue]) -> Vec<String> {
    let mut wrong = Vec::new();
    let by_id: BTreeMap<String, &JsonValue> = stored
        .iter()
        .map(|span| (hex_of_base64(span["span_id"].as_str().unwrap_or("")), span))
        .collect();
    if by_id.len() != trace.spans.len() {
        wrong.push(format!("{} spans, not {}", by_id.len(), trace.spans.len()));
    }
    for span in &trace.spans {
        match by_id.get(&span.span_id.to_string()) {
            Some(stored) => compare(span, stored, &mut wrong),
            None => wrong.push(format!("span {} is missing", span.span_id)),
        }
    }
    wrong
}

fn compare(span: &Span, stored: &JsonValue, wrong: &mut Vec<String>) {
    let mut check = |what: &str, here: JsonValue, there: JsonValue| {
        if here != there {
            wrong.push(format!("span {}: {what}: {here} but {there}", span.span_id));
        }
    };
    let parent = stored["parent_span_id"].as_str().map(hex_of_base64);
    let status = match span.status.code {
        StatusCode::Unset => "STATUS_CODE_UNSET",
        StatusCode::Ok => "STATUS_CODE_OK",
        StatusCode::Error => "STATUS_CODE_ERROR",
    };
    check("name", json!(span.name), stored["name"].clone());
    check(
        "parent",
        json!(span.parent_span_id.map(|id| id.to_string())),
        json!(parent),
    );
    // An open span is sent closed, as an error.
    if span.end_time_unix_nano.is_some() {
        check("status", json!(status), stored["status"]["code"].clone());
        check(
            "status message",
            json!(span.status.message),
            json!(stored["status"]["message"].as_str().unwrap_or("")),
        );
        check(
            "end",
            json!(span.end_time_unix_nano),
            stored["end_time_unix_nano"].clone(),
        );
    }
    check(
        "start",
        json!(span.start_time_unix_nano),
        stored["start_time_unix_nano"].clone(),
    );
    let there = stored_attributes(stored);
    let get = |key: &str| there.get(key).cloned().unwrap_or(JsonValue::Null);
    // Where no type is known the server works one out from foreign attributes.
    if span.span_type != SpanType::Unknown {
        check(
            "type",
            json!(span.span_type.as_str()),
            get(keys::MLFLOW_SPAN_TYPE),
        );
    }
    for (key, json) in [
        (keys::MLFLOW_SPAN_INPUTS, &span.inputs),
        (keys::MLFLOW_SPAN_OUTPUTS, &span.outputs),
    ] {
        if let Some(here) = payload(json.as_ref()) {
            check(key, here, get(key));
        }
    }
    for (key, value) in first_of_each(&span.attributes) {
        if key == keys::MLFLOW_TRACE_REQUEST_ID {
            continue;
        }
        if let Some(here) = plain(value) {
            check(key, here, get(key));
        }
    }
    compare_events_and_links(span, stored, check);
}

fn compare_events_and_links(
    span: &Span,
    stored: &JsonValue,
    mut check: impl FnMut(&str, JsonValue, JsonValue),
) {
    let no_events = Vec::new();
    let events = stored["events"].as_array().unwrap_or(&no_events);
    check("events", json!(span.events.len()), json!(events.len()));
    for (event, there) in span.events.iter().zip(events) {
        check("event", json!(event.name), there["name"].clone());
        check(
            "event time",
            json!(event.time_unix_nano),
            there["time_unix_nano"].clone(),
        );
        for (key, value) in first_of_each(&event.attributes) {
            if let Some(here) = plain(value) {
                check(key, here, there["attributes"][key].clone());
            }
        }
    }
    let no_links = Vec::new();
    let links = stored["links"].as_array().unwrap_or(&no_links);
    check("links", json!(span.links.len()), json!(links.len()));
    for (link, there) in span.links.iter().zip(links) {
        check(
            "link",
            json!(link.trace_id.to_string()),
            there["trace_id"].clone(),
        );
        check(
            "link span",
            json!(link.span_id.to_string()),
            there["span_id"].clone(),
        );
    }
}

fn hex_of_base64(text: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = 0_u32;
    let mut n_bits = 0;
    let mut hex = String::new();
    for letter in text.bytes() {
        let Some(value) = ALPHABET.iter().position(|other| *other == letter) else {
            continue;
        };
        bits = bits << 6 | value as u32;
        n_bits += 6;
        while n_bits >= 4 {
            n_bits -= 4;
            hex.push(char::from(
                b"0123456789abcdef"[(bits >> n_bits & 15) as usize],
            ));
        }
    }
    // Whole bytes only: what is left over is padding.
    hex.truncate(hex.len() / 2 * 2);
    hex
}
