//! Holds the direction of dependencies between the workspace's crates, the length of files, and
//! what documents say of them.
#![expect(
    clippy::expect_used,
    reason = "helpers of tests fail a test by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Each crate and the crates of ours that it may use. A new edge is argued here, in review.
const ALLOWED: &[(&str, &[&str])] = &[
    ("spanlite-model", &[]),
    ("spanlite-store", &["spanlite-model"]),
    ("spanlite-formats", &["spanlite-model"]),
    ("spanlite-generate", &["spanlite-model"]),
    ("spanlite-query", &["spanlite-model", "spanlite-store"]),
    ("spanlite-macros", &[]),
    (
        "spanlite",
        &["spanlite-macros", "spanlite-model", "spanlite-store"],
    ),
    ("spanlite-llm", &["spanlite-model"]),
    (
        "spanlite-auto",
        &[
            "spanlite",
            "spanlite-model",
            "spanlite-llm",
            "spanlite-formats",
        ],
    ),
    (
        "spanlite-export",
        &[
            "spanlite-model",
            "spanlite-formats",
            "spanlite-store",
            "spanlite-query",
        ],
    ),
    (
        "spanlite-server",
        &[
            "spanlite",
            "spanlite-auto",
            "spanlite-formats",
            "spanlite-llm",
            "spanlite-model",
            "spanlite-store",
        ],
    ),
    (
        "spanlite-cli",
        &[
            "spanlite",
            "spanlite-export",
            "spanlite-formats",
            "spanlite-generate",
            "spanlite-llm",
            "spanlite-model",
            "spanlite-query",
            "spanlite-server",
            "spanlite-store",
        ],
    ),
];

/// Packages that may use everything and that nothing may use.
const LEAVES: &[&str] = &[
    "spanlite-tests",
    "spanlite-clients",
    "spanlite-benches",
    "spanlite-aborting",
    "spanlite-disabled",
    "spanlite-renamed",
    "spanlite-peers",
];

/// Libraries that only one crate may touch, because they are that crate's business.
const OWNED: &[(&str, &[&str])] = &[
    (
        "redb",
        &["spanlite-store", "spanlite-tests", "spanlite-benches"],
    ),
    (
        "bincode",
        &["spanlite-store", "spanlite-tests", "spanlite-benches"],
    ),
    ("nom", &["spanlite-query"]),
    ("syn", &["spanlite-macros"]),
];

fn metadata() -> Value {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    serde_json::from_slice(&out.stdout).expect("cargo metadata prints JSON")
}

/// Every package with the names of its direct dependencies (not those of its tests).
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let uses = package["dependencies"]
                .as_array()
                .expect("dependencies")
                .iter()
                .filter(|dependency| dependency["kind"] != "dev")
                .map(|dependency| dependency["name"].as_str().expect("name").to_owned())
                .collect();
            (package["name"].as_str().expect("name").to_owned(), uses)
        })
        .collect()
}

#[test]
fn dependencies_point_one_way() {
    let table: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut wrong = Vec::new();
    for (package, uses) in dependencies() {
        if LEAVES.contains(&package.as_str()) {
            continue;
        }
        let Some(allowed) = table.get(package.as_str()) else {
            wrong.push(format!("{package} is not in the table"));
            continue;
        };
        for used in uses.iter().filter(|used| used.starts_with("spanlite")) {
            if !allowed.contains(&used.as_str()) {
                wrong.push(format!("{package} may not use {used}"));
            }
        }
        let unused = allowed.iter().filter(|name| !uses.contains(**name));
        wrong.extend(unused.map(|name| format!("{package} does not use {name} any more")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn libraries_stay_behind_the_crate_that_owns_them() {
    let mut wrong = Vec::new();
    for (package, uses) in dependencies() {
        for (library, owners) in OWNED {
            if uses.contains(*library) && !owners.contains(&package.as_str()) {
                wrong.push(format!("{package} may not use {library}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A file that is longer does more than one thing.
const MAX_LINES: usize = 500;

/// The files below a folder that end so, without what is built or hidden.
fn files_of_kind(folder: &Path, kind: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("folders can be read") {
        let path = entry.expect("folders can be read").path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_none_or(|name| name.starts_with('.') || name == "target") {
            continue;
        }
        if path.is_dir() {
            files_of_kind(&path, kind, found);
        } else if path.extension().is_some_and(|ending| ending == kind) {
            found.push(path);
        }
    }
}

#[test]
fn no_file_is_too_long() {
    let mut files = Vec::new();
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    files_of_kind(root, "rs", &mut files);
    assert!(files.len() > 500, "the sources were not found: {files:?}");
    let lines = |path: &PathBuf| fs::read_to_string(path).expect("UTF-8").lines().count();
    let long: Vec<_> = files
        .iter()
        .filter(|path| lines(path) > MAX_LINES)
        .collect();
    assert!(long.is_empty(), "more than {MAX_LINES} lines: {long:#?}");
}

/// Where paths of documents begin.
const FOLDERS: &[&str] = &[
    "store/", "query/", "sdk/", "cli/", "tests/", "benches/", ".ci/",
];

/// The paths in backquotes of a document, outside of its blocks of code.
fn named_paths(text: &str) -> Vec<&str> {
    let is_of_path = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    let is_path = |quoted: &&str| {
        let extension = Path::new(quoted).extension();
        let is_file = extension.is_some_and(|one| one == "rs" || one == "md");
        let is_below = FOLDERS.iter().any(|folder| quoted.starts_with(folder));
        quoted.bytes().all(is_of_path) && (is_file || is_below)
    };
    let blocks = text.split("```").step_by(2);
    let quoted = blocks.flat_map(|block| block.split('`').skip(1).step_by(2));
    quoted.filter(is_path).collect()
}

#[test]
fn what_documents_name_is_there() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let mut documents = Vec::new();
    files_of_kind(root, "md", &mut documents);
    let mut wrong = Vec::new();
    let mut count = 0;
    for document in documents {
        let text = fs::read_to_string(&document).expect("UTF-8");
        let folder = document.parent().expect("a folder");
        for named in named_paths(&text) {
            count += 1;
            let places = [
                root.join(named),
                folder.join(named),
                folder.join("src").join(named),
            ];
            if !places.iter().any(|place| place.is_file() || place.is_dir()) {
                wrong.push(format!("{}: {named}", document.display()));
            }
        }
    }
    assert!(count > 30, "no paths were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
