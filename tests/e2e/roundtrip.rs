//! Real traces of others go in and come out as they were.

use std::collections::BTreeMap;
use std::path::Path;

use spanlite_formats::Format;
use spanlite_model::{Trace, TraceId, TraceState};
use spanlite_tests::{files_below, real_traces};

use crate::{find, import, run};

/// The folders whose formats go both ways.
const BOTH_WAYS: &[(&str, &str)] = &[
    ("otlp_json", "otlp-json"),
    ("otlp_genai_wrapped", "otlp-json"),
    ("otlp_genai_span_objects", "otlp-json"),
    ("mlflow_trace_json", "mlflow-json"),
];

fn traces_of(path: &Path) -> BTreeMap<TraceId, Trace> {
    let file = std::fs::File::open(path).expect("the file is readable");
    let parsed = spanlite_formats::read(file, &path.to_string_lossy()).expect("and understood");
    let mut traces: BTreeMap<TraceId, Trace> = parsed
        .traces
        .into_iter()
        .map(|trace| (trace.trace_id, trace))
        .collect();
    for trace in traces.values_mut() {
        trace.spans.sort_by_key(|span| span.span_id);
    }
    traces
}

#[test]
fn real_traces_survive_import_and_export() {
    let Some(folder) = real_traces() else { return };
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let mut files = 0;
    for (name, format) in BOTH_WAYS {
        for file in files_below(&folder.join(name), &["json"]) {
            files += 1;
            let store = scratch.path().join(format!("{files}.spans"));
            let out = scratch.path().join(format!("{files}.json"));
            let report = import(&store, &[&file]);
            assert_eq!(
                report["skipped"].as_array().map(Vec::len),
                Some(0),
                "{}",
                file.display()
            );
            run(
                &store,
                &["export", "--to", format, out.to_str().expect("UTF-8")],
            );
            let (before, after) = (traces_of(&file), traces_of(&out));
            assert!(!before.is_empty(), "{} holds traces", file.display());
            assert_eq!(
                before.len() as u64,
                report["traces"].as_u64().expect("a count")
            );
            for (id, mut trace) in before {
                // The store says what has become of a span that nobody will end.
                if trace
                    .spans
                    .iter()
                    .any(|span| span.end_time_unix_nano.is_none())
                {
                    trace.info.state.get_or_insert(TraceState::Interrupted);
                }
                assert_eq!(Some(&trace), after.get(&id), "{id} of {}", file.display());
            }
        }
    }
    assert!(files > 30, "the folders were read: {files} files");
}

#[test]
fn the_same_thing_twice_changes_nothing() {
    let Some(folder) = real_traces() else { return };
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let store = scratch.path().join("traces.spans");
    import(&store, &[&folder]);
    let once = run(&store, &["info", "--json"]).json();
    let ids = find(&store, "{ }");
    let again = import(&store, &[&folder]);
    assert_eq!(
        (&again["new_traces"], &again["new_spans"]),
        (&0.into(), &0.into())
    );
    let twice = run(&store, &["info", "--json"]).json();
    assert_eq!(
        (&once["traces"], &once["spans"]),
        (&twice["traces"], &twice["spans"])
    );
    assert_eq!(ids, find(&store, "{ }"));
    assert_eq!(once["traces"].as_u64(), Some(ids.len() as u64));
    run(&store, &["verify"]);
}

#[test]
fn imported_traces_are_found_by_tag_type_and_error() {
    let Some(folder) = real_traces() else { return };
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let store = scratch.path().join("traces.spans");
    import(
        &store,
        &[
            &folder.join("mlflow_trace_json"),
            &folder.join("otlp_genai_wrapped"),
        ],
    );
    let by_tag = find(
        &store,
        "tag.`service.name` = 'strands' AND metadata.`mlflow.trace.session` = 'conv_otel_test_001'",
    );
    assert_eq!(by_tag, ["tr-a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4"]);
    let by_type = find(&store, "span.type = 'AGENT'");
    assert!(by_type.contains(&by_tag[0]), "{by_type:?}");
    assert_eq!(find(&store, "{ span:type = \"agent\" }"), by_type);
    let failed = find(&store, "{ status = error }");
    let all = find(&store, "{ }");
    assert!(!failed.is_empty() && failed.len() < all.len(), "{failed:?}");
    let shown = run(&store, &["show", &by_tag[0]]).stdout;
    assert!(shown.contains("invoke_agent WeatherAssistant"), "{shown}");
    let whole = run(&store, &["show", &by_tag[0], "--format", "json"]).json();
    assert_eq!(whole["info"]["trace_id"], by_tag[0]);
    let format = spanlite_formats::detect(whole.to_string().as_bytes());
    assert_eq!(
        format.expect("show prints a known format"),
        Format::MlflowJson
    );
}
