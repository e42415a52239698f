//! The store from outside: what is written is read, by any process, after any restart.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod child;
mod damage;
mod delete;
mod first_light;
mod flip;
mod fold;
#[cfg(unix)]
mod fork;
mod format;
mod full;
mod journal;
mod kill;
mod life;
#[cfg(unix)]
mod limit;
mod model;
mod notes;
#[cfg(target_os = "linux")]
mod peers;
mod processes;
mod retention;
mod rewrite;
#[path = "../../../tests/support/small_disk.rs"]
mod small_disk;
mod support;
