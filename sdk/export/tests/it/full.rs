use std::sync::Arc;

use spanlite_export::{ExportError, RunEvent, RunOptions, run};
use spanlite_model::Trace;
use spanlite_store::{OpenOptions, Store};

use crate::fake::FakeServer;
use crate::fixtures::{mlflow_job, options, trace};
use crate::small_disk::SmallDisk;

const TRACES: u8 = 100;

#[tokio::test]
async fn a_disk_that_is_full_while_noting_ends_the_run_and_the_next_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path().join("disk")) else {
        return;
    };
    let disk = Arc::new(disk);
    let store = Store::open(disk.0.join("t.spans"), OpenOptions::default()).unwrap();
    let traces: Vec<Trace> = (1..=TRACES).map(trace).collect();
    store.write(&traces).unwrap();
    let server = FakeServer::start();
    let job = mlflow_job(server.url());
    let options_that_fill = {
        let disk = Arc::clone(&disk);
        RunOptions {
            batch_traces: 5,
            on_event: Some(Arc::new(move |event| {
                if matches!(event, RunEvent::Connected { .. }) {
                    disk.fill();
                }
            })),
            ..options()
        }
    };
    let error = run(&store, &job, options_that_fill).await.unwrap_err();
    assert!(matches!(error, ExportError::State(_)), "{error}");
    let n_noted = job.status(&store).unwrap().n_sent;
    assert!(n_noted < u64::from(TRACES), "{n_noted}");

    disk.make_room();
    let report = run(&store, &job, options()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.n_unchanged, n_noted);
    assert_eq!(report.n_sent + n_noted, u64::from(TRACES));
    let contents = server.contents.lock().unwrap();
    assert_eq!(contents.infos.len(), usize::from(TRACES));
    assert_eq!(contents.spans.len(), 2 * usize::from(TRACES));
}
