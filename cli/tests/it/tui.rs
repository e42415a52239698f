//! Drives the full-screen view in a real terminal: tmux.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// A tmux server of its own, ended with the test.
struct Tmux {
    socket: String,
}

impl Drop for Tmux {
    fn drop(&mut self) {
        // The server may have ended with its last window.
        drop(self.tmux(&["kill-server"]));
    }
}

impl Tmux {
    fn start(folder: &Path, command: &str) -> Self {
        let tmux = Self {
            socket: folder.join("tmux").to_str().unwrap().to_owned(),
        };
        let started = tmux.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "80",
            "-y",
            "24",
            command,
        ]);
        assert!(started.status.success(), "{started:?}");
        tmux
    }

    fn tmux(&self, args: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        command
            .args(["-u", "-S", &self.socket])
            .args(args)
            .output()
            .unwrap()
    }

    fn keys(&self, keys: &[&str]) {
        let sent = self.tmux(&[&["send-keys"], keys].concat());
        assert!(sent.status.success(), "{sent:?}");
    }

    fn screen(&self) -> String {
        String::from_utf8(self.tmux(&["capture-pane", "-p"]).stdout).unwrap()
    }

    /// Waits until the screen is as wanted, at most half a minute.
    fn until(&self, wanted: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_filter_is_typed_a_trace_opened_and_the_screen_resized() {
    if Command::new("tmux").arg("-V").output().is_err() {
        println!("skipped: tmux is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("traces.spans");
    let agents = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/agents.otlp.json");
    let spanlite = env!("CARGO_BIN_EXE_spanlite");
    let store = store.to_str().unwrap();
    let imported = Command::new(spanlite)
        .args(["import", agents, "--store", store])
        .output();
    assert!(imported.unwrap().status.success());

    // What is remembered between runs lies in the folder of the test.
    let state = folder.path().display();
    let command = format!(
        "env XDG_STATE_HOME={state} {spanlite} tui --store {store} --utc; echo it has ended; sleep 30"
    );
    let tmux = Tmux::start(folder.path(), &command);
    tmux.until(|screen| screen.contains("3 traces") && screen.contains("AGENT"));
    tmux.keys(&["/"]);
    tmux.keys(&["-l", "span.type = 'RETRIEVER'"]);
    tmux.until(|screen| screen.contains("1 shown"));
    tmux.keys(&["Enter", "Enter", "n"]);
    tmux.until(|screen| screen.contains("[1 Input]"));
    tmux.keys(&["n", "4"]);
    tmux.until(|screen| screen.contains("OrderNotFound"));
    tmux.keys(&["?"]);
    tmux.until(|screen| screen.contains("next failed span"));
    tmux.keys(&["x"]);
    tmux.tmux(&["resize-window", "-x", "120", "-y", "40"]);
    // A screen may be caught while it is drawn, so that both are waited for.
    tmux.until(|screen| {
        let is_wide = screen.lines().any(|line| line.chars().count() >= 118);
        is_wide && screen.contains("OrderNotFound")
    });

    // In the payload a text is looked for, and folding leaves fewer lines.
    tmux.keys(&["1", "Enter", "/"]);
    tmux.keys(&["-l", "nowhere"]);
    tmux.until(|screen| screen.contains("/ nowhere_"));
    tmux.keys(&["Enter"]);
    tmux.until(|screen| screen.contains("the payload does not have it"));
    tmux.keys(&["/"]);
    tmux.keys(&["-l", "1764"]);
    tmux.until(|screen| screen.contains("/ 1764_"));
    tmux.keys(&["Enter"]);
    tmux.until(|screen| screen.contains("j/k move"));
    // Followed, the screen shows what another program writes.
    tmux.keys(&["Tab", "/"]);
    for _ in "span.type = 'RETRIEVER'".chars() {
        tmux.keys(&["BSpace"]);
    }
    tmux.keys(&["Enter", "f"]);
    tmux.until(|screen| screen.contains("3 traces"));
    let written = Command::new(spanlite)
        .args(["generate", "-n", "1", "--store", store])
        .output();
    assert!(written.unwrap().status.success());
    tmux.until(|screen| screen.contains("4 traces"));
    // Two traces are compared.
    tmux.keys(&["d", "j", "d"]);
    tmux.until(|screen| screen.contains("first divergence"));
    tmux.keys(&["x", "/"]);
    tmux.keys(&["-l", "span.type = 'RETRIEVER'"]);
    tmux.keys(&["Enter"]);
    tmux.until(|screen| screen.contains("1 shown"));
    tmux.keys(&["q"]);
    // What tmux shows of the screen below depends on how it was resized meanwhile.
    tmux.until(|screen| screen.contains("it has ended"));

    // The filter that was asked for last holds again.
    let second = folder.path().join("second");
    std::fs::create_dir(&second).unwrap();
    let again = Tmux::start(&second, &command);
    again.until(|screen| screen.contains("span.type = 'RETRIEVER'") && screen.contains("1 shown"));
    again.keys(&["q"]);
}
