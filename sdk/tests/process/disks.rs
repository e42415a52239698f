//! Programs whose disk is full, or slow.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use spanlite::{Overload, in_span};

use crate::small_disk::SmallDisk;
use crate::{arguments, run, said, stored, warnings};

/// Text that hardly gets smaller when it is compressed.
fn noise(bytes: usize, mut state: u64) -> String {
    let mut text = String::new();
    while text.len() < bytes {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        write!(text, "{:08x}", state >> 32).unwrap();
    }
    text
}

#[test]
#[ignore = "a program of `a_full_disk_loses_nothing_that_was_flushed`"]
fn fills_the_disk() {
    let tracing = spanlite::builder()
        .memory_limit_bytes(2 << 20)
        .commit_interval(Duration::from_millis(20))
        .init()
        .unwrap();
    let mut made = 0;
    let mut make = || {
        for _ in 0..20 {
            made += 1;
            in_span("work", |span| span.set_inputs(noise(20_000, made)));
        }
        made
    };
    let mut covered = 0;
    while spanlite::flush().is_ok() {
        let before = make();
        if spanlite::flush().is_ok() {
            covered = before;
        }
        assert!(before < 10_000, "the disk is not full");
    }
    // Far more than the memory holds: the program goes on, and spans are counted.
    for _ in 0..40 {
        make();
    }
    assert!(spanlite::dropped() > 0);
    println!("covered {covered}");
    println!("dropped {}", spanlite::dropped());
    println!("made {made}");
    drop(tracing);
}

#[test]
fn a_full_disk_loses_nothing_that_was_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path().join("disk")) else {
        return;
    };
    let path = disk.0.join("traces.spans");
    let out = run("disks::fills_the_disk", &path);
    // A store that is opened for writing needs some.
    let room = ["-o", "remount,size=64m"];
    let enlarged = Command::new("mount").args(room).arg(&disk.0).status();
    assert!(enlarged.unwrap().success());
    let [covered, dropped, made] = ["covered", "dropped", "made"].map(|key| said(key, &out));
    assert!(covered > 0, "some of it was stored before");
    let stored = stored(&path);
    assert!(stored >= covered, "{stored} of {covered}");
    assert!(
        stored + dropped <= made + 1,
        "{stored} stored, {dropped} dropped of {made}"
    );
    let warnings = warnings(&out);
    let [dropped, close] = warnings.as_slice() else {
        panic!("{warnings:?}");
    };
    assert!(dropped.contains("could not be stored"), "{dropped}");
    assert!(dropped.contains("(last failure: "), "{dropped}");
    assert!(dropped.contains("no space is left"), "{dropped}");
    // Why the commit failed comes last.
    let cause = "the last spans could not be stored: the last commit failed: ";
    assert!(close.contains(cause), "{close}");
}

/// Milliseconds that each fsync takes on the slow disk.
const SYNC_MILLIS: u64 = 150;

/// A library that makes every fsync slow, for `LD_PRELOAD`.
fn slow_disk(folder: &Path) -> std::path::PathBuf {
    let source = folder.join("slow.c");
    let library = folder.join("slow.so");
    let micros = SYNC_MILLIS * 1_000;
    let text = format!(
        "#define _GNU_SOURCE\n#include <unistd.h>\n#include <sys/syscall.h>\n\
         int fsync(int f) {{ usleep({micros}); return syscall(SYS_fsync, f); }}\n\
         int fdatasync(int f) {{ usleep({micros}); return syscall(SYS_fdatasync, f); }}\n"
    );
    std::fs::write(&source, text).unwrap();
    let made = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status()
        .unwrap();
    assert!(made.success());
    library
}

#[test]
#[ignore = "a program of `a_slow_disk_loses_nothing`"]
fn traces_onto_a_slow_disk() {
    let _tracing = spanlite::builder()
        .memory_limit_bytes(2 << 20)
        .overload(Overload::Block)
        .commit_interval(Duration::from_millis(1))
        .init()
        .unwrap();
    // More than the memory holds, so that the threads have to wait.
    let work = |thread: u64| {
        for number in 0..150 {
            let text = noise(20_000, thread << 32 | number);
            in_span("work", |span| span.set_inputs(&text));
        }
    };
    std::thread::scope(|threads| {
        threads.spawn(|| work(0));
        threads.spawn(|| work(1));
        in_span("work", |_| ());
        let began = Instant::now();
        spanlite::flush().unwrap();
        let took = began.elapsed().as_millis();
        assert!(took >= u128::from(SYNC_MILLIS), "the disk is not slow");
    });
    assert_eq!(spanlite::dropped(), 0);
    println!("ended 301");
    // What was not committed is in the journal.
    std::process::abort();
}

#[test]
#[cfg(target_os = "linux")]
fn a_slow_disk_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traces.spans");
    let out: Output = Command::new(std::env::current_exe().unwrap())
        .args(arguments("disks::traces_onto_a_slow_disk"))
        .env("SPANLITE_STORE", &path)
        .env("LD_PRELOAD", slow_disk(folder.path()))
        .output()
        .unwrap();
    assert_eq!(said("ended", &out), stored(&path));
}
