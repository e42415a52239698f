//! Real trace files of others, read where they are. Without them the tests say so and pass.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use spanlite_formats::{
    Format, detect, encode_otlp, mlflow_json, read, read_otlp_protobuf, write_json_lines,
    write_otlp_json,
};
use spanlite_model::Trace;

use crate::canonical;

/// The folder of trace files: `SPANLITE_TRACES`, else beside the repository.
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("SPANLITE_TRACES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/traces"),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: there are no trace files at {}", folder.display());
    None
}

fn files(kind: &str) -> Vec<PathBuf> {
    let Some(folder) = folder() else {
        return Vec::new();
    };
    let entries = fs::read_dir(folder.join(kind)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{kind} is empty");
    files
}

pub(crate) fn traces(file: &Path) -> Vec<Trace> {
    let source = fs::File::open(file).unwrap();
    let parsed = read(source, &file.display().to_string()).unwrap();
    assert!(parsed.skipped.is_empty(), "{:?}", parsed.skipped);
    assert!(!parsed.traces.is_empty());
    parsed.traces
}

fn documents(bytes: &[u8]) -> Vec<Value> {
    serde_json::Deserializer::from_slice(bytes)
        .into_iter()
        .map(Result::unwrap)
        .collect()
}

fn otlp_json(traces: &[Trace]) -> Vec<Value> {
    let mut bytes = Vec::new();
    write_otlp_json(traces, &mut bytes).unwrap();
    documents(&bytes)
}

/// Reads what was written in each of the formats that lose nothing.
fn through_every_format(traces: &[Trace]) {
    let mut lines = Vec::new();
    write_json_lines(traces, &mut lines).unwrap();
    assert_eq!(read(&lines[..], "lines").unwrap().traces, traces);
    // OTLP puts spans together by resource, so that only their set is the same.
    let back = read_otlp_protobuf(&encode_otlp(traces)).unwrap();
    assert_eq!(
        canonical::otlp(&otlp_json(&back)),
        canonical::otlp(&otlp_json(traces))
    );
    let infos = |traces: &[Trace]| {
        let mut infos: Vec<_> = traces
            .iter()
            .map(|t| (t.trace_id, t.info.clone()))
            .collect();
        infos.sort_by_key(|(id, _)| *id);
        infos
    };
    assert_eq!(infos(&back), infos(traces));
    for trace in traces {
        let document = mlflow_json(trace).unwrap().to_string();
        let back = read(document.as_bytes(), "mlflow").unwrap().traces;
        assert_eq!(back.len(), 1);
        assert_eq!(back[0].info, trace.info);
        assert_eq!(otlp_json(&back).len(), 1);
        assert_eq!(
            canonical::otlp(&otlp_json(&back)),
            canonical::otlp(&otlp_json(std::slice::from_ref(trace)))
        );
    }
}

#[test]
fn otlp_json_comes_out_as_it_went_in() {
    for kind in ["otlp_json", "otlp_genai_wrapped"] {
        for file in files(kind) {
            let bytes = fs::read(&file).unwrap();
            assert_eq!(detect(&bytes).unwrap(), Format::OtlpJson);
            let traces = traces(&file);
            let out = otlp_json(&traces);
            assert_eq!(
                canonical::otlp(&out),
                canonical::otlp(&documents(&bytes)),
                "{}",
                file.display()
            );
            through_every_format(&traces);
        }
    }
}

#[test]
fn spans_that_stand_alone_come_out_as_they_went_in_with_ids_of_their_content() {
    for file in files("otlp_genai_span_objects") {
        let bytes = fs::read(&file).unwrap();
        assert_eq!(detect(&bytes).unwrap(), Format::OtlpSpan);
        let first = traces(&file);
        let out = canonical::without_ids(canonical::otlp(&otlp_json(&first)));
        let [span] = &documents(&bytes)[..] else {
            panic!("{} holds one span", file.display());
        };
        assert_eq!(out, canonical::bare_span(span), "{}", file.display());
        assert_eq!(traces(&file), first, "the ids are the same every time");
        assert!(!first[0].trace_id.is_zero() && !first[0].spans[0].span_id.is_zero());
        through_every_format(&first);
    }
}

#[test]
fn mlflow_json_comes_out_as_it_went_in() {
    for file in files("mlflow_trace_json") {
        let bytes = fs::read(&file).unwrap();
        assert_eq!(detect(&bytes).unwrap(), Format::MlflowJson);
        let traces = traces(&file);
        let [document] = &documents(&bytes)[..] else {
            panic!("{} holds one trace", file.display());
        };
        assert_eq!(
            canonical::mlflow(&mlflow_json(&traces[0]).unwrap()),
            canonical::mlflow(document),
            "{}",
            file.display()
        );
        let keys = ["mlflow.spanType", "mlflow.spanInputs", "mlflow.spanOutputs"];
        for span in &traces[0].spans {
            assert!(keys.iter().all(|key| span.attributes.get(key).is_none()));
        }
        let location: &Value = &document["info"]["trace_location"];
        let kept = traces[0].info.extra["mlflow.info"].to_value().unwrap();
        assert_eq!(kept["trace_location"], *location);
        assert_eq!(
            kept.as_object().unwrap().len(),
            1,
            "nothing else needs to be kept"
        );
        assert_eq!(traces[0].info.extra.get("mlflow.spans"), None);
        through_every_format(&traces);
    }
}

/// What is expected of each kind of file: how many are read as what, or why none is.
enum Verdict {
    Read(Format),
    Refused(&'static str),
}

fn verdict(kind: &str, name: &str) -> Verdict {
    match kind {
        "otlp_json" | "otlp_genai_wrapped" => Verdict::Read(Format::OtlpJson),
        "otlp_genai_span_objects" => Verdict::Read(Format::OtlpSpan),
        "mlflow_trace_json" => Verdict::Read(Format::MlflowJson),
        "jaeger_json" => Verdict::Read(Format::Jaeger),
        "zipkin_json" => Verdict::Read(Format::Zipkin),
        "langfuse_trace_json" => Verdict::Read(Format::Langfuse),
        "otel_sdk_console_json_monocle" => Verdict::Read(Format::OtelConsole),
        "otel_spans_strands_evals" => Verdict::Read(Format::StrandsSpans),
        "otel_spans_vercel_ai_sdk" => Verdict::Read(Format::VercelAi),
        "aws_agentcore_raw_otel" if name.ends_with("_logs.json") => {
            Verdict::Refused("AgentCore's log records without their spans")
        }
        "aws_agentcore_raw_otel" => Verdict::Read(Format::AgentCore),
        "agent_runs_claude_code" => Verdict::Refused("a session log of Claude Code"),
        "agent_runs_inspect_ai" => Verdict::Refused("an evaluation log of Inspect"),
        "agent_runs_invariant" => Verdict::Refused("a list of chat messages"),
        "agent_runs_swe_agent" => Verdict::Refused("a trajectory of SWE-agent"),
        "agent_runs_tau_bench" => Verdict::Refused("a tau-bench result"),
        other => panic!("no verdict is written down for {other}"),
    }
}

#[test]
fn every_file_is_read_or_refused_by_name() {
    let Some(folder) = folder() else { return };
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let kind = entry.unwrap();
        let name = kind.file_name().into_string().unwrap();
        if name == "LICENSES" || !kind.file_type().unwrap().is_dir() {
            continue;
        }
        for file in files(&name) {
            seen += 1;
            let bytes = fs::read(&file).unwrap();
            let shown = file.display().to_string();
            match verdict(&name, &shown) {
                Verdict::Read(format) => {
                    assert_eq!(detect(&bytes).unwrap(), format, "{shown}");
                    let read = traces(&file);
                    assert!(read.iter().all(|trace| !trace.spans.is_empty()), "{shown}");
                    assert_eq!(traces(&file), read, "{shown}: twice the same");
                    through_every_format(&read);
                }
                Verdict::Refused(what) => {
                    let reasons: Vec<String> = match read(&bytes[..], &shown) {
                        Ok(parsed) => {
                            assert!(parsed.traces.is_empty(), "{shown}");
                            parsed
                                .skipped
                                .iter()
                                .map(|e| e.reason.to_string())
                                .collect()
                        }
                        Err(error) => vec![error.reason.to_string()],
                    };
                    // Lines of one file may be refused for more than one reason.
                    let named = reasons.iter().any(|reason| reason.contains(what));
                    assert!(named, "{shown}: {reasons:?}");
                }
            }
        }
    }
    assert!(seen > 80, "only {seen} files");
}
