//! The HTML page, opened in Chromium.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::browser::Browser;
use super::support::Place;

/// What stands on a page where no script runs.
fn seen_without_script(browser: &mut Browser, page: &Path) -> String {
    browser.ask(
        "Emulation.setScriptExecutionDisabled",
        &json!({"value": true}),
    );
    browser.open(page);
    let seen = browser.value("document.body.innerText");
    seen.as_str().unwrap().to_owned()
}

#[test]
fn the_page_is_filtered_folded_and_read_by_keyboard() {
    let place = Place::with_agents();
    let Some(mut browser) = Browser::start(place.folder.path()) else {
        return;
    };
    let page = place.path("page.html");
    place.done(&["export", "--to", "html", page.to_str().unwrap()]);
    browser.open(&page);
    browser.until_ready();
    let options = browser.value("document.querySelectorAll('#pick option').length");
    assert_eq!(options, 3);
    let pick = |id: &str| {
        format!(
            "(() => {{ const it = [...document.querySelectorAll('#pick option')].findIndex((o) => \
             o.textContent.includes('{id}')); pick.value = it; pick.onchange(); }})()"
        )
    };
    browser.value(&pick("ERROR"));
    let all = browser.n_rows();
    assert_eq!(all, 11, "the spans of the failed turn");
    // Folding the root hides what is below it.
    browser.key("h");
    assert_eq!(
        browser.n_rows(),
        2,
        "the other root is a span without its parent"
    );
    browser.key("l");
    assert_eq!(browser.n_rows(), all);
    // The next failed span, and why.
    browser.key("n");
    let error = browser.value("document.querySelector('#pane .error').textContent");
    assert!(error.as_str().unwrap().contains("1764"), "{error}");
    let failed = browser.selected();
    browser.key("G");
    assert_ne!(browser.selected(), failed);
    browser.screenshot("light.png");

    browser.key("/");
    for letter in ["g", "e", "t", "_"] {
        browser.key(letter);
    }
    let hits = browser.value("document.querySelectorAll('.row.hit').length");
    assert!(hits.as_u64().unwrap() > 0, "{hits}");
    browser.key("Enter");
    let text = browser.value("document.querySelector('.row.sel').className");
    assert!(text.as_str().unwrap().contains("hit"), "{text}");
    browser.appearance("dark");
    browser.screenshot("dark.png");
    let dark = browser.value("getComputedStyle(document.body).colorScheme");
    assert_eq!(dark, "light dark");

    // Nothing is fetched, and nothing could be.
    let fetched = browser.value("performance.getEntriesByType('resource').length");
    assert_eq!(fetched, 0);
    assert_eq!(browser.complaints, Vec::<Value>::new());
    let refused = browser.value("fetch('https://example.org').then(() => 'sent', () => 'refused')");
    assert_eq!(refused, "refused");
    browser.value("document.body.append(Object.assign(document.createElement('img'), {src: 'file:///x.png'}))");
    let refusals = browser.value("new Promise((done) => setTimeout(() => done(1), 50))");
    assert_eq!(refusals, 1);
    let by_policy = |it: &Value| it.to_string().contains("Content Security Policy");
    assert!(browser.complaints.iter().filter(|it| by_policy(it)).count() >= 2);
}

#[test]
fn a_trace_of_45_000_spans_draws_only_what_is_seen() {
    let place = Place::empty();
    let Some(mut browser) = Browser::start(place.folder.path()) else {
        return;
    };
    let spans = (1..=45_000_u32).map(|number| {
        let parent = match number {
            1 => String::new(),
            _ => format!("{:016x}", if number % 3 == 0 { number / 3 } else { 1 }),
        };
        let start = 1_786_569_488_000_000_000 + u64::from(number) * 1_000_000;
        json!({"traceId": format!("{:032x}", 7), "spanId": format!("{number:016x}"),
            "parentSpanId": parent, "name": format!("step {number}"),
            "startTimeUnixNano": start.to_string(),
            "endTimeUnixNano": (start + 900_000).to_string()})
    });
    let spans: Vec<Value> = spans.collect();
    let file = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]});
    fs::write(place.path("big.json"), file.to_string()).unwrap();
    place.done(&["import", "big.json"]);
    let page = place.path("page.html");
    place.done(&["export", "--to", "html", page.to_str().unwrap()]);
    browser.open(&page);
    browser.until_ready();
    let ready = browser.value("performance.now()");
    println!("45,000 spans are drawn {ready} ms after the page was asked for");
    assert!(browser.n_rows() < 100);
    browser.key("G");
    assert!(browser.n_rows() < 100);
    let last = browser.selected();
    assert!(last.starts_with("step "), "{last}");
    let found = browser
        .value("find.value = 'step 31415'; search(); document.querySelector('#hits').textContent");
    assert_eq!(found, "1 span");
    assert_eq!(browser.complaints, Vec::<Value>::new());
}

