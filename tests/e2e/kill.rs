//! A program is killed in the middle of tracing: what had ended is there.

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use crate::{find, run, traced};

#[test]
fn what_ended_before_a_kill_is_there() {
    for round in 0..3 {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let store = folder.path().join("traces.spans");
        let mut program = traced(&store);
        let said = BufReader::new(program.stdout.take().expect("its output is piped"));
        let mut ended = Vec::new();
        // Each line `ended ID` is printed after the trace's root span has ended.
        for line in said.lines() {
            let line = line.expect("the program speaks UTF-8");
            if let Some(id) = line.strip_prefix("ended ") {
                ended.push(id.to_owned());
            }
            if ended.len() > 150 * (round + 1) {
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(13 * round as u64));
        program.kill().expect("it runs");
        program.wait().expect("it ends");

        let found = find(&store, "{ }");
        let lost: Vec<&String> = ended.iter().filter(|id| !found.contains(id)).collect();
        assert!(lost.is_empty(), "{} of {} lost", lost.len(), ended.len());
        run(&store, &["verify"]);
    }
}
