//! Defaults for the traces that begin in a part of the program: session, user, tags, metadata.

use std::collections::BTreeMap;
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
    ///
    /// The defaults stay while a guard of [`enter`](Self::enter) or [`Context::attach`], or a
    /// future of this place, is there. Where it is only kept or carried in a closure, they stay
    /// until 4,096 other scopes were used since it was.
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
        let _entered = self.enter();
        closure()
    }

    /// Runs a future inside of it.
    pub fn run_async<F: Future>(self, future: F) -> InContext<F> {
        crate::InSpanExt::in_context(future, self.context())
    }
}

/// How many scopes are kept that nobody is known to hold. Contexts name them by number, are
/// copied freely and cannot be counted: one that was carried to a thread by a closure loses its
/// defaults when this many other scopes are used while it is not.
const KEPT: usize = 4_096;

struct Kept {
    defaults: Arc<Defaults>,
    /// Guards and futures that are inside.
    held: usize,
    /// When it was used last, counted in uses.
    used: u64,
}

/// The scopes by number, and of those that nobody holds the ones that were used last. Number 0 is
/// no scope.
struct Scopes {
    last: u32,
    uses: u64,
    kept: BTreeMap<u32, Kept>,
    /// Those of `kept` that nobody holds.
    unheld: usize,
}

static SCOPES: Mutex<Scopes> = Mutex::new(Scopes::new());

fn scopes() -> MutexGuard<'static, Scopes> {
    SCOPES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a scope from being forgotten.
#[derive(Debug)]
pub(crate) struct Hold(u32);

impl Hold {
    pub(crate) const NONE: Self = Self(0);

    #[inline]
    pub(crate) fn new(scope: u32) -> Self {
        if scope != 0 {
            scopes().hold(scope);
        }
        Self(scope)
    }
}

impl Drop for Hold {
    #[inline]
    fn drop(&mut self) {
        if self.0 != 0 {
            scopes().release(self.0);
        }
    }
}

impl Scopes {
    const fn new() -> Self {
        Self {
            last: 0,
            uses: 0,
            kept: BTreeMap::new(),
            unheld: 0,
        }
    }

    fn get(&mut self, number: u32) -> Option<&Arc<Defaults>> {
        let kept = self.kept.get_mut(&number)?;
        self.uses += 1;
        kept.used = self.uses;
        Some(&kept.defaults)
    }

    fn hold(&mut self, number: u32) {
        if let Some(kept) = self.kept.get_mut(&number) {
            self.unheld -= usize::from(kept.held == 0);
            kept.held += 1;
        }
    }

    fn release(&mut self, number: u32) {
        self.uses += 1;
        if let Some(kept) = self.kept.get_mut(&number) {
            // One that was forgotten, when all numbers were used up, is nobody's.
            kept.held = kept.held.saturating_sub(1);
            kept.used = self.uses;
            self.unheld += usize::from(kept.held == 0);
        }
    }

    /// Keeps defaults under a new number.
    fn keep(&mut self, defaults: Defaults) -> u32 {
        if self.unheld >= 2 * KEPT {
            self.forget();
        }
        loop {
            self.last = self.last.wrapping_add(1);
            if self.last != 0 && !self.kept.contains_key(&self.last) {
                break;
            }
        }
        self.uses += 1;
        let kept = Kept {
            defaults: Arc::new(defaults),
            held: 0,
            used: self.uses,
        };
        self.kept.insert(self.last, kept);
        self.unheld += 1;
        self.last
    }

    /// Forgets half of what nobody holds: what was not used for longest.
    #[cold]
    fn forget(&mut self) {
        let unheld = self.kept.values().filter(|kept| kept.held == 0);
        let mut used: Vec<u64> = unheld.map(|kept| kept.used).collect();
        let middle = used.len() / 2;
        if middle > 0 {
            let (_, &mut oldest, _) = used.select_nth_unstable(middle);
            self.kept
                .retain(|_, kept| kept.held > 0 || kept.used >= oldest);
        }
        self.unheld = self.kept.values().filter(|kept| kept.held == 0).count();
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
        let mut latest = self.kept.iter().rev().take(16);
        let known = latest.find(|(_, kept)| *kept.defaults == defaults);
        match known.map(|(number, _)| *number) {
            Some(number) => {
                self.get(number);
                number
            }
            None => self.keep(defaults),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: usize) -> Defaults {
        Defaults {
            user: Some(number.to_string()),
            ..Defaults::default()
        }
    }

    #[test]
    fn a_scope_stays_while_it_is_held_or_used() {
        let mut scopes = Scopes::new();
        let [held, used, forgotten] = [0, 1, 2].map(|number| scopes.add(0, user(number)));
        scopes.hold(held);
        for number in 3..3 * KEPT {
            scopes.add(used, user(number));
            assert!(scopes.kept.len() <= 2 * KEPT + 1);
            assert_eq!(
                scopes.unheld,
                scopes.kept.len() - 1,
                "all but one are nobody's"
            );
        }
        let name = |scopes: &mut Scopes, number| Some(scopes.get(number)?.user.clone().unwrap());
        assert_eq!(name(&mut scopes, held).as_deref(), Some("0"));
        assert_eq!(name(&mut scopes, used).as_deref(), Some("1"));
        assert_eq!(name(&mut scopes, forgotten), None);
        scopes.release(held);
        for number in 0..4 * KEPT {
            scopes.add(0, user(3 * KEPT + number));
        }
        assert_eq!(name(&mut scopes, held), None);
    }

    #[test]
    fn numbers_that_are_taken_are_passed_over() {
        let mut scopes = Scopes::new();
        let first = scopes.add(0, user(0));
        scopes.last = u32::MAX;
        let second = scopes.add(0, user(1));
        assert_eq!((first, second), (1, 2));
    }
}
