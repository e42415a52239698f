//! The OpenTelemetry SDK with its batch processor, by itself and under `tracing`. Its exporter
//! throws away.

use std::hint::black_box;

use opentelemetry::trace::{Span as _, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, SpanData, SpanExporter,
};
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::{Shape, Texts};

#[derive(Debug)]
struct Discard;

impl SpanExporter for Discard {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        drop(batch);
        Ok(())
    }
}

/// The SDK, with a queue so long that it drops nothing.
pub fn provider() -> SdkTracerProvider {
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(65_536)
        .build();
    let processor = BatchSpanProcessor::builder(Discard)
        .with_batch_config(config)
        .build();
    SdkTracerProvider::builder()
        .with_span_processor(processor)
        .build()
}

/// Makes `spans` spans by the SDK.
pub fn run(tracer: &SdkTracer, shape: Shape, texts: &Texts, spans: u64) {
    let root = Context::current_with_span(tracer.start("root"));
    let _parent = root.attach();
    for number in 0..spans {
        let mut span = tracer.start("step");
        match shape {
            Shape::Bare => {}
            Shape::Attributes => {
                span.set_attribute(KeyValue::new("model", texts.model.clone()));
                span.set_attribute(KeyValue::new("region", texts.region.clone()));
                span.set_attribute(KeyValue::new("attempt", number as i64));
            }
            Shape::Texts => {
                span.set_attribute(KeyValue::new("inputs", texts.kibibyte.clone()));
                span.set_attribute(KeyValue::new("outputs", texts.kibibyte.clone()));
            }
        }
        black_box(&span);
    }
}

/// `tracing` with spans that go to the SDK.
pub fn dispatch(provider: &SdkTracerProvider) -> Dispatch {
    let layer = tracing_opentelemetry::layer()
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_tracer(provider.tracer("bench"));
    Dispatch::new(tracing_subscriber::registry().with(layer))
}
