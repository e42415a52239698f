use std::collections::BTreeMap;
use std::time::Duration;

use spanlite_export::{Credentials, ExportJob, MlflowServer, RunOptions, Target};
use spanlite_model::{
    Assessment, AssessmentSource, AssessmentValue, Json, Span, SpanId, SpanType, Trace, TraceId,
};
use spanlite_store::{OpenOptions, Store};
use tempfile::TempDir;

pub(crate) const START_UNIX_NANO: u64 = 1_790_000_000_000_000_000;

pub(crate) fn id(number: u8) -> TraceId {
    TraceId::from_bytes([number; 16])
}

/// A root and a tool call, with a tag and an assessment.
pub(crate) fn trace(number: u8) -> Trace {
    let span = |place: u8, parent: Option<u8>| {
        let mut span = Span::new(id(number), SpanId::from_bytes([place; 8]), "step");
        span.parent_span_id = parent.map(|place| SpanId::from_bytes([place; 8]));
        span.start_time_unix_nano = START_UNIX_NANO + u64::from(number);
        span.end_time_unix_nano = Some(START_UNIX_NANO + 2_000_000_000);
        span.span_type = SpanType::Tool;
        span.inputs = Some(Json::string(&"x".repeat(500)));
        span
    };
    let mut trace = Trace::new(id(number), vec![span(1, None), span(2, Some(1))]);
    trace.info.tags.insert("env".to_owned(), "prod".to_owned());
    trace.info.assessments.push(Assessment {
        assessment_id: format!("a-{number}").as_str().into(),
        name: "ok".to_owned(),
        value: AssessmentValue::Expectation {
            value: Json::from_text("1").unwrap(),
        },
        source: AssessmentSource {
            source_type: "CODE".into(),
            source_id: None,
        },
        span_id: None,
        rationale: None,
        metadata: BTreeMap::new(),
        create_time_unix_nano: START_UNIX_NANO,
        update_time_unix_nano: START_UNIX_NANO,
        valid: true,
        overrides: None,
    });
    trace
}

pub(crate) fn store_of(n_traces: u8) -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("t.spans"), OpenOptions::default()).unwrap();
    let traces: Vec<Trace> = (1..=n_traces).map(trace).collect();
    store.write(&traces).unwrap();
    (folder, store)
}

pub(crate) fn mlflow_job(url: String) -> ExportJob {
    let server = MlflowServer {
        url,
        experiment: "agents".to_owned(),
        workspace: None,
        credentials: Credentials::None,
        ca_file: None,
    };
    ExportJob::new("prod", Target::Mlflow(server))
}

/// Short pauses and little patience.
pub(crate) fn options() -> RunOptions {
    RunOptions {
        connections: 2,
        longest_pause: Duration::from_millis(40),
        patience: Duration::from_secs(20),
        ..RunOptions::default()
    }
}
