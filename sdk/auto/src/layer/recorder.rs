use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU32, Ordering};

use spanlite::{Attached, Context, Span, Value};
use spanlite_model::Attributes;
use tracing::span::{Attributes as NewSpan, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::fields::{EventFields, SpanFields};
use super::meaning::{has_meaning, meaning};
use crate::calls;

/// Records spans of `tracing` as spans of Spanlite.
///
/// Made by [`layer`](crate::layer()). An entered span is the present one of its thread for
/// `#[trace]` too. A span with `parent: None` leaves the span of `tracing` that it is made in, and
/// begins a trace; in a manual span, which `tracing` does not know, it is a child of that.
///
/// Fields become attributes; `otel.name`, `otel.kind` and `otel.status_code` say what they say to
/// OpenTelemetry. Events become events, with the message as their name; an event of level `ERROR`
/// that names an exception or an error marks the span as failed.
#[derive(Debug)]
pub struct Recorder {
    /// Tells it from others, whose spans may have the same ids.
    number: u32,
}

impl Recorder {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// The place of a span's children.
    fn context<S>(&self, id: &Id, ctx: &layer::Context<'_, S>) -> Option<Context>
    where
        S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    {
        let made = MADE.try_with(Cell::get).ok().flatten();
        match made.filter(|made| made.is(self.number, id)) {
            Some(made) => Some(made.context),
            None => context_of(&ctx.span(id)?),
        }
    }
}

/// What is kept with a span of `tracing`.
struct Recorded {
    span: Span,
    context: Context,
    /// The fields, if they mean something beyond themselves.
    fields: Option<Attributes>,
    model_call: bool,
}

impl Recorded {
    fn read(&mut self, visit: impl FnOnce(&mut SpanFields<'_>)) {
        let before = self.model_call;
        visit(&mut SpanFields {
            span: &mut self.span,
            copy: self.fields.as_mut(),
            model_call: &mut self.model_call,
        });
        if self.model_call && !before {
            calls::begin(self.context);
        }
    }

    /// Says what the fields mean, and ends the span.
    fn end(mut self, name: &str, target: &str) {
        if let Some(fields) = self.fields.take() {
            let meaning = meaning(name, target, fields);
            if meaning.span_type != spanlite::SpanType::Unknown {
                self.span.set_span_type(meaning.span_type.as_str());
            }
            if let Some(inputs) = meaning.inputs {
                self.span.set_inputs(inputs);
            }
            if let Some(outputs) = meaning.outputs {
                self.span.set_outputs(outputs);
            }
            for (key, value) in meaning.more {
                self.span.set_attribute(&key, value);
            }
        }
        if self.model_call {
            calls::end(self.context);
        }
        self.span.end();
    }
}

thread_local! {
    /// Spans that the thread has entered, innermost last. A thread that ends may enter spans after
    /// this is gone, in the destructor of another of its locals: they are entered nowhere.
    static ENTERED: RefCell<Vec<Entered>> = const { RefCell::new(Vec::new()) };
}

thread_local! {
    /// The span that the thread made last, which is most often the one that it enters next. The
    /// registry gives its id to no other span but one that this thread makes.
    static MADE: Cell<Option<Made>> = const { Cell::new(None) };
}

#[derive(Clone, Copy)]
struct Made {
    recorder: u32,
    id: u64,
    context: Context,
}

impl Made {
    fn is(&self, recorder: u32, id: &Id) -> bool {
        (self.recorder, self.id) == (recorder, id.into_u64())
    }
}

struct Entered {
    id: u64,
    context: Context,
    _attached: Attached,
}

/// Returns whether the innermost span of the thread is one of `tracing`.
fn stands_in_tracing() -> bool {
    let innermost = ENTERED.try_with(|entered| entered.borrow().last().map(|one| one.context));
    innermost.is_ok_and(|context| context == Some(Context::current()))
}

fn change<S>(span: Option<&SpanRef<'_, S>>, change: impl FnOnce(&mut Recorded))
where
    S: for<'lookup> LookupSpan<'lookup>,
{
    if let Some(span) = span
        && let Some(recorded) = span.extensions_mut().get_mut::<Recorded>()
    {
        change(recorded);
    }
}

fn context_of<S>(span: &SpanRef<'_, S>) -> Option<Context>
where
    S: for<'lookup> LookupSpan<'lookup>,
{
    let extensions = span.extensions();
    extensions
        .get::<Recorded>()
        .map(|recorded| recorded.context)
}

impl<S> layer::Layer<S> for Recorder
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn on_new_span(&self, attributes: &NewSpan<'_>, id: &Id, ctx: layer::Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let metadata = attributes.metadata();
        let mut builder = spanlite::span(metadata.name());
        if let Some(parent) = attributes.parent() {
            let parent = ctx.span(parent);
            if let Some(context) = parent.and_then(|parent| context_of(&parent)) {
                builder = builder.parent(context);
            }
        } else if attributes.is_root() && stands_in_tracing() {
            builder = builder.root();
        }
        let mut started = builder.start_detached();
        let mut recorded = Recorded {
            context: started.context(),
            span: started,
            fields: has_meaning(metadata).then(Attributes::new),
            model_call: false,
        };
        recorded.read(|fields| attributes.record(fields));
        let made = Made {
            recorder: self.number,
            id: id.into_u64(),
            context: recorded.context,
        };
        span.extensions_mut().insert(recorded);
        // A thread that ends looks its spans up.
        MADE.try_with(|last| last.set(Some(made)))
            .unwrap_or_default();
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: layer::Context<'_, S>) {
        change(ctx.span(id).as_ref(), |recorded| {
            recorded.read(|fields| values.record(fields));
        });
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, ctx: layer::Context<'_, S>) {
        let followed = ctx.span(follows);
        let Some(to) = followed.and_then(|followed| context_of(&followed)) else {
            return;
        };
        change(ctx.span(id).as_ref(), |recorded| {
            let relation = [("tracing.relation", Value::from("follows_from"))];
            recorded.span.add_link(to, relation);
        });
    }

    fn on_event(&self, event: &Event<'_>, ctx: layer::Context<'_, S>) {
        let span = ctx.event_span(event);
        if span.is_none() {
            return;
        }
        let mut fields = EventFields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        change(span.as_ref(), |recorded| {
            if *metadata.level() == Level::ERROR
                && let Some((class, message, stacktrace)) = fields.exception()
            {
                recorded.span.record_exception(class, message, stacktrace);
                return;
            }
            let name = fields.message.as_deref();
            let name = name.unwrap_or_else(|| metadata.name());
            let level = ("level".to_owned(), Value::from(metadata.level().as_str()));
            let attributes = fields.attributes.into_iter().chain([level]);
            recorded.span.add_event(name, attributes);
        });
    }

    fn on_enter(&self, id: &Id, ctx: layer::Context<'_, S>) {
        let Some(context) = self.context(id, &ctx) else {
            return;
        };
        let entered = Entered {
            id: id.into_u64(),
            context,
            _attached: context.attach(),
        };
        ENTERED
            .try_with(|all| all.borrow_mut().push(entered))
            .unwrap_or_default();
    }

    fn on_exit(&self, id: &Id, _: layer::Context<'_, S>) {
        let left = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            let place = entered.iter().rposition(|one| one.id == id.into_u64())?;
            Some(entered.remove(place))
        });
        drop(left);
    }

    fn on_close(&self, id: Id, ctx: layer::Context<'_, S>) {
        let Some(span) = ctx.span(&id) else { return };
        let recorded = span.extensions_mut().remove::<Recorded>();
        if let Some(recorded) = recorded {
            recorded.end(span.name(), span.metadata().target());
        }
    }
}
