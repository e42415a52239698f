//! What keeps a store well.

use std::fs;

use serde_json::{Value, json};

use super::support::Place;

#[test]
fn the_store_is_looked_after() {
    let place = Place::with_agents();
    insta::assert_snapshot!(place.transcript(&["verify"]), @r#"
    ✓ sound  3 traces, 17 spans read and checked
    --- exit 0
    "#);
    insta::assert_snapshot!(place.transcript(&["verify", "--json"]), @r#"
    {"ok":true,"traces":3,"spans":17,"damage":[]}
    --- exit 0
    "#);
    insta::assert_snapshot!(place.transcript(&["list", "--store", "/dev/null"]), @r#"
    --- stderr
    error: the store did not open
      `/dev/null` is not a Spanlite store
      hint: a store is a folder with a file STORE; `spanlite import` reads trace files
    --- exit 4
    "#);
    place.write("some.json", "{}");
    fs::create_dir(place.path("folder")).unwrap();
    insta::assert_snapshot!(place.transcript(&["list", "--store", "folder"]), @r#"
    --- stderr
    error: no store at folder
      looked at --store
      hint: your program has not written yet, or pass --store PATH; `spanlite demo` makes a store to play with
    --- exit 3
    "#);
}

#[test]
fn the_store_is_kept_small_and_safe() {
    let place = Place::with_agents();
    let planned = place.run(&["gc", "--older", "1d", "--dry-run"]).stdout;
    let expected = "would remove 3 traces in 1 segment, free about ";
    assert!(planned.starts_with(expected), "{planned}");
    let refused = place.run(&["gc", "--older", "1d"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("--yes"));
    assert_eq!(
        place
            .run(&["list", "--format", "ndjson"])
            .stdout
            .lines()
            .count(),
        3
    );
    assert_eq!(place.run(&["backup", "copy.spans"]).code, 0);
    let copied = place.run(&["list", "--store", "copy.spans", "--format", "ndjson"]);
    assert_eq!(copied.stdout.lines().count(), 3);
    assert_eq!(
        place.run(&["backup", "copy.spans"]).code,
        1,
        "it never writes over a store"
    );
    insta::assert_snapshot!(place.transcript(&["recover", "--out", "fixed.spans"]), @r#"
    3 traces, 17 spans to fixed.spans
    --- exit 0
    "#);
    let fixed = place
        .run(&["show", "@", "--store", "fixed.spans", "--json"])
        .stdout;
    assert_eq!(fixed, place.run(&["show", "@", "--json"]).stdout);
}

#[test]
fn a_newest_file_that_is_too_much_alone_goes_once_there_is_a_newer_one() {
    let place = Place::with_agents();
    let bound = ["gc", "--max-traces", "1"];
    let planned = place.run(&[&bound[..], &["--dry-run"]].concat());
    assert!(planned.stdout.contains("held 3 traces: the newest file"));
    assert_eq!(place.run(&bound).code, 2, "nobody confirms it");
    place.done(&["generate", "-n", "1"]);
    assert!(
        place.done(&["info"]).contains(" in 1 segment"),
        "closed unasked"
    );
    let closed = place.done(&[&bound[..], &["--yes"]].concat());
    assert!(
        closed.starts_with("removed 0 traces in 0 segments"),
        "{closed}"
    );
    place.done(&["generate", "-n", "2", "--seed", "2"]);
    let removed = place.done(&[&bound[..], &["--yes"]].concat());
    assert!(
        removed.starts_with("removed 4 traces in 1 segment"),
        "{removed}"
    );
    let left = place.done(&["list", "--format", "ndjson"]);
    assert_eq!(left.lines().count(), 2);
}

#[test]
fn chosen_traces_are_deleted_for_good() {
    let place = Place::with_agents();
    let count = |query: &str| {
        let found = place.run(&["query", query, "--format", "ndjson"]).stdout;
        found.lines().count()
    };
    assert_eq!((count("{ }"), count("{ status = error }")), (3, 2));
    let planned = place.run(&["delete", "@", "@", "--dry-run"]).stdout;
    assert!(
        planned.starts_with("would delete 1 trace with "),
        "{planned}"
    );
    let refused = place.run(&["delete", "--where", "{ status = error }"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(
        refused
            .stdout
            .starts_with("would delete 2 traces with 13 spans\n")
    );
    assert_eq!(count("{ }"), 3, "nothing was confirmed");
    let args = ["delete", "--where", "{ status = error }", "--yes", "--json"];
    let done: Value = serde_json::from_str(&place.run(&args).stdout).unwrap();
    assert_eq!(done["done"], true);
    assert_eq!(
        (done["traces"].as_u64(), done["spans"].as_u64()),
        (Some(2), Some(13))
    );
    assert!(done["segments"].as_u64() >= Some(1), "{done}");
    assert_eq!((count("{ }"), count("{ status = error }")), (1, 0));
    assert_eq!(place.run(&["verify"]).code, 0);
    assert_eq!(
        place.run(&["delete", "0123456789"]).code,
        3,
        "there is none"
    );
    assert_eq!(place.run(&["delete"]).code, 2, "none is named");
}

#[test]
fn the_doctor_says_what_to_do() {
    let place = Place::empty();
    let nothing = place.done(&["doctor", "--width", "200"]);
    assert!(
        nothing.contains("no store at") && nothing.contains("spanlite demo"),
        "{nothing}"
    );
    assert!(fs::read_dir(place.folder.path()).unwrap().next().is_none());
    let place = Place::with_agents();
    let found: Value = serde_json::from_str(&place.done(&["doctor", "--json"])).unwrap();
    let health = |check: &str| {
        let items = found["items"].as_array().unwrap();
        let item = items.iter().find(|item| item["check"] == check);
        item.map(|item| item["health"].clone())
    };
    assert_eq!(health("store"), Some(json!("good")));
    assert_eq!(health("permissions"), Some(json!("good")));
    assert_eq!(health("damage"), Some(json!("good")));
    assert_eq!(health("background"), None);
    let failure = "spanlite failure\ntime 1000\nprocess 7\naction commit\nmessage no room\n";
    fs::write(place.path("traces.spans/failure"), failure).unwrap();
    let told = place.done(&["doctor", "--width", "200"]);
    assert!(
        told.contains("process 7 failed to commit: no room"),
        "{told}"
    );
    let told = place.done(&["info", "--width", "200"]);
    assert!(
        told.contains("process 7 failed to commit: no room"),
        "{told}"
    );
    let info: Value = serde_json::from_str(&place.done(&["info", "--json"])).unwrap();
    assert_eq!(
        info["last_failure"]["time"],
        "1970-01-01T00:00:01.000000000Z"
    );
    fs::write(place.segment(), b"this was a segment").unwrap();
    let ill = place.run(&["doctor", "--width", "200"]);
    assert_eq!(ill.code, 1);
    assert!(ill.stdout.contains("spanlite recover --out"));
}

#[test]
fn a_store_that_cannot_be_read_is_not_called_empty() {
    let place = Place::with_agents();
    fs::write(place.segment(), b"this was a segment").unwrap();
    let listed = place.run(&["list"]);
    assert!(
        listed.stderr.ends_with("no trace could be read\n"),
        "{listed:?}"
    );
    insta::assert_snapshot!(place.transcript(&["show", "@"]), @r#"
    --- stderr
    error: the store holds no traces that could be read, and some of it is damaged
      hint: `spanlite verify` says what is damaged, `spanlite recover --out NEW` saves the rest
    --- exit 3
    "#);
    fs::create_dir(place.path("full")).unwrap();
    place.write("full/notes", "");
    insta::assert_snapshot!(place.transcript(&["recover", "--out", "full"]), @r#"
    --- stderr
    error: full is a folder with files in it
      hint: name a folder that is not there yet
    --- exit 1
    "#);
    let newer = fs::read_to_string(place.path("traces.spans/STORE")).unwrap();
    place.write("traces.spans/STORE", newer.replace("format 1", "format 9"));
    let told = place.run(&["doctor", "--width", "200"]);
    assert_eq!(told.code, 1);
    let why = "the store did not open: the store `traces.spans` has format 9";
    assert!(told.stdout.contains(why), "{told:?}");
}

/// Readers go on without what is damaged; a change would give the damage a checksum that fits.
#[test]
fn a_change_that_damage_refuses_says_what_to_do() {
    let place = Place::with_agents();
    place.done(&["tag", "@", "plan=needle-in-state"]);
    let state = place.path("traces.spans/state.redb");
    let mut bytes = fs::read(&state).unwrap();
    let needle = b"needle-in-state";
    let mut windows = bytes.windows(needle.len());
    let at = windows.position(|window| window == needle).unwrap();
    bytes[at] ^= 0x80;
    fs::write(&state, bytes).unwrap();

    let refused = place.run(&["tag", "@", "plan=pro"]);
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    for said in ["is damaged", "do not match their checksum", "recover --out"] {
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    assert_eq!(place.run(&["list"]).code, 0);
    let recovered = place.run(&["recover", "--out", "saved.spans"]);
    assert!(
        recovered.stdout.contains("17 spans"),
        "{}",
        recovered.stdout
    );
    place.done(&["--store", "saved.spans", "tag", "@", "plan=pro"]);
}

#[test]
fn a_new_store_is_made_once_and_made_small() {
    let place = Place::empty();
    let made = place.done(&["init", "--config"]);
    assert!(made.contains("made the store traces.spans") && made.contains("spanlite::init("));
    let again = place.done(&["init", "--config"]);
    assert!(again.contains("is there"), "{again}");
    fs::create_dir(place.path("below")).unwrap();
    let below = place
        .command(&["generate", "-n", "30"])
        .current_dir(place.path("below"))
        .output();
    assert!(below.unwrap().status.success());
    let before: Value = serde_json::from_str(&place.done(&["list", "-n", "0", "--json"])).unwrap();
    let small: Value = serde_json::from_str(&place.done(&["compact", "--json"])).unwrap();
    assert!(small["bytes"].as_u64().unwrap() > 0);
    let after: Value = serde_json::from_str(&place.done(&["list", "-n", "0", "--json"])).unwrap();
    assert_eq!(before, after);
    assert_eq!(after["items"].as_array().unwrap().len(), 30);
}
