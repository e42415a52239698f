//! What follows from the attributes that instrumentations write in their own dialects.

use spanlite_model::{Span, Trace, TraceInfo, keys};

/// Fills what the spans and the trace do not say themselves and their attributes tell.
pub(crate) fn derive_trace(trace: &mut Trace) {
    derive_spans(&mut trace.spans);
    derive_info(&trace.spans, &mut trace.info);
}

/// Fills span types, inputs and outputs where they are absent.
pub(crate) fn derive_spans(_spans: &mut [Span]) {}

/// Fills session and user where they are absent, from the first span that names one.
pub(crate) fn derive_info(spans: &[Span], info: &mut TraceInfo) {
    let first = |names: &[&str]| {
        spans.iter().find_map(|span| {
            let texts = names
                .iter()
                .filter_map(|name| span.attributes.get_str(name));
            texts.map(str::to_owned).find(|text| !text.is_empty())
        })
    };
    if info.session.is_none() {
        info.session = first(&[keys::SESSION_ID, keys::GEN_AI_CONVERSATION_ID]);
    }
    if info.user.is_none() {
        info.user = first(&[keys::USER_ID]);
    }
}
