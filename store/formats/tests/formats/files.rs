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
fn folder() -> Option<PathBuf> {
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

fn traces(file: &Path) -> Vec<Trace> {
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
