//! What is printed reads as the same query, and prints the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spanlite_query::Query;

fuzz_target!(|text: &str| {
    if let Ok(query) = Query::parse(text) {
        let canonical = query.canonical();
        let Ok(again) = Query::parse(&canonical) else {
            panic!("{text:?} prints as {canonical:?}, which cannot be read");
        };
        assert_eq!(again.canonical(), canonical, "{text:?}");
    }
});
