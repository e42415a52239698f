//! Chromium, driven by its debugging protocol over two named pipes.
#![expect(clippy::print_stdout, reason = "it says that it is skipped")]

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// A browser with one page open.
pub(crate) struct Browser {
    child: Child,
    to: File,
    from: BufReader<File>,
    session: Option<String>,
    next_id: u64,
    /// Messages of the page's log: what the content policy refused, errors of the script.
    pub(crate) complaints: Vec<Value>,
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
    pub(crate) fn start(folder: &Path) -> Option<Self> {
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

    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> Value {
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

    pub(crate) fn open(&mut self, page: &Path) {
        let url = format!("file://{}", page.display());
        self.ask("Page.navigate", &json!({"url": url}));
        while self.receive()["method"] != "Page.loadEventFired" {}
    }

    /// The value of an expression; a promise is waited for.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.ask("Runtime.evaluate", &params);
        assert!(
            answer.get("exceptionDetails").is_none(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].take()
    }

    /// Waits until the page has read its data.
    pub(crate) fn until_ready(&mut self) {
        self.value(
            "new Promise((done) => { const look = () => document.body.dataset.ready ? done(1) : \
             setTimeout(look, 5); look(); })",
        );
    }

    pub(crate) fn key(&mut self, key: &str) {
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

    pub(crate) fn n_rows(&mut self) -> u64 {
        self.value("document.querySelectorAll('.row').length")
            .as_u64()
            .unwrap()
    }

    pub(crate) fn selected(&mut self) -> String {
        let text = self.value("document.querySelector('.row.sel .name').title");
        text.as_str().unwrap().to_owned()
    }

    /// Writes what is seen to the folder that `SPANLITE_SCREENSHOTS` names, if it does.
    pub(crate) fn screenshot(&mut self, name: &str) {
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

    pub(crate) fn appearance(&mut self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.ask("Emulation.setEmulatedMedia", &json!({"features": features}));
    }
}
