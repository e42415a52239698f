//! Spans of the `tracing` crate.

mod fields;
mod meaning;
mod recorder;
mod targets;

pub use recorder::Recorder;
pub use targets::Targets;
use tracing_subscriber::filter::Filtered;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Why [`install`] could not take effect.
#[derive(Debug)]
pub struct InstallError {
    source: tracing_subscriber::util::TryInitError,
}

impl std::fmt::Display for InstallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the program has a `tracing` subscriber already; add `layer()` to it")
    }
}

impl std::error::Error for InstallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Records spans of model libraries from here on, in a program that uses `tracing` for nothing
/// else. A program that has a subscriber adds [`layer`] to it instead.
///
/// Spans go where [`spanlite::init`] says, and nowhere before that.
pub fn install() -> Result<(), InstallError> {
    tracing_subscriber::registry()
        .with(layer())
        .try_init()
        .map_err(|source| InstallError { source })
}

/// A layer that records spans of model libraries, and leaves all others alone.
///
/// ```
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// let subscriber = tracing_subscriber::registry().with(spanlite_auto::layer());
/// # drop(subscriber);
/// ```
pub fn layer<S>() -> Filtered<Recorder, Targets, S>
where
    S: ::tracing::Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    layer_for(Targets::models())
}

/// A layer that records spans of these targets.
pub fn layer_for<S>(targets: Targets) -> Filtered<Recorder, Targets, S>
where
    S: ::tracing::Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    Recorder::new().with_filter(targets)
}
