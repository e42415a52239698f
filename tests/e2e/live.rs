//! A store is read while another process writes to it.

use std::io::{BufRead as _, BufReader};

use crate::{find, run, traced};

#[test]
fn a_running_program_is_seen_by_the_command() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let store = folder.path().join("traces.spans");
    let mut program = traced(&store);
    let mut said = BufReader::new(program.stdout.take().expect("its output is piped"));
    let mut line = String::new();
    // The program says `flushed N` after a flush that covered N traces, and writes on.
    let flushed: usize = loop {
        line.clear();
        let read = said.read_line(&mut line).expect("the program speaks UTF-8");
        assert_ne!(read, 0, "the program writes on");
        if let Some(count) = line.strip_prefix("flushed ") {
            break count.trim().parse().expect("a count");
        }
    };
    let tagged = find(&store, "tag.round = '0'");
    assert_eq!(tagged.len(), 1);
    assert!(find(&store, "{ span:type = \"tool\" }").len() >= flushed);
    assert!(!find(&store, "{ status = error }").is_empty());
    assert!(run(&store, &["list"]).stdout.contains("round"));
    assert!(
        run(&store, &["show", &tagged[0]])
            .stdout
            .contains("look up")
    );
    assert_eq!(
        program.try_wait().expect("it can be asked"),
        None,
        "it writes on"
    );
    program.kill().expect("it runs");
    program.wait().expect("it ends");
}