#[test]
fn without_script_the_tree_stands_there_as_text() {
    let place = Place::with_agents();
    let Some(mut browser) = Browser::start(place.folder.path()) else {
        return;
    };
    let page = place.path("page.html");
    place.done(&[
        "export",
        "--to",
        "html",
        "--where",
        "{ status = error }",
        page.to_str().unwrap(),
    ]);
    let seen = seen_without_script(&mut browser, &page);
    assert!(
        seen.contains("support.turn") && seen.contains("! no order 1764"),
        "{seen}"
    );
    browser.screenshot("plain.png");
}

#[test]
fn the_page_is_redacted_unless_raw() {
    let place = Place::empty();
    let file = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
        "traceId": format!("{:032x}", 7), "spanId": format!("{:016x}", 1),
        "name": "mail ada@analytical.example",
        "startTimeUnixNano": "1", "endTimeUnixNano": "2"}]}]}]});
    fs::write(place.path("one.json"), file.to_string()).unwrap();
    place.done(&["import", "one.json"]);
    let Some(mut browser) = Browser::start(place.folder.path()) else {
        return;
    };
    let page = place.path("page.html");
    for (raw, expected) in [
        (false, "mail [redacted:email]"),
        (true, "mail ada@analytical.example"),
    ] {
        let mut args = vec!["export", "--force", "--to", "html", page.to_str().unwrap()];
        args.extend(raw.then_some("--raw"));
        place.done(&args);
        browser.open(&page);
        browser.until_ready();
        assert_eq!(browser.selected(), expected);
        let banner = browser.value("banner.textContent");
        assert_eq!(
            banner.as_str().unwrap().contains("not redacted"),
            raw,
            "{banner}"
        );
    }
}

#[test]
fn hostile_names_and_payloads_stay_text() {
    let place = Place::empty();
    let Some(mut browser) = Browser::start(place.folder.path()) else {
        return;
    };
    let texts = [
        "</script><script>window.owned = 1</script>",
        "<img src=x onerror='window.owned = 1'>",
        "</pre></noscript><b id=owned>\u{1b}[2J\u{202e}gnp\u{0}",
        "${window.owned = 1}{{1}}&lt;&#39;\"'`",
    ];
    let spans = (1_u64..).zip(texts).map(|(number, text)| {
        let attribute =
            |key: &str, value: String| json!({"key": key, "value": {"stringValue": value}});
        json!({"traceId": format!("{:032x}", 7), "spanId": format!("{number:016x}"),
            "parentSpanId": if number == 1 { String::new() } else { format!("{:016x}", 1) },
            "name": text, "startTimeUnixNano": "1786569488000000000",
            "endTimeUnixNano": "1786569489000000000",
            "attributes": [attribute(text, text.to_owned()), attribute("session.id", text.to_owned()),
                attribute("mlflow.spanInputs", json!({text: [text]}).to_string())],
            "events": [{"name": text, "timeUnixNano": "1786569488500000000"}],
            "status": {"code": 2, "message": text}})
    });
    let spans: Vec<Value> = spans.collect();
    let file = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]});
    fs::write(place.path("one.json"), file.to_string()).unwrap();
    place.done(&["import", "one.json"]);
    let page = place.path("page.html");
    place.done(&["export", "--to", "html", "--raw", page.to_str().unwrap()]);
    browser.open(&page);
    browser.until_ready();
    let whole = "window.owned === undefined && !document.getElementById('owned') \
                 && document.images.length === 0 && document.scripts.length";
    let n_scripts = browser.value(whole);
    assert!(n_scripts.as_u64().unwrap() > 0, "{n_scripts}");
    assert_eq!(browser.selected(), texts[0]);
    for tab in ["1", "2", "3", "4", "j", "j", "j", "n"] {
        browser.key(tab);
        assert_eq!(browser.value(whole), n_scripts, "after {tab}");
    }
    assert_eq!(browser.complaints, Vec::<Value>::new());
    let seen = seen_without_script(&mut browser, &page);
    assert!(
        seen.contains("<img src=x") && seen.contains("\\x1b[2J"),
        "{seen}"
    );
    assert_eq!(
        browser.value("document.getElementById('owned')"),
        Value::Null
    );
}
