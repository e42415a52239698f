//! Other processes: the test binary itself, started again to play one part.

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use spanlite_model::{Trace, TraceChange, TraceUpdate};
use spanlite_store::{Appended, OpenOptions, Retention, Store, recover};

#[cfg(unix)]
use crate::limit;
use crate::support::{append, encoded_span, sized_span, span, trace};
use crate::{fork, peers};

const PART: &str = "SPANLITE_TEST_PART";
const STORE: &str = "SPANLITE_TEST_STORE";
const NUMBER: &str = "SPANLITE_TEST_NUMBER";

/// A process that plays a part on a store.
pub(crate) struct Player {
    pub(crate) process: Child,
    lines: BufReader<ChildStdout>,
}

impl Player {
    /// Starts a process. `number` is for the part to use as it likes.
    pub(crate) fn start(part: &str, store: &Path, number: u64) -> Self {
        Self::start_by(
            &mut Command::new(env::current_exe().unwrap()),
            part,
            store,
            number,
        )
    }

    /// Starts a process through another program, which `prepare` gives its arguments.
    pub(crate) fn start_in(
        program: &str,
        prepare: impl FnOnce(&mut Command),
        part: &str,
        store: &Path,
        number: u64,
    ) -> Self {
        let mut command = Command::new(program);
        prepare(&mut command);
        Self::start_by(
            command.arg(env::current_exe().unwrap()),
            part,
            store,
            number,
        )
    }

    fn start_by(command: &mut Command, part: &str, store: &Path, number: u64) -> Self {
        let mut process = command
            .args(["child::play", "--exact", "--ignored", "--nocapture", "-q"])
            .env(PART, part)
            .env(STORE, store)
            .env(NUMBER, number.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        Self { process, lines }
    }

    /// The next number that the player said, or nothing once it has ended.
    pub(crate) fn said(&mut self) -> Option<u64> {
        let mut line = String::new();
        while self.lines.read_line(&mut line).unwrap() > 0 {
            if let Some(number) = line.strip_prefix("said ") {
                return Some(number.trim().parse().unwrap());
            }
            line.clear();
        }
        None
    }

    /// Kills the process and returns the last number that it said.
    pub(crate) fn kill(mut self) -> Option<u64> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        let mut last = None;
        while let Some(number) = self.said() {
            last = Some(number);
        }
        last
    }

    pub(crate) fn finish(mut self) {
        assert!(self.process.wait().unwrap().success());
    }
}

pub(crate) fn say(number: u64) {
    let mut out = std::io::stdout().lock();
    // In one write, so that a kill leaves a whole line or none.
    out.write_all(format!("\nsaid {number}\n").as_bytes())
        .unwrap();
    out.flush().unwrap();
}

fn variable(name: &str) -> Option<String> {
    env::var_os(name)?.into_string().ok()
}

/// Plays a part; started by [`Player::start`] only.
#[test]
#[ignore = "a part of other tests"]
fn play() {
    let Some(part) = variable(PART) else { return };
    let path = variable(STORE).unwrap();
    let number = variable(NUMBER).unwrap().parse().unwrap();
    let options = OpenOptions {
        commit_interval: match part.as_str() {
            "leave" | "leave-few" | "open" | "fork" => Duration::from_secs(3600),
            _ => Duration::from_millis(5),
        },
        // So little that blocks are made and segments begun while the process runs.
        segment_bytes: match part.as_str() {
            "care" | "fold-alone" => 1,
            _ => 600_000,
        },
        segment_age: match part.as_str() {
            "fold-merged" => Duration::ZERO,
            _ => OpenOptions::default().segment_age,
        },
        seal_spans: 40,
        map_journal: part != "end-written",
        ..OpenOptions::default()
    };
    if part == "recover-out" {
        say(number);
        recover(&path, Path::new(&path).with_extension("out")).unwrap();
        return;
    }
    match part.as_str() {
        "look" => return peers::look(Path::new(&path)),
        "hold-transactions" => return peers::hold_transactions(Path::new(&path), number),
        "read" => return peers::read_twice(Path::new(&path)),
        _ => {}
    }
    #[cfg(unix)]
    if part == "limited" {
        return limit::fill(Path::new(&path), number);
    }
    let store = Store::open(&path, options).unwrap();
    match part.as_str() {
        "append" => append_for_ever(&store, number),
        "end" | "end-written" => end_for_ever(&store, number),
        "leave" => leave_waiting(&store, number, 500),
        "leave-few" => leave_waiting(&store, number, 60),
        "open" => leave_open(&store, number),
        "recover" => {
            say(number);
            store.flush().unwrap();
        }
        "fork" => fork::fork(&store, number),
        "fill" => fill_disk(&store, Path::new(&path), number),
        "write" => write_some(&store, number),
        "care" => take_care(&store, number),
        "fold" => fold_for_ever(&store, number, || _ = store.seal().unwrap()),
        "fold-alone" | "fold-merged" => {
            fold_for_ever(&store, number, || _ = store.merge().unwrap());
        }
        "hold" => {
            store.write(&[trace(number, 3)]).unwrap();
            say(number);
            std::thread::sleep(Duration::from_secs(600));
        }
        other => panic!("no part `{other}`"),
    }
}

