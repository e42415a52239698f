use std::marker::PhantomData;

use super::methods::span_methods;
use crate::context::{self, Context};
use crate::live::{self, Live};
use crate::{SpanId, TraceId};

/// The span that is open in the calling code. What is said of it after it ended is lost.
#[derive(Debug, Clone, Copy)]
pub struct CurrentSpan {
    context: Context,
    not_send: PhantomData<*const ()>,
}

/// The span that is open in the calling code, made by `#[trace]` or otherwise. Where none is
/// open, what is said of it is ignored.
pub fn current_span() -> CurrentSpan {
    CurrentSpan {
        context: context::get(),
        not_send: PhantomData,
    }
}

span_methods!(CurrentSpan, self, &self);

impl CurrentSpan {
    fn change(&self, change: impl FnOnce(&mut Live)) {
        if self.is_recording() {
            live::change(&self.context, change);
        }
    }

    /// Returns whether what is said of it is recorded.
    pub fn is_recording(&self) -> bool {
        self.context.has_span() && self.context.is_sampled()
    }

    /// The trace it belongs to.
    pub fn trace_id(&self) -> Option<TraceId> {
        self.context.trace_id()
    }

    /// Its id.
    pub fn span_id(&self) -> Option<SpanId> {
        self.context.span_id()
    }
}
