//! `tracing` with a layer that keeps the fields of each span and hands batches to a thread, which
//! is the least that something that stores spans has to do.

use std::fmt::{Debug, Write as _};
use std::hint::black_box;
use std::sync::mpsc::Sender;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Dispatch, Subscriber, info_span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::{Shape, Texts};

/// What is kept of a span.
struct Kept {
    name: &'static str,
    start: SystemTime,
    end: SystemTime,
    fields: Vec<(&'static str, String)>,
}

struct Keep {
    batch: Mutex<Vec<Kept>>,
    full: Sender<Vec<Kept>>,
}

const BATCH: usize = 512;

impl Visit for Kept {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.push((field.name(), value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        // Writing into a `String` cannot fail.
        write!(text, "{value:?}").unwrap_or_default();
        self.fields.push((field.name(), text));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Keep {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let now = SystemTime::now();
        let mut kept = Kept {
            name: attributes.metadata().name(),
            start: now,
            end: now,
            fields: Vec::new(),
        };
        attributes.record(&mut kept);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(kept);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let kept = context
            .span(&id)
            .and_then(|span| span.extensions_mut().remove::<Kept>());
        let Some(mut kept) = kept else { return };
        kept.end = SystemTime::now();
        let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        batch.push(kept);
        if batch.len() == BATCH {
            let full = std::mem::replace(&mut *batch, Vec::with_capacity(BATCH));
            // The thread lives as long as the benchmark.
            drop(self.full.send(full));
        }
    }
}

/// `tracing` with that layer.
pub fn dispatch() -> Dispatch {
    let (full, batches) = std::sync::mpsc::channel::<Vec<Kept>>();
    std::thread::spawn(move || {
        for batch in batches {
            for kept in batch {
                black_box((kept.name, kept.start, kept.end, kept.fields));
            }
        }
    });
    Dispatch::new(tracing_subscriber::registry().with(Keep {
        batch: Mutex::default(),
        full,
    }))
}

/// Makes `spans` spans, by whatever subscriber is the present one.
pub fn run(shape: Shape, texts: &Texts, spans: u64) {
    let _root = info_span!("root").entered();
    for number in 0..spans {
        let span = match shape {
            Shape::Bare => info_span!("step"),
            Shape::Attributes => info_span!(
                "step",
                model = texts.model.as_str(),
                region = texts.region.as_str(),
                attempt = number
            ),
            Shape::Texts => info_span!(
                "step",
                inputs = texts.kibibyte.as_str(),
                outputs = texts.kibibyte.as_str()
            ),
        };
        drop(black_box(span.entered()));
    }
}
