use spanlite_model::TraceId;

use crate::adjust::Adjustments;
use crate::mlflow::InfoPart;
use crate::receipt::Receipt;

/// A trace made ready to be sent.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) trace_id: TraceId,
    /// OTLP bytes of the spans that must be sent; empty when those that were sent are still right.
    /// Such bytes can be joined: many traces make one request.
    pub(crate) spans: Vec<u8>,
    /// How many spans those are.
    pub(crate) n_spans: usize,
    /// What belongs to the whole trace, for a target that takes it apart from the spans.
    pub(crate) info: Option<InfoPart>,
    /// What will have been sent then.
    pub(crate) receipt: Receipt,
    pub(crate) adjusted: Adjustments,
}

impl Parcel {
    /// About how many bytes it is before packing.
    pub(crate) fn size(&self) -> usize {
        self.spans.len() + self.info.as_ref().map_or(0, InfoPart::size)
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
