//! Opens the HTML page in Chromium, by its debugging protocol over two named pipes.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot set itself up has failed, or says that it is skipped"
)]

mod support;

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use support::Place;

/// A browser with one page open.
struct Browser {
    child: Child,
    to: File,
    from: BufReader<File>,
    session: Option<String>,
    next_id: u64,
    /// Messages of the page's log: what the content policy refused, errors of the script.
    complaints: Vec<Value>,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The test is over; what it leaves is in its folder.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Browser {
    /// Nothing where there is no Chromium; in CI that is a failure.
    fn start(folder: &Path) -> Option<Self> {
        if Command::new("chromium").arg("--version").output().is_err() {
            assert!(
                std::env::var_os("CI").is_none(),
                "chromium is not installed"
            );
            println!("skipped: chromium is not installed");
            return None;
        }
        for pipe in ["to", "from"] {
            let made = Command::new("mkfifo").arg(folder.join(pipe)).status();
            assert!(made.unwrap().success());
        }
        let flags = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
                     --disable-extensions --disable-background-networking --window-size=1200,700 \
                     --remote-debugging-pipe --user-data-dir=profile about:blank";
        let child = Command::new("sh")
            .args(["-c", &format!("exec chromium {flags} 3<to 4>from")])
            .current_dir(folder)
            .env("HOME", folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let open = |name: &str, write: bool| {
            let mut options = OpenOptions::new();
            options.read(!write).write(write).open(folder.join(name))
        };
        let to = open("to", true).unwrap();
        let from = BufReader::new(open("from", false).unwrap());
        let mut browser = Self {
            child,
            to,
            from,
            session: None,
            next_id: 1,
            complaints: Vec::new(),
        };
        let made = browser.ask("Target.createTarget", &json!({"url": "about:blank"}));
        let target = json!({"targetId": made["targetId"], "flatten": true});
        let attached = browser.ask("Target.attachToTarget", &target);
        browser.session = attached["sessionId"].as_str().map(ToOwned::to_owned);
        for domain in ["Page", "Log", "Runtime"] {
            browser.ask(&format!("{domain}.enable"), &json!({}));
        }
        Some(browser)
    }

    fn receive(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).unwrap();
        assert!(bytes.pop() == Some(0), "the browser ended");
        let message: Value = serde_json::from_slice(&bytes).unwrap();
        let method = message["method"].as_str().unwrap_or_default();
        if matches!(method, "Log.entryAdded" | "Runtime.exceptionThrown") {
            self.complaints.push(message.clone());
        }
        message
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to
            .write_all(format!("{message}\0").as_bytes())
            .unwrap();
        loop {
            let mut answer = self.receive();
            if answer["id"] == id {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }

    fn open(&mut self, page: &Path) {
        let url = format!("file://{}", page.display());
        self.ask("Page.navigate", &json!({"url": url}));
        while self.receive()["method"] != "Page.loadEventFired" {}
    }

    /// The value of an expression; a promise is waited for.
    fn value(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.ask("Runtime.evaluate", &params);
        assert!(
            answer.get("exceptionDetails").is_none(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].take()
    }

    /// Waits until the page has read its data.
    fn until_ready(&mut self) {
        self.value(
            "new Promise((done) => { const look = () => document.body.dataset.ready ? done(1) : \
             setTimeout(look, 5); look(); })",
        );
    }

    fn key(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            let mut params = json!({"type": kind, "key": key});
            if key.len() == 1 && kind == "keyDown" {
                params["text"] = json!(key);
            }
            if key == "Enter" {
                params["windowsVirtualKeyCode"] = json!(13);
            }
            self.ask("Input.dispatchKeyEvent", &params);
        }
    }

    fn n_rows(&mut self) -> u64 {
        self.value("document.querySelectorAll('.row').length")
            .as_u64()
            .unwrap()
    }

    fn selected(&mut self) -> String {
        let text = self.value("document.querySelector('.row.sel .name').title");
        text.as_str().unwrap().to_owned()
    }

    /// Writes what is seen to the folder that `SPANLITE_SCREENSHOTS` names, if it does.
    fn screenshot(&mut self, name: &str) {
        let Some(folder) = std::env::var_os("SPANLITE_SCREENSHOTS") else {
            return;
        };
        let shot = self.ask("Page.captureScreenshot", &json!({}));
        let decoded = Command::new("base64")
            .arg("-d")
            .stdin(Stdio::piped())
            .stdout(File::create(Path::new(&folder).join(name)).unwrap())
            .spawn();
        let mut decoded = decoded.unwrap();
        let bytes = shot["data"].as_str().unwrap().as_bytes();
        decoded.stdin.take().unwrap().write_all(bytes).unwrap();
        assert!(decoded.wait().unwrap().success());
    }

    fn appearance(&mut self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.ask("Emulation.setEmulatedMedia", &json!({"features": features}));
    }
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
    std::fs::write(place.path("big.json"), file.to_string()).unwrap();
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
    browser.ask(
        "Emulation.setScriptExecutionDisabled",
        &json!({"value": true}),
    );
    browser.open(&page);
    let seen = browser.value("document.body.innerText");
    let seen = seen.as_str().unwrap();
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
    std::fs::write(place.path("one.json"), file.to_string()).unwrap();
    place.done(&["import", "one.json"]);
    let Some(mut browser) = Browser::start(place.folder.path()) else {
        return;
    };
    let page = place.path("page.html");
    for (raw, expected) in [
        (false, "mail [redacted:email]"),
        (true, "mail ada@analytical.example"),
    ] {
        let mut args = vec!["export", "--to", "html", page.to_str().unwrap()];
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
