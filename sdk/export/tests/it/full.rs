use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use spanlite_export::{ExportError, RunEvent, RunOptions, run};
use spanlite_model::Trace;
use spanlite_store::{OpenOptions, Store};

use crate::fake::FakeServer;
use crate::fixtures::{mlflow_job, options, trace};

const TRACES: u8 = 100;

/// A file system of 16 MiB, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf) -> Option<Self> {
        fs::create_dir(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
            .arg(&path)
            .output();
        let is_mounted = mounted.is_ok_and(|output| output.status.success());
        is_mounted.then_some(Self(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// Writes until nothing more fits.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    let mut piece = 1 << 20;
    while piece > 0 {
        if file.write_all(&vec![1; piece]).is_err() {
            piece /= 2;
        }
    }
}

#[tokio::test]
async fn a_disk_that_is_full_while_noting_ends_the_run_and_the_next_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path().join("disk")) else {
        println!("skipped: no permission to mount a small file system");
        return;
    };
    let store = Store::open(disk.0.join("t.spans"), OpenOptions::default()).unwrap();
    let traces: Vec<Trace> = (1..=TRACES).map(trace).collect();
    store.write(&traces).unwrap();
    let server = FakeServer::start();
    let job = mlflow_job(server.url());
    let filler = disk.0.join("filler");
    let options_that_fill = {
        let filler = filler.clone();
        RunOptions {
            batch_traces: 5,
            on_event: Some(Arc::new(move |event| {
                if matches!(event, RunEvent::Connected { .. }) {
                    fill(&filler);
                }
            })),
            ..options()
        }
    };
    let error = run(&store, &job, options_that_fill).await.unwrap_err();
    assert!(matches!(error, ExportError::State(_)), "{error}");
    let n_noted = job.status(&store).unwrap().n_sent;
    assert!(n_noted < u64::from(TRACES), "{n_noted}");

    fs::remove_file(&filler).unwrap();
    let report = run(&store, &job, options()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.n_unchanged, n_noted);
    assert_eq!(report.n_sent + n_noted, u64::from(TRACES));
    let contents = server.contents.lock().unwrap();
    assert_eq!(contents.infos.len(), usize::from(TRACES));
    assert_eq!(contents.spans.len(), 2 * usize::from(TRACES));
}
