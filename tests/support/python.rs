#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "the support of tests fails a test by panicking and says why it skips"
)]

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::repository;

fn variable(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "says whether this is CI and where a developer keeps the installation"
    )]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Says that a test is skipped, which must not happen in CI.
pub fn skip(reason: &str) {
    assert!(variable("CI").is_none(), "not possible in CI: {reason}");
    println!("skipped: {reason}");
}

/// The Python interpreter of an environment that has a package: that in the folder which
/// `SPANLITE_<PACKAGE>_VENV` names, else one made under `target/` on first use. Where that cannot
/// be made nothing, said aloud; in CI a failure.
pub fn python_with(package: &str, version: &str) -> Option<PathBuf> {
    if let Some(venv) = variable(&format!("SPANLITE_{}_VENV", package.to_uppercase())) {
        return Some(PathBuf::from(venv).join("bin/python"));
    }
    let has_python = Command::new("python3")
        .args(["-c", "import venv, ensurepip"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !has_python {
        skip(&format!("python3 with venv is needed for {package}"));
        return None;
    }
    let target = repository().join("target");
    let venv = target.join(format!("{package}-venv"));
    let python = venv.join("bin/python");
    fs::create_dir_all(&target).expect("target can be made");
    // Test binaries run side by side; one installs, the others wait.
    let lock = File::create(target.join(format!("{package}-venv.lock"))).expect("a lock file");
    lock.lock().expect("the lock can be taken");
    let done = venv.join(format!("installed-{version}"));
    if done.is_file() {
        return Some(python);
    }
    let run = |command: &mut Command| command.status().is_ok_and(|status| status.success());
    let installed = run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&venv))
        && run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet"])
            .args(["--disable-pip-version-check"])
            .arg(format!("{package}=={version}")));
    if !installed {
        skip(&format!(
            "{package} cannot be installed from the package index"
        ));
        return None;
    }
    fs::write(done, "").expect("the installation can be marked");
    Some(python)
}
