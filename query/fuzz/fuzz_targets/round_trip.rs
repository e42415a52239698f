//! What is printed reads as the same query, and prints the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spanlite_query::{Code, Query};

fuzz_target!(|text: &str| {
    if let Ok(query) = Query::parse(text) {
        let canonical = query.canonical();
        let again = match Query::parse(&canonical) {
            Ok(again) => again,
            // It has a bracket for each operator of the text.
            Err(error) if error.code == Code::TooDeep && text.len() > 50 => return,
            Err(error) => panic!("{text:?} prints as {canonical:?}, which cannot be read: {error}"),
        };
        assert_eq!(again.canonical(), canonical, "{text:?}");
    }
});
