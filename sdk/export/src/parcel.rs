use spanlite_model::TraceId;

use crate::adjust::Adjustments;
use crate::mlflow::TraceParts;
use crate::receipt::Receipt;

/// A trace made ready to be sent.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) trace_id: TraceId,
    pub(crate) content: Content,
    /// How many spans must be sent; none when those that were sent are still right.
    pub(crate) n_spans: usize,
    /// About how many bytes it is before packing.
    pub(crate) n_bytes: usize,
    /// What will have been sent then.
    pub(crate) receipt: Receipt,
    pub(crate) adjusted: Adjustments,
    /// Where the trace stands in the store; 0 where it stands nowhere for good.
    pub(crate) stamp: u64,
}

/// A trace in the form of its target.
#[derive(Debug)]
pub(crate) enum Content {
    /// OTLP bytes. Such bytes can be joined: many traces make one request.
    Otlp(Vec<u8>),
    /// The parts that MLflow takes apart.
    Mlflow(Box<TraceParts>),
}

impl Content {
    pub(crate) fn otlp(&self) -> Option<&[u8]> {
        match self {
            Self::Otlp(bytes) => Some(bytes),
            Self::Mlflow(_) => None,
        }
    }

    pub(crate) fn mlflow(&self) -> Option<&TraceParts> {
        match self {
            Self::Mlflow(parts) => Some(parts),
            Self::Otlp(_) => None,
        }
    }

    pub(crate) fn mlflow_mut(&mut self) -> Option<&mut TraceParts> {
        match self {
            Self::Mlflow(parts) => Some(parts),
            Self::Otlp(_) => None,
        }
    }
}

/// What became of a parcel.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The target has it.
    Sent,
    /// The target will never take it.
    Refused(Refusal),
}

/// Why a trace was refused for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
}

/// What became of a batch. Parcels without an outcome are still waiting.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    pub(crate) outcomes: Vec<(TraceId, Outcome)>,
    pub(crate) n_bytes: usize,
    /// Edits made on the server that were left alone.
    pub(crate) n_kept_edits: u64,
    /// Why the rest of the batch has no outcome.
    pub(crate) ended: Option<crate::http::Unsent>,
}
