//! Runs the packages beside this one that must be built alone, because the features of a build
//! are those of all packages in it together.

#![expect(clippy::expect_used, reason = "these are tests")]

use std::process::Command;

fn run(package: &str) -> String {
    let out = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline", "--package", package])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs");
    let complaints = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{complaints}");
    String::from_utf8(out.stdout).expect("texts")
}

#[test]
fn a_package_may_rename_the_sdk_and_do_without_the_prelude() {
    assert_eq!(run("spanlite-renamed"), "7 spans\n");
}

#[test]
fn without_the_feature_nothing_is_recorded_and_no_store_is_made() {
    assert_eq!(run("spanlite-disabled"), "0 spans\n");
}
