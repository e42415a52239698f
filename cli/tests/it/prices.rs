//! What calls cost.

use std::fs;

use serde_json::Value;

use super::support::Place;

fn cost(place: &Place, trace: &str) -> Value {
    let listed: Value = serde_json::from_str(&place.done(&["list", "--json"])).unwrap();
    let items = listed["items"].as_array().unwrap();
    let item = items
        .iter()
        .find(|item| item["trace_id"].as_str().unwrap().contains(trace));
    item.unwrap()["cost_usd"].clone()
}

#[test]
fn prices_are_set_and_hold_at_once() {
    let place = Place::with_agents();
    let before = cost(&place, "9f31c2ab0").as_f64().unwrap();
    assert!((before - 0.0295).abs() < 0.0001, "{before}");
    // Of a query too.
    let found = place.done(&["query", "{ trace:cost > 0.02 }", "--json"]);
    assert!(found.contains("9f31c2ab0"), "{found}");
    place.done(&[
        "prices",
        "set",
        "gpt-4o-mini",
        "--input",
        "1.5",
        "--output",
        "6",
    ]);
    let ten_times = cost(&place, "9f31c2ab0").as_f64().unwrap();
    assert!((ten_times - before * 10.0).abs() < 0.005, "{ten_times}");
    let shown = place.done(&["prices", "show", "gpt-4o-mini", "--format", "csv"]);
    assert!(shown.starts_with("provider,model,from,above_tokens,input,output,cache_read,cache_write,cache_write_1h\n,gpt-4o-mini,,,1.5,6"), "{shown}");
    place.done(&["prices", "rm", "gpt-4o-mini"]);
    assert_eq!(cost(&place, "9f31c2ab0").as_f64(), Some(before));

    fs::write(place.path("own.csv"), "# as of 2026-11-01\nprovider,model,from,above_tokens,input,output,cache_read,cache_write\n,house,,,1,1,,\n").unwrap();
    place.done(&["prices", "import", "own.csv"]);
    assert_eq!(cost(&place, "9f31c2ab0"), Value::Null, "unknown is not 0");
    let missing = place.done(&["prices", "missing"]);
    assert!(missing.contains("gpt-4o"), "{missing}");
    place.done(&["prices", "reset"]);
    assert_eq!(cost(&place, "9f31c2ab0").as_f64(), Some(before));
    let exported = place.done(&["export", "--to", "jsonl", "-"]);
    assert!(
        !exported.contains("spanlite.cost"),
        "what is computed is not recorded"
    );
    assert_eq!(place.run(&["prices", "rm", "nothing"]).code, 3);
    fs::write(place.path("wrong.csv"), "model;price\n").unwrap();
    assert_eq!(place.run(&["prices", "import", "wrong.csv"]).code, 1);
}
