//! fastrace, with a reporter that throws away.

use std::hint::black_box;

use fastrace::collector::{Config, Reporter, SpanContext, SpanRecord};
use fastrace::{Span, local::LocalSpan};

use crate::{Shape, Texts};

struct Discard;

impl Reporter for Discard {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        drop(spans);
    }
}

/// Begins to collect.
pub fn set_up() {
    fastrace::set_reporter(Discard, Config::default());
}

/// Makes `spans` spans.
pub fn run(shape: Shape, texts: &Texts, spans: u64) {
    let root = Span::root("root", SpanContext::random());
    let _parent = root.set_local_parent();
    for number in 0..spans {
        let span = LocalSpan::enter_with_local_parent("step");
        let span = match shape {
            Shape::Bare => span,
            Shape::Attributes => span.with_properties(|| {
                [
                    ("model", texts.model.clone()),
                    ("region", texts.region.clone()),
                    ("attempt", number.to_string()),
                ]
            }),
            Shape::Texts => span.with_properties(|| {
                [
                    ("inputs", texts.kibibyte.clone()),
                    ("outputs", texts.kibibyte.clone()),
                ]
            }),
        };
        black_box(&span);
    }
}

/// Hands everything to the reporter.
pub fn flush() {
    fastrace::flush();
}
