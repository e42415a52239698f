use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

use super::meaning;

/// Which spans are recorded. It is decided once a call site, so that others cost nothing.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    all: bool,
    prefixes: Vec<Box<str>>,
}

/// Targets of model libraries, as their crates name them.
const LIBRARIES: &[&str] = &["rig", "genai", "langchain_rust", "swiftide"];

impl Targets {
    /// Spans of model libraries, known by their target, or by a field of the GenAI conventions,
    /// `OpenInference` or Langfuse.
    pub fn models() -> Self {
        Self::default()
    }

    /// Every span and event there is.
    pub fn all() -> Self {
        Self {
            all: true,
            prefixes: Vec::new(),
        }
    }

    /// Spans and events of this target and those below it as well.
    #[must_use]
    pub fn with(mut self, target: &str) -> Self {
        self.prefixes.push(target.into());
        self
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        let within = |prefix: &str| {
            let rest = target.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        self.all
            || LIBRARIES.iter().any(|library| within(library))
            || self.prefixes.iter().any(|prefix| within(prefix))
            || meaning::speaks_a_dialect(metadata)
    }
}

impl<S: Subscriber> Filter<S> for Targets {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }
}
