//! The OTLP target: any backend that takes OTLP/HTTP in protobuf form.

use std::collections::{HashSet, VecDeque};
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};

use spanlite_formats::{PartialSuccess, encode_otlp, encode_otlp_spans};
use spanlite_model::{Trace, TraceId};
use xxhash_rust::xxh3::xxh3_64;

use crate::adjust::Adjustments;
use crate::http::{Body, Request, RequestError, Sender, Unsent, Verdict};
use crate::parcel::{Content, Delivered, Outcome, Parcel, Refusal};
use crate::receipt::Receipt;

/// How often a failure that may be a request's own fault is accepted.
const A_FEW_TIMES: u32 = 6;
const A_FEW_TIMES_IN_PART: u32 = 2;

/// A backend that takes OTLP.
#[derive(Debug)]
pub(crate) struct OtlpTarget {
    sender: Sender,
    /// Whether each trace goes in a request of its own: the backend took part of a request once
    /// and does not say which part.
    sends_one_by_one: AtomicBool,
}

/// Makes a trace ready; nothing if all of it was sent before in this form.
pub(crate) fn pack(
    mut trace: Trace,
    before: Option<&Receipt>,
    adjusted: Adjustments,
) -> Option<Parcel> {
    let hashes: Vec<u64> = trace
        .spans
        .iter()
        .map(|span| xxh3_64(&encode_otlp_spans(&[span])))
        .collect();
    // What belongs to the whole trace travels with its first root.
    let roots = |span: &spanlite_model::Span| span.parent_span_id.is_none();
    let carrier = trace.spans.iter().position(roots).unwrap_or(0);
    let carried = Trace {
        trace_id: trace.trace_id,
        info: trace.info.clone(),
        spans: trace.spans.get(carrier).cloned().into_iter().collect(),
    };
    let mut receipt = Receipt {
        info: xxh3_64(&encode_otlp(slice::from_ref(&carried))),
        ..Receipt::default()
    };
    receipt.set_spans(hashes.clone());
    let trace_id = trace.trace_id;
    if let Some(old) = before {
        if old.spans == receipt.spans && old.info == receipt.info {
            return None;
        }
        let mut number = 0;
        let mut hashes = hashes.into_iter();
        trace.spans.retain(|_| {
            let was_sent = hashes.next().is_some_and(|hash| old.has_span(hash));
            number += 1;
            !was_sent || number == carrier + 1
        });
    }
    let bytes = encode_otlp(slice::from_ref(&trace));
    Some(Parcel {
        trace_id,
        n_spans: trace.spans.len(),
        n_bytes: bytes.len(),
        content: Content::Otlp(bytes),
        receipt,
        adjusted,
        stamp: 0,
    })
}

/// What a failure means, as the OTLP specification says, but that a failure of the server itself
/// is tried a few times.
fn judge(error: &RequestError) -> Verdict {
    let Some(answer) = error.answer() else {
        return Verdict::Again;
    };
    match answer.status {
        408 | 429 | 502..=504 => Verdict::Again,
        300..=399 | 401 | 403 | 404 | 405 | 415 | 501 => Verdict::Stop,
        400..=499 => Verdict::Bad,
        _ => Verdict::AFewTimes,
    }
}

impl OtlpTarget {
    pub(crate) fn new(sender: Sender) -> Self {
        Self {
            sender,
            sends_one_by_one: AtomicBool::new(false),
        }
    }

    /// Sends a batch in one request. When it is refused, halves are tried, down to the traces that
    /// cannot be taken. When part of it was taken it must not be sent again, says OTLP; as nobody
    /// knows which part, none of its traces counts as sent, and from then on each goes alone.
    pub(crate) async fn deliver(&self, parcels: &[Parcel]) -> Delivered {
        let mut delivered = Delivered::default();
        let mut done = HashSet::new();
        let mut todo = VecDeque::from([(0, parcels.len())]);
        let mut few = A_FEW_TIMES;
        while let Some((first, last)) = todo.pop_front() {
            let part = parcels.get(first..last).unwrap_or_default();
            if part.is_empty() {
                continue;
            }
            if part.len() > 1 && self.sends_one_by_one.load(Ordering::Relaxed) {
                todo.extend((first..last).map(|one| (one, one + 1)));
                continue;
            }
            let bytes: Vec<u8> = part
                .iter()
                .filter_map(|parcel| parcel.content.otlp())
                .flatten()
                .copied()
                .collect();
            let mut end = |trace_id: TraceId, outcome| {
                if done.insert(trace_id) {
                    delivered.outcomes.push((trace_id, outcome));
                }
            };
            match self.push(bytes, few).await {
                Ok((n_bytes, None)) => {
                    delivered.n_bytes += n_bytes;
                    for parcel in part {
                        end(parcel.trace_id, Outcome::Sent);
                    }
                }
                Ok((n_bytes, Some(mut reason))) => {
                    delivered.n_bytes += n_bytes;
                    self.sends_one_by_one.store(true, Ordering::Relaxed);
                    if part.len() > 1 {
                        let n_traces = part.len();
                        reason = format!("in a request with {n_traces} traces, {reason}");
                    }
                    for parcel in part {
                        let reason = reason.clone();
                        end(parcel.trace_id, Outcome::Refused(Refusal { reason }));
                    }
                }
                Err(Unsent::Bad(error)) => {
                    let reason = error
                        .answer()
                        .map_or_else(|| error.to_string(), ToString::to_string);
                    split(part, first, &mut todo, reason, end);
                }
                Err(other) => {
                    delivered.ended = Some(other);
                    return delivered;
                }
            }
            few = A_FEW_TIMES_IN_PART;
        }
        delivered
    }

    /// Returns how many bytes went out, and why the backend did not take all of it.
    async fn push(&self, bytes: Vec<u8>, few: u32) -> Result<(usize, Option<String>), Unsent> {
        let body = Body::pack("application/x-protobuf", bytes).await;
        let n_bytes = body.len();
        let request = Request::post("the upload of the spans", "v1/traces", body);
        let reply = self.sender.send(&request, few, judge).await?;
        // Backends that answer in another form, or with nothing, have taken everything.
        let partial = PartialSuccess::from_protobuf(&reply.body).ok();
        let partial = partial.filter(|partial| partial.rejected_spans > 0);
        let reason = partial.map(|partial| {
            let message: String = partial
                .error_message
                .chars()
                .map(|letter| if letter.is_control() { ' ' } else { letter })
                .take(300)
                .collect();
            format!("{} spans rejected: {message}", partial.rejected_spans)
        });
        Ok((n_bytes, reason))
    }
}

/// A part of a batch that was refused: one trace is refused for good, more are tried by halves.
fn split(
    part: &[Parcel],
    first: usize,
    todo: &mut VecDeque<(usize, usize)>,
    reason: String,
    mut end: impl FnMut(TraceId, Outcome),
) {
    if let [one] = part {
        end(one.trace_id, Outcome::Refused(Refusal { reason }));
        return;
    }
    let middle = first + part.len() / 2;
    todo.extend([(first, middle), (middle, first + part.len())]);
}
