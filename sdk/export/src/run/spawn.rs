use spanlite_store::Store;
use tokio::task::JoinHandle;

use super::{ExportError, RunOptions, run};
use crate::job::ExportJob;
use crate::report::ExportReport;
use crate::stop::StopSignal;

/// A job that runs beside the application.
#[derive(Debug)]
pub struct JobHandle {
    stop: StopSignal,
    task: JoinHandle<Result<ExportReport, ExportError>>,
}

/// Runs a job on the application's tokio runtime until it is done or stopped.
///
/// Reading and packing are done on the runtime's blocking threads; the threads that trace take no
/// part in it. Dropping the handle lets the job run on.
pub fn spawn(store: &Store, job: ExportJob) -> JobHandle {
    let options = RunOptions::default();
    let stop = options.stop.clone();
    let store = store.clone();
    let task = tokio::spawn(async move { run(&store, &job, options).await });
    JobHandle { stop, task }
}

impl JobHandle {
    /// Stops the job and waits until it has noted what it sent.
    pub async fn stop(self) -> Result<ExportReport, ExportError> {
        self.stop.stop();
        self.task.await?
    }

    /// Waits until the job is done. One that follows never is.
    pub async fn finished(self) -> Result<ExportReport, ExportError> {
        self.task.await?
    }
}
