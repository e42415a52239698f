//! Pydantic Logfire's SDK: `tracing` and OpenTelemetry underneath. Nothing is sent; its batches go
//! to an exporter that throws away.

use std::hint::black_box;

use opentelemetry_sdk_032::error::OTelSdkResult;
use opentelemetry_sdk_032::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter,
};

use crate::{Shape, Texts};

#[derive(Debug)]
struct Discard;

impl SpanExporter for Discard {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        drop(batch);
        Ok(())
    }
}

/// The SDK, with a queue so long that it drops nothing: it makes two records of each span.
pub fn set_up() -> Result<logfire::Logfire, logfire::ConfigureError> {
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(131_072)
        .build();
    let processor = BatchSpanProcessor::builder(Discard)
        .with_batch_config(config)
        .build();
    logfire::configure()
        .local()
        .send_to_logfire(false)
        .with_console(None)
        .with_metrics(None)
        .with_install_panic_handler(false)
        .with_additional_span_processor(processor)
        .finish()
}

/// Makes `spans` spans.
pub fn run(logfire: &logfire::Logfire, shape: Shape, texts: &Texts, spans: u64) {
    let _local = logfire::set_local_logfire(logfire.clone());
    let _root = logfire::span!("root").entered();
    for number in 0..spans {
        let span = match shape {
            Shape::Bare => logfire::span!("step"),
            Shape::Attributes => logfire::span!(
                "step",
                model = texts.model.as_str(),
                region = texts.region.as_str(),
                attempt = number as i64
            ),
            Shape::Texts => logfire::span!(
                "step",
                inputs = texts.kibibyte.as_str(),
                outputs = texts.kibibyte.as_str()
            ),
        };
        drop(black_box(span.entered()));
    }
}
