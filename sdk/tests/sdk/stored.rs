//! What reaches the disk. These tests share the one tracer of the process, so they are one test.

use std::time::Duration;

use spanlite::model::{Trace, TraceState};
use spanlite::{Context, InitError, SpanType, Store, trace};

use crate::block_on;

#[derive(Debug, thiserror::Error)]
#[error("no document about `{topic}`")]
struct NoDocument {
    topic: String,
}

#[trace(span_type = SpanType::Retriever)]
fn look_up(topic: &str) -> Result<Vec<String>, NoDocument> {
    if topic == "nothing" {
        return Err(NoDocument {
            topic: topic.to_owned(),
        });
    }
    Ok(vec![format!("about {topic}")])
}

#[trace(span_type = SpanType::Agent)]
async fn answer(question: String) -> Result<usize, NoDocument> {
    spanlite::current_trace().set_tag("fruit", "apple");
    let found = look_up(&question)?;
    Ok(found.len())
}

fn last_trace(store: &Store) -> Trace {
    let trace_id = spanlite::last_trace_id_of_thread().unwrap();
    store.snapshot().unwrap().trace(trace_id).unwrap().unwrap()
}

#[test]
fn what_ended_before_flush_is_read_from_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traces.spans");
    let tracing = spanlite::builder()
        .path(&path)
        .commit_interval(Duration::from_secs(60))
        .service_name("test")
        .init()
        .unwrap();
    let store = tracing.store().unwrap().clone();

    nested_calls_are_stored(&store);
    let again = spanlite::init(&path).unwrap();
    again.close().unwrap();
    an_error_is_stored_on_every_span_it_went_through(&store);
    let other = spanlite::init(folder.path().join("other.spans"));
    assert!(matches!(other, Err(InitError::OtherStore { .. })));

    let running = spanlite::span("running").start();
    let trace_id = running.context().trace_id().unwrap();
    let idle = std::thread::spawn(|| {
        spanlite::span("on a thread that idles").start().end();
        let trace_id = spanlite::last_trace_id_of_thread();
        std::thread::park();
        trace_id
    });
    let context = Context::current();
    std::thread::scope(|threads| {
        threads.spawn(move || {
            let _attached = context.attach();
            spanlite::current_span().set_attribute("from", "another thread");
            spanlite::span("on a thread that ends").start().end();
        });
    });
    spanlite::flush().unwrap();
    let open = store.snapshot().unwrap().trace(trace_id).unwrap().unwrap();
    assert_eq!(open.state(), TraceState::InProgress);
    drop(running);
    spanlite::trace_of(trace_id).log(spanlite::feedback("good", true));
    idle.thread().unpark();
    let idle = idle.join().unwrap().unwrap();
    tracing.close().unwrap();

    spanlite::span("after the end").start().end();
    let store = Store::open(&path, spanlite::OpenOptions::read_only()).unwrap();
    let snapshot = store.snapshot().unwrap();
    let closed = snapshot.trace(trace_id).unwrap().unwrap();
    assert_eq!(closed.state(), TraceState::Ok);
    assert_eq!(closed.spans.len(), 2);
    assert_eq!(closed.info.assessments.len(), 1);
    let root = closed.root().unwrap();
    assert_eq!(root.attributes.get_str("from"), Some("another thread"));
    assert!(snapshot.trace(idle).unwrap().is_some());
    assert_eq!(spanlite::dropped(), 0);
}

fn nested_calls_are_stored(store: &Store) {
    assert_eq!(block_on(answer("rust".to_owned())).unwrap(), 1);
    spanlite::flush().unwrap();
    let trace = last_trace(store);
    assert_eq!(trace.state(), TraceState::Ok);
    assert_eq!(trace.info.tags["fruit"], "apple");
    assert_eq!(trace.spans.len(), 2);
    let root = trace.root().unwrap();
    assert_eq!(root.span_type, SpanType::Agent);
    assert_eq!(
        root.inputs.as_ref().unwrap().as_text(),
        r#"{"question":"rust"}"#
    );
    assert_eq!(root.outputs.as_ref().unwrap().as_text(), "1");
    assert_eq!(root.service_name(), Some("test"));
    let child = trace
        .spans
        .iter()
        .find(|span| span.name == "look_up")
        .unwrap();
    assert_eq!(child.parent_span_id, Some(root.span_id));
    assert_eq!(
        child.outputs.as_ref().unwrap().as_text(),
        r#"["about rust"]"#
    );
}

fn an_error_is_stored_on_every_span_it_went_through(store: &Store) {
    let failed = block_on(answer("nothing".to_owned()));
    assert!(failed.is_err());
    spanlite::flush().unwrap();
    let trace = last_trace(store);
    assert_eq!(trace.state(), TraceState::Error);
    assert!(trace.spans.iter().all(spanlite::model::Span::is_error));
    let root = trace.root().unwrap();
    assert_eq!(root.error_message(), Some("no document about `nothing`"));
    assert!(root.error_type().unwrap().ends_with("stored::NoDocument"));
}
