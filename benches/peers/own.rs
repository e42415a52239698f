//! Spanlite, storing.

use std::hint::black_box;

use spanlite::span;

use crate::{Shape, Texts};

/// Makes `spans` spans.
pub fn run(shape: Shape, texts: &Texts, spans: u64) {
    let _root = span("root").start();
    for number in 0..spans {
        let span = span("step").start();
        match shape {
            Shape::Bare => {}
            Shape::Attributes => {
                span.set_attribute("model", texts.model.as_str());
                span.set_attribute("region", texts.region.as_str());
                span.set_attribute("attempt", number);
            }
            Shape::Texts => {
                span.set_inputs(texts.kibibyte.as_str());
                span.set_outputs(texts.kibibyte.as_str());
            }
        }
        black_box(&span);
    }
}
