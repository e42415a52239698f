//! Defaults for the traces that begin in a part of the program: session, user, tags, metadata.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spanlite_model::{TraceChange, TraceUpdate};
use spanlite_store::record::{Origin, Record, encode_record};

use crate::context::{Attached, Context, SILENT};
use crate::future::InContext;

/// What traces get that begin inside of it. Scopes nest: an inner one adds to the outer.
///
/// ```
/// let _scope = spanlite::scope().session("s-1").user("ada").tag("env", "test").enter();
/// spanlite::in_span("answer", |_| ());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "a scope does nothing until it is entered"]
pub struct ScopeBuilder {
    defaults: Defaults,
    off: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Defaults {
    session: Option<String>,
    user: Option<String>,
    tags: BTreeMap<String, String>,
    metadata: BTreeMap<String, String>,
    carried: Carried,
}

/// Keys of the baggage that name the session and the user, as OpenTelemetry names them.
const SESSION: &str = "session.id";
const USER: &str = "user.id";

/// What goes along to other processes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    pub(crate) tracestate: Option<String>,
    pub(crate) baggage: BTreeMap<String, String>,
}

/// What goes along with the contexts of a scope.
pub(crate) fn carried(scope: u32) -> Option<Carried> {
    scopes().get(scope).map(|defaults| defaults.carried.clone())
}

impl Context {
    /// The context with what came along with it.
    pub(crate) fn with_carried(
        mut self,
        tracestate: Option<String>,
        baggage: BTreeMap<String, String>,
    ) -> Self {
        let carried = Carried {
            tracestate,
            baggage,
        };
        if carried != Carried::default() {
            let defaults = Defaults {
                carried,
                ..Defaults::default()
            };
            self = self.with_scope(scopes().add(self.scope(), defaults));
        }
        self
    }
}

/// Begins a scope.
pub fn scope() -> ScopeBuilder {
    ScopeBuilder::default()
}

impl ScopeBuilder {
    /// Puts the traces into a session.
    pub fn session(mut self, session: impl Into<String>) -> Self {
        self.defaults.session = Some(session.into());
        self
    }

    /// Says whose traces they are.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.defaults.user = Some(user.into());
        self
    }

    /// Sets a tag.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.defaults.tags.insert(key.into(), value.into());
        self
    }

    /// Sets an entry of the metadata.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.defaults.metadata.insert(key.into(), value.into());
        self
    }

    /// Sets an entry of the baggage, which [`inject`](crate::inject) sends along to others.
    ///
    /// `session.id` and `user.id`, set here or [extracted](crate::extract) from what a caller
    /// sent, are the session and the user of traces that begin inside, unless the same scope
    /// names others. [`session`](Self::session) and [`user`](Self::user) are not sent.
    pub fn baggage(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.defaults
            .carried
            .baggage
            .insert(key.into(), value.into());
        self
    }

    /// Records nothing inside if false.
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.off = !enabled;
        self
    }

    /// The calling code's place with these defaults; for threads and tasks.
    pub fn context(self) -> Context {
        let mut context = Context::current();
        if self.off {
            context = context.with(SILENT);
        }
        if self.defaults != Defaults::default() {
            context = context.with_scope(scopes().add(context.scope(), self.defaults));
        }
        context
    }

    /// Enters it until the guard is dropped.
    pub fn enter(self) -> Attached {
        self.context().attach()
    }

    /// Runs a closure inside of it.
    pub fn run<R>(self, closure: impl FnOnce() -> R) -> R {
        self.context().run(closure)
    }

    /// Runs a future inside of it.
    pub fn run_async<F: Future>(self, future: F) -> InContext<F> {
        crate::InSpanExt::in_context(future, self.context())
    }
}

/// How many different scopes are kept. Contexts name them by number; a context that lives while
/// this many others are entered loses its defaults.
const KEPT: usize = 4_096;

/// The scopes that were entered last. Number 0 is no scope.
struct Scopes {
    first: u32,
    kept: VecDeque<Arc<Defaults>>,
}

static SCOPES: Mutex<Scopes> = Mutex::new(Scopes {
    first: 1,
    kept: VecDeque::new(),
});

fn scopes() -> MutexGuard<'static, Scopes> {
    SCOPES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scopes {
    fn get(&self, number: u32) -> Option<&Arc<Defaults>> {
        let index = number.checked_sub(self.first)?;
        self.kept.get(usize::try_from(index).ok()?)
    }

    /// Adds to the defaults of `outer`, and numbers the result.
    fn add(&mut self, outer: u32, inner: Defaults) -> u32 {
        let mut defaults = self
            .get(outer)
            .map_or_else(Defaults::default, |outer| (**outer).clone());
        let (session_named, user_named) = (inner.session.is_some(), inner.user.is_some());
        defaults.session = inner.session.or(defaults.session);
        defaults.user = inner.user.or(defaults.user);
        defaults.tags.extend(inner.tags);
        defaults.metadata.extend(inner.metadata);
        let carried = &mut defaults.carried;
        carried.tracestate = inner
            .carried
            .tracestate
            .or_else(|| carried.tracestate.take());
        if !session_named && let Some(session) = inner.carried.baggage.get(SESSION) {
            defaults.session = Some(session.clone());
        }
        if !user_named && let Some(user) = inner.carried.baggage.get(USER) {
            defaults.user = Some(user.clone());
        }
        carried.baggage.extend(inner.carried.baggage);
        let known = self
            .kept
            .iter()
            .rev()
            .take(16)
            .position(|kept| **kept == defaults);
        let index = known.map_or(self.kept.len(), |back| self.kept.len() - 1 - back);
        if index == self.kept.len() {
            self.kept.push_back(Arc::new(defaults));
        }
        let number = self.first.wrapping_add(index as u32);
        if self.kept.len() > KEPT {
            self.kept.pop_front();
            self.first = self.first.wrapping_add(1);
        }
        number
    }
}

/// The changes that a scope makes to a trace that begins in it, as records.
pub(crate) fn updates(scope: u32, context: &Context, unix_nanos: u64) -> Vec<Vec<u8>> {
    let Some(defaults) = scopes().get(scope).cloned() else {
        return Vec::new();
    };
    let tags = defaults.tags.iter().map(|(key, value)| TraceChange::Tag {
        key: key.clone(),
        value: value.clone(),
    });
    let metadata = defaults
        .metadata
        .iter()
        .map(|(key, value)| TraceChange::Metadata {
            key: key.clone(),
            value: value.clone(),
        });
    let session = defaults.session.clone().map(TraceChange::Session);
    let user = defaults.user.clone().map(TraceChange::User);
    let changes = session.into_iter().chain(user).chain(tags).chain(metadata);
    changes
        .map(|change| {
            let mut bytes = Vec::new();
            let update = TraceUpdate {
                trace_id: context.trace_id,
                time_unix_nano: unix_nanos,
                change,
            };
            encode_record(&Record::Update(update), &Origin::default(), &mut bytes);
            bytes
        })
        .collect()
}