/// Appends traces of three spans until it is killed, and says each number once it is appended:
/// what an append has returned for survives a kill, flushed or not.
fn append_for_ever(store: &Store, first: u64) {
    let lane = store.lane().unwrap();
    for number in first.. {
        for one in 1..=3 {
            append(&lane, &span(number, one));
        }
        if number % 50 == 0 {
            store.flush().unwrap();
        }
        say(number);
    }
}

/// Appends traces of one span until it is killed, and says each number once its append returned.
fn end_for_ever(store: &Store, first: u64) {
    let lane = store.lane().unwrap();
    for number in first.. {
        append(&lane, &sized_span(number));
        say(number);
    }
}

/// Appends traces that nothing commits, says so, and waits to be killed.
fn leave_waiting(store: &Store, first: u64, count: u64) {
    let lane = store.lane().unwrap();
    for number in first..first + count {
        append(&lane, &sized_span(number));
    }
    say(first);
    std::thread::sleep(Duration::from_secs(600));
}

/// Begins three spans of a trace, ends the second, and waits to be killed.
fn leave_open(store: &Store, number: u64) {
    let lane = store.lane().unwrap();
    let [_root, second, _third] = [1, 2, 3].map(|one| {
        let mut open = span(number, one);
        open.end_time_unix_nano = None;
        lane.open(&encoded_span(&open)).unwrap()
    });
    append(&lane, &span(number, 2));
    drop(second);
    say(number);
    std::thread::sleep(Duration::from_secs(600));
}

/// Fills the disk, goes on appending, makes room, and says how much of it was dropped.
fn fill_disk(store: &Store, path: &Path, appended_before: u64) {
    let lane = store.lane().unwrap();
    for number in 0..appended_before {
        append(&lane, &span(5_000 + number, 1));
        store.flush().unwrap();
    }
    let ballast = path.with_extension("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while file.write_all(&[7; 4096]).is_ok() {}
    let mut stored = 0;
    for number in 1..=2_000 {
        let appended = lane.append(&encoded_span(&span(number, 1)));
        stored += u64::from(appended == Appended::Stored);
    }
    // A flush may find room that the journal has from before; a commit finds none.
    store.seal().unwrap_err();
    drop(file);
    std::fs::remove_file(&ballast).unwrap();
    store.flush().unwrap();
    assert_eq!(stored + store.info().unwrap().dropped, 2_000);
    let traces = store.snapshot().unwrap().count_traces().unwrap() as u64;
    assert_eq!(traces, stored + appended_before);
    store.close().unwrap();
    say(stored);
}

/// Writes, makes blocks, gives space back and merges until it is killed.
fn take_care(store: &Store, first: u64) {
    let retention = Retention {
        max_traces: Some(60),
        ..Retention::default()
    };
    let copies = store.path().with_extension("copies");
    for round in first.. {
        let traces: Vec<Trace> = (0..10).map(|one| trace(round * 10 + one, 3)).collect();
        store.write(&traces).unwrap();
        store.seal().unwrap();
        say(round);
        store.gc(&retention, false, &BTreeSet::new()).unwrap();
        store.merge().unwrap();
        if round % 4 == 0 {
            store.backup(copies.join(round.to_string())).unwrap();
        }
    }
}

/// A trace as [`fold_for_ever`] leaves it: some were changed later, to some a span came late.
pub(crate) fn folded(number: u64) -> Trace {
    let mut whole = trace(number, 3);
    match number % 10 {
        0..3 => {
            let value = format!("{number}");
            whole.info.tags.insert("later".to_owned(), value);
        }
        3 | 4 => whole.spans.push(span(number, 9)),
        _ => {}
    }
    whole
}

/// Writes ten traces that become a block, changes some of them later and has spans come late, says
/// the number, and has all that folded, until it is killed.
fn fold_for_ever(store: &Store, first: u64, fold: impl Fn()) {
    let lane = store.lane().unwrap();
    for round in first.. {
        let numbers = round * 10..round * 10 + 10;
        let traces: Vec<Trace> = numbers.clone().map(|one| trace(one, 3)).collect();
        store.write(&traces).unwrap();
        store.seal().unwrap();
        let mut updates = Vec::new();
        for trace in numbers.map(folded) {
            for (key, value) in trace.info.tags {
                updates.push(TraceUpdate {
                    trace_id: trace.trace_id,
                    time_unix_nano: 1 << 60,
                    change: TraceChange::Tag { key, value },
                });
            }
            if let Some(late) = trace.spans.get(3) {
                append(&lane, late);
            }
        }
        store.update(&updates).unwrap();
        say(round);
        fold();
    }
}

/// Appends and writes 200 traces, from `process * 1000` on.
fn write_some(store: &Store, process: u64) {
    let lane = store.lane().unwrap();
    for number in process * 1000..process * 1000 + 200 {
        if number % 10 == 0 {
            store.write(&[trace(number, 3)]).unwrap();
        } else {
            for one in 1..=3 {
                append(&lane, &span(number, one));
            }
        }
    }
    store.close().unwrap();
}
