//! No pattern breaks its rewriting, and errors in patterns lie inside of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spanlite_query::Query;

fuzz_target!(|pattern: &str| {
    if pattern.contains('`') {
        return;
    }
    for operator in ["=~", "rlike", "like"] {
        let text = format!("{{ name {operator} `{pattern}` }}");
        if let Err(error) = Query::parse(&text) {
            assert!(error.span.end <= text.len());
            error.render(&text);
        }
    }
});
