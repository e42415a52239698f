use std::sync::Arc;

use tokio::sync::OnceCell;

use super::{ExportError, RunEvent, RunOptions};
use crate::http::{Circuit, Client, Sender};
use crate::job::{ExportJob, Target};
use crate::mlflow::{MlflowTarget, NotATarget};
use crate::otlp::OtlpTarget;
use crate::parcel::{Delivered, Parcel};

/// A target, asked what it is when there is something to send for the first time.
#[derive(Debug)]
pub(super) struct Endpoint {
    client: Client,
    /// Outlives a failure to open the target, so that the next connection does not begin anew.
    circuit: Arc<Circuit>,
    open: OnceCell<OpenTarget>,
}

#[derive(Debug)]
pub(super) enum OpenTarget {
    Mlflow(MlflowTarget),
    Otlp(OtlpTarget),
}

impl OpenTarget {
    pub(super) async fn deliver(&self, parcels: &mut [Parcel]) -> Delivered {
        match self {
            Self::Mlflow(target) => target.deliver(parcels).await,
            Self::Otlp(target) => target.deliver(parcels).await,
        }
    }
}

impl Endpoint {
    pub(super) fn of(job: &ExportJob, options: &RunOptions) -> Result<Arc<Self>, ExportError> {
        let patience = options.patience_for(job.schedule);
        Ok(Arc::new(Self {
            client: Client::new(&job.target.connection())?,
            circuit: Arc::new(Circuit::new(options.longest_pause, patience)),
            open: OnceCell::new(),
        }))
    }

    pub(super) async fn target(
        &self,
        job: &ExportJob,
        options: &RunOptions,
    ) -> Result<&OpenTarget, NotATarget> {
        let open = || async {
            let (told, told_too) = (options.clone(), options.clone());
            let sender = Sender {
                client: self.client.clone(),
                circuit: Arc::clone(&self.circuit),
                stop: options.stop.clone(),
                canary: None,
                on_failure: Box::new(move |error, retry_in| {
                    told.tell(RunEvent::Failed { error, retry_in });
                }),
                on_taken: Box::new(move |trace_id| told_too.tell(RunEvent::Taken { trace_id })),
            };
            match &job.target {
                Target::Mlflow(server) => {
                    let experiment = &server.experiment;
                    let target =
                        MlflowTarget::open(sender, experiment, job.overwrite_edits).await?;
                    options.tell(RunEvent::Connected {
                        version: target.version(),
                    });
                    Ok(OpenTarget::Mlflow(target))
                }
                Target::Otlp(_) => Ok(OpenTarget::Otlp(OtlpTarget::new(sender))),
            }
        };
        self.open.get_or_try_init(open).await
    }
}
