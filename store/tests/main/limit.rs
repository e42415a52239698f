//! Programs that may not write long files: beyond the limit a write would end them by a signal.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use spanlite_model::{Json, Span};
use spanlite_store::{Appended, OpenError, OpenOptions, StorageError, Store, WriteError};

use crate::child::{Player, say};
use crate::support::{append, encoded_span, patient, span, tag, trace};

/// Spans that a limited process appends, one a trace.
const SPANS: u64 = 2_000;

fn sized(number: u64) -> Span {
    let bytes = match number % 1_000 {
        500 => 3_000_000,
        rest if rest % 50 == 25 => 90_000,
        _ => 1_000,
    };
    // Digits that hardly compress.
    let mut text = String::with_capacity(bytes + 20);
    let mut state = number;
    while text.len() < bytes {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        text.push_str(&(state >> 8).to_string());
    }
    let mut span = span(number, 1);
    span.inputs = Some(Json::string(&text));
    span
}

/// The part of a child: traces under a limit of so many bytes a file, and says how many spans are
/// stored, or nothing where the store cannot be opened.
pub(crate) fn fill(path: &Path, limit_bytes: u64) {
    let limit = Rlimit {
        current: Some(limit_bytes),
        ..getrlimit(Resource::Fsize)
    };
    setrlimit(Resource::Fsize, limit).unwrap();
    let opened = Store::open(path, OpenOptions::default());
    if let Err(OpenError::Storage(error @ StorageError::FileLimit { .. })) = &opened {
        assert!(error.to_string().contains("raise the limit"), "{error}");
        return say(0);
    }
    let store = opened.unwrap();
    let before = store.info().unwrap().spans;
    let lane = store.lane().unwrap();
    let mut appended = 0;
    for number in 1..=SPANS {
        appended += u64::from(lane.append(&encoded_span(&sized(number))) == Appended::Stored);
        if number % 500 == 0 {
            store.flush().unwrap();
        }
    }
    store.write(&[trace(SPANS + 1, 3)]).unwrap();
    // The state cannot begin another file: it takes changes while it can, and says why then.
    let mut refused = None;
    for round in 0..10 {
        let tags: Vec<_> = (1..=500)
            .map(|one| tag(one, &"x".repeat(2_000), round * 500 + one))
            .collect();
        if let Err(error) = store.update(&tags) {
            refused = Some(error);
            break;
        }
    }
    assert_eq!(refused.is_none(), limit_bytes > 30 << 20, "{refused:?}");
    if let Some(error) = refused {
        let WriteError::Storage(cause) = &error else {
            unreachable!("{error}");
        };
        let StorageError::FileTooLong {
            limit_bytes: said, ..
        } = &**cause
        else {
            unreachable!("{cause}");
        };
        assert_eq!(*said, limit_bytes);
    }
    append(&lane, &span(SPANS + 2, 1));
    store.seal().unwrap();
    store.merge().unwrap();
    let info = store.info().unwrap();
    assert_eq!(info.spans + info.dropped, before + SPANS + 4);
    assert!(info.spans <= before + appended + 4);
    store.close().unwrap();
    say(info.spans);
}

#[test]
fn a_limit_of_file_sizes_kills_no_program_and_loses_nothing_that_fits() {
    for limit_bytes in [0, 60_000, 4 << 20, 8 << 20, 10_000_000, 33 << 20] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let mut child = Player::start("limited", &path, limit_bytes);
        let stored = child.said();
        child.finish();
        let stored = stored.unwrap();
        if limit_bytes < 8 << 20 {
            assert_eq!(
                (stored, path.try_exists().unwrap()),
                (0, false),
                "{limit_bytes}"
            );
            continue;
        }
        for entry in fs::read_dir(&path).unwrap() {
            let length = entry.unwrap().metadata().unwrap().len();
            assert!(length <= limit_bytes);
        }
        let store = Store::open(&path, patient()).unwrap();
        let info = store.info().unwrap();
        assert_eq!(info.spans, stored);
        // The largest do not fit everywhere.
        let too_large = if limit_bytes < 12_000_000 {
            SPANS / 1_000
        } else {
            0
        };
        assert_eq!(stored, SPANS + 4 - too_large, "with {limit_bytes}");
        assert!(store.verify().unwrap().is_sound());
    }
}

#[test]
fn a_segment_that_is_too_long_for_a_program_is_left_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = Store::open(&path, patient()).unwrap();
    let lane = store.lane().unwrap();
    for number in 0..400 {
        append(&lane, &sized(1_000_000 + number * 50 + 25));
        if number % 100 == 0 {
            store.flush().unwrap();
        }
    }
    store.seal().unwrap();
    assert_eq!(store.info().unwrap().segments, 1);
    let mut child = Player::start("limited", &path, 16 << 20);
    let stored = child.said();
    child.finish();
    assert_eq!(stored, Some(400 + SPANS + 4));
    assert!(store.verify().unwrap().is_sound());
}
