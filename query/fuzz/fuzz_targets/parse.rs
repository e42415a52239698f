//! No text breaks the parser, and every error can be drawn.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spanlite_query::{Query, Verdict};

fuzz_target!(|text: &str| {
    match Query::parse(text) {
        Ok(query) => {
            for warning in query.warnings() {
                assert!(warning.span.end <= text.len());
                warning.render(text);
            }
        }
        Err(error) => {
            assert!(error.span.start <= error.span.end && error.span.end <= text.len());
            assert!(text.is_char_boundary(error.span.start) && text.is_char_boundary(error.span.end));
            error.render(text);
        }
    }
    Verdict::of(text);
});
