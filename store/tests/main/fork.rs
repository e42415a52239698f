//! Forking, which has no safe form.
#![expect(unsafe_code, reason = "fork has no safe form")]

use std::time::Duration;

use spanlite_store::{Appended, Store};

use crate::child::say;
use crate::support::{append, encoded_span, sized_span};

/// Ends a process by its id.
pub(crate) fn end(process: u64) {
    // SAFETY: sends a signal; no memory is involved.
    unsafe { libc::kill(process as i32, libc::SIGKILL) };
}

fn wait(process: i32) {
    let mut status = 0;
    // SAFETY: `status` is a live integer.
    let waited = unsafe { libc::waitpid(process, &raw mut status, 0) };
    assert_eq!((waited, status), (process, 0), "the child ended well");
}

/// With 0: a child that sleeps on while the parent waits to be killed. Else: a child that only
/// ends, one that traces, and a parent that goes on tracing.
pub(crate) fn fork(store: &Store, number: u64) {
    let lane = store.lane().unwrap();
    let mut open = sized_span(number);
    open.end_time_unix_nano = None;
    let slot = lane.open(&encoded_span(&open)).unwrap();
    append(&lane, &sized_span(number));
    // SAFETY: the test has one thread that holds locks, this one, and the child uses nothing
    // that another thread may have held.
    let first = unsafe { libc::fork() };
    if first == 0 {
        if number == 0 {
            say(u64::from(std::process::id()));
            // Whoever reads what the parent says should not wait for this one.
            // SAFETY: nobody writes to them in the child.
            unsafe { [libc::close(0), libc::close(1), libc::close(2)] };
            std::thread::sleep(Duration::from_secs(20));
            // SAFETY: ends the child.
            unsafe { libc::_exit(0) };
        }
        assert_eq!(
            lane.append(&encoded_span(&sized_span(99))),
            Appended::Forked
        );
        assert!(lane.open(&encoded_span(&sized_span(99))).is_none());
        drop((lane, slot, store.clone()));
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    if number == 0 {
        std::thread::sleep(Duration::from_secs(600));
    }
    wait(first);
    append(&lane, &sized_span(number + 1));
    // SAFETY: as above.
    let second = unsafe { libc::fork() };
    if second == 0 {
        let own = store.lane().unwrap();
        append(&own, &sized_span(number + 2));
        store.flush().unwrap();
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    wait(second);
    append(&lane, &sized_span(number + 3));
    drop(slot);
    store.flush().unwrap();
    store.close().unwrap();
    say(number);
}
