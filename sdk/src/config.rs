//! How the program's tracer is set up: in code, and by variables of the environment.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use spanlite_store::{Durability, OpenOptions, Overload};

use crate::redaction::Redaction;
use crate::span::VALUE_BYTES;
use crate::tracer::{OpenSpans, Rules, share_of};

/// Sets up tracing. What is set here counts; what is not set is taken from the environment, and
/// where that says nothing has the default that is named.
///
/// `SPANLITE_ENABLED=false` switches tracing off whatever the code says. A variable that cannot
/// be read is named on stderr, by the first `init` that meets one, and ignored.
#[derive(Debug, Clone, Default)]
#[must_use = "tracing begins with `init`"]
pub struct Builder {
    pub(crate) path: Option<PathBuf>,
    enabled: Option<bool>,
    durability: Option<Durability>,
    commit_interval: Option<Duration>,
    memory_limit_bytes: Option<usize>,
    overload: Option<Overload>,
    value_limit_bytes: Option<usize>,
    sampling: Option<f64>,
    keep_errors: Option<bool>,
    open_spans: Option<OpenSpans>,
    pub(crate) panic_hook: Option<bool>,
    redaction: Redaction,
    resource: Vec<(String, String)>,
}

const LONGEST_COMMIT_INTERVAL: Duration = Duration::from_secs(3_600);

/// Begins to set up tracing.
pub fn builder() -> Builder {
    Builder::default()
}

impl Builder {
    /// Where the store lies; it is made if it is not there. `SPANLITE_STORE`, else
    /// `traces.spans` in the working directory.
    pub fn path(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Whether anything is recorded. `SPANLITE_ENABLED`, else yes.
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = Some(enabled);
        self
    }

    /// What survives what. `SPANLITE_DURABILITY` (`journal`, `every_span`, `memory`), else
    /// [`Durability::Journal`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// The longest time until a span that ended is on disk, where a power cut leaves it: in the
    /// journal, from where it is committed to a segment after twenty intervals or 4 MiB; with
    /// [`Durability::Memory`] it is committed after one. `SPANLITE_COMMIT_INTERVAL_MS`, else
    /// 250 ms; at most an hour.
    pub fn commit_interval(mut self, interval: Duration) -> Self {
        self.commit_interval = Some(interval);
        self
    }

    /// How many bytes of spans may wait for a commit. `SPANLITE_MEMORY_LIMIT_BYTES`, else 64 MiB.
    pub fn memory_limit_bytes(mut self, bytes: usize) -> Self {
        self.memory_limit_bytes = Some(bytes);
        self
    }

    /// What happens to a span that does not fit into that memory. `SPANLITE_OVERLOAD` (`block`,
    /// `drop_newest`), else [`Overload::Block`].
    pub fn overload(mut self, overload: Overload) -> Self {
        self.overload = Some(overload);
        self
    }

    /// How many bytes one captured value may take; what is longer is cut, with a mark at the
    /// place and the attribute `spanlite.cut` on the span. `SPANLITE_VALUE_LIMIT_BYTES`, else
    /// 1 MiB; at most 64 MiB.
    ///
    /// A whole span has room for sixteen such values of attributes, events and links, and as much
    /// again for inputs, outputs and status, and never for less than 16 MiB or more than 128 MiB
    /// of each. Beyond 64 KiB it takes 10,000 more of a kind. What has no room is left out and
    /// counted in the span's dropped counts.
    pub fn value_limit_bytes(mut self, bytes: usize) -> Self {
        self.value_limit_bytes = Some(bytes);
        self
    }

    /// The share of traces to record, between 0 and 1, decided where a trace begins.
    /// `SPANLITE_SAMPLING`, else all.
    pub fn sampling(mut self, ratio: f64) -> Self {
        self.sampling = Some(ratio);
        self
    }

    /// Records traces that were not sampled if one of their spans fails in this process. Their
    /// spans are kept in memory meanwhile, 16 MiB in all. `SPANLITE_KEEP_ERRORS`, else no.
    pub fn keep_errors(mut self, keep: bool) -> Self {
        self.keep_errors = Some(keep);
        self
    }

    /// When spans that are open are made known. `SPANLITE_OPEN_SPANS` (`never`, `roots`, `all`),
    /// else [`OpenSpans::Roots`].
    pub fn open_spans(mut self, open_spans: OpenSpans) -> Self {
        self.open_spans = Some(open_spans);
        self
    }

    /// Whether the text and the place of panics are noted for the spans they go through, by a
    /// hook in front of the present one. Default: yes.
    pub fn panic_hook(mut self, hook: bool) -> Self {
        self.panic_hook = Some(hook);
        self
    }

    /// What must not be stored. `SPANLITE_REDACT_KEYS` and `SPANLITE_REDACT_PATTERNS` (parted by
    /// commas) are added to it.
    pub fn redaction(mut self, redaction: Redaction) -> Self {
        self.redaction = redaction;
        self
    }

    /// The name of the service. `SPANLITE_SERVICE_NAME`, else the name of the executable.
    pub fn service_name(self, name: impl Into<String>) -> Self {
        self.resource(spanlite_model::keys::SERVICE_NAME, name)
    }

    /// Adds an attribute of what produces the spans. `SPANLITE_RESOURCE` (`key=value`, parted by
    /// commas) gives those that are not set here.
    pub fn resource(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let key = key.into();
        self.resource.retain(|(known, _)| *known != key);
        self.resource.push((key, value.into()));
        self
    }

    /// Fills what is not set from the environment, and gives what could not be read.
    /// An empty variable says nothing.
    pub(crate) fn fill(&mut self, variable: impl Fn(&str) -> Option<OsString>) -> Vec<BadVariable> {
        let mut bad = Vec::new();
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        // A path need not be UTF-8.
        let store = || variable("SPANLITE_STORE").map(PathBuf::from);
        self.path = self.path.take().or_else(store);
        let mut source = Variables {
            variable: &variable,
            bad: &mut bad,
        };
        match source.read("SPANLITE_ENABLED", switch) {
            Some(false) => self.enabled = Some(false),
            other => self.enabled = self.enabled.or(other),
        }
        source.fill(
            &mut self.durability,
            "SPANLITE_DURABILITY",
            |text| match text {
                "journal" => Some(Durability::Journal),
                "every_span" => Some(Durability::EverySpan),
                "memory" => Some(Durability::Memory),
                _ => None,
            },
        );
        source.fill(
            &mut self.commit_interval,
            "SPANLITE_COMMIT_INTERVAL_MS",
            |text| text.parse().ok().map(Duration::from_millis),
        );
        source.fill(
            &mut self.memory_limit_bytes,
            "SPANLITE_MEMORY_LIMIT_BYTES",
            number,
        );
        source.fill(&mut self.overload, "SPANLITE_OVERLOAD", |text| match text {
            "block" => Some(Overload::Block),
            "drop_newest" => Some(Overload::DropNewest),
            _ => None,
        });
        source.fill(
            &mut self.value_limit_bytes,
            "SPANLITE_VALUE_LIMIT_BYTES",
            number,
        );
        source.fill(&mut self.sampling, "SPANLITE_SAMPLING", |text| {
            number(text).filter(|ratio| (0.0..=1.0).contains(ratio))
        });
        source.fill(&mut self.keep_errors, "SPANLITE_KEEP_ERRORS", switch);
        source.fill(
            &mut self.open_spans,
            "SPANLITE_OPEN_SPANS",
            |text| match text {
                "never" => Some(OpenSpans::Never),
                "roots" => Some(OpenSpans::Roots),
                "all" => Some(OpenSpans::All),
                _ => None,
            },
        );
        for key in parts(&source.list("SPANLITE_REDACT_KEYS")) {
            self.redaction = std::mem::take(&mut self.redaction).key(key);
        }
        for pattern in parts(&source.list("SPANLITE_REDACT_PATTERNS")) {
            self.redaction = std::mem::take(&mut self.redaction).pattern(pattern);
        }
        let service = source.text("SPANLITE_SERVICE_NAME");
        let service = service.map(|name| format!("{}={name}", spanlite_model::keys::SERVICE_NAME));
        let resource = source.list("SPANLITE_RESOURCE");
        for pair in parts(&resource).chain(service.as_deref()) {
            match pair.split_once('=') {
                Some((key, value)) if self.resource.iter().all(|(known, _)| known != key) => {
                    self.resource.push((key.to_owned(), value.to_owned()));
                }
                Some(_) => {}
                None => bad.push(BadVariable {
                    name: "SPANLITE_RESOURCE",
                    value: pair.to_owned(),
                }),
            }
        }
        bad
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled.unwrap_or(true)
    }

    pub(crate) fn rules(&self) -> Rules {
        let defaults = Rules::default();
        let redaction = self.redaction.clone();
        Rules {
            sampled: self.sampling.map_or(u64::MAX, share_of),
            keep_errors: self.keep_errors.unwrap_or(defaults.keep_errors),
            value_limit_bytes: self
                .value_limit_bytes
                .map_or(defaults.value_limit_bytes, |bytes| bytes.min(VALUE_BYTES)),
            open_spans: self.open_spans.unwrap_or_default(),
            redact: (!redaction.is_empty()).then(|| std::sync::Arc::new(redaction) as _),
        }
    }

    pub(crate) fn open_options(&self) -> OpenOptions {
        let mut options = OpenOptions::default();
        if let Some(durability) = self.durability {
            options.durability = durability;
        }
        if let Some(interval) = self.commit_interval {
            // The store reckons with multiples of it.
            options.commit_interval = interval.min(LONGEST_COMMIT_INTERVAL);
        }
        if let Some(bytes) = self.memory_limit_bytes {
            options.memory_limit_bytes = bytes;
        }
        if let Some(overload) = self.overload {
            options.overload = overload;
        }
        let resource = &mut options.resource.attributes;
        if let Some(name) = executable_name() {
            resource.set(spanlite_model::keys::SERVICE_NAME, name);
        }
        resource.set("telemetry.sdk.name", "spanlite");
        resource.set("telemetry.sdk.language", "rust");
        resource.set("telemetry.sdk.version", env!("CARGO_PKG_VERSION"));
        resource.set("process.pid", i64::from(std::process::id()));
        for (key, value) in &self.resource {
            resource.set(key.as_str(), value.as_str());
        }
        "spanlite".clone_into(&mut options.scope.name);
        env!("CARGO_PKG_VERSION").clone_into(&mut options.scope.version);
        options
    }
}

/// A variable of the environment that says nothing sensible.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadVariable {
    pub(crate) name: &'static str,
    pub(crate) value: String,
}

impl fmt::Display for BadVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.escape_debug();
        write!(f, "`{value}` cannot be read from {}", self.name)
    }
}

struct Variables<'a> {
    variable: &'a dyn Fn(&str) -> Option<OsString>,
    bad: &'a mut Vec<BadVariable>,
}

impl Variables<'_> {
    fn text(&mut self, name: &'static str) -> Option<String> {
        let read = (self.variable)(name)?.into_string();
        read.map_err(|value| {
            let value = value.to_string_lossy().into_owned();
            self.bad.push(BadVariable { name, value });
        })
        .ok()
    }

    fn list(&mut self, name: &'static str) -> String {
        self.text(name).unwrap_or_default()
    }

    fn read<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let value = self.text(name)?;
        let parsed = parse(value.trim());
        if parsed.is_none() {
            self.bad.push(BadVariable { name, value });
        }
        parsed
    }

    fn fill<T>(
        &mut self,
        slot: &mut Option<T>,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) {
        if slot.is_none() {
            *slot = self.read(name, parse);
        }
    }
}

fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "on" | "yes" => Some(true),
        "0" | "false" | "off" | "no" => Some(false),
        _ => None,
    }
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn parts(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

fn executable_name() -> Option<String> {
    let path = std::env::current_exe().ok()?;
    Some(path.file_stem()?.to_string_lossy().into_owned())
}

/// A variable of the environment, if it is there.
pub(crate) fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(builder: &mut Builder, variables: &[(&str, &str)]) -> Vec<BadVariable> {
        builder.fill(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_environment_fills_what_the_code_leaves_open() {
        let mut builder = builder().overload(Overload::Block).resource("team", "code");
        let bad = filled(
            &mut builder,
            &[
                ("SPANLITE_STORE", "x.spans"),
                ("SPANLITE_OVERLOAD", "drop_newest"),
                ("SPANLITE_DURABILITY", "memory"),
                ("SPANLITE_COMMIT_INTERVAL_MS", "40"),
                ("SPANLITE_SAMPLING", "0.5"),
                ("SPANLITE_RESOURCE", "team=env, region=eu"),
                ("SPANLITE_SERVICE_NAME", "bot"),
                ("SPANLITE_REDACT_KEYS", "password, token"),
            ],
        );
        assert_eq!(bad, []);
        assert_eq!(builder.path, Some(PathBuf::from("x.spans")));
        let options = builder.open_options();
        assert_eq!(options.overload, Overload::Block);
        assert_eq!(options.durability, Durability::Memory);
        assert_eq!(options.commit_interval, Duration::from_millis(40));
        let resource = options.resource.attributes;
        assert_eq!(resource.get_str("team"), Some("code"));
        assert_eq!(resource.get_str("region"), Some("eu"));
        assert_eq!(resource.get_str("service.name"), Some("bot"));
        let rules = builder.rules();
        assert_eq!(rules.sampled, 1 << 63);
        assert!(rules.redact.is_some_and(|redact| redact.hides_key("token")));
    }

    #[test]
    fn a_variable_that_says_nothing_sensible_is_named() {
        let mut builder = builder();
        let bad = filled(
            &mut builder,
            &[("SPANLITE_SAMPLING", "1.5"), ("SPANLITE_OVERLOAD", "")],
        );
        assert_eq!(
            bad,
            [BadVariable {
                name: "SPANLITE_SAMPLING",
                value: "1.5".to_owned()
            }]
        );
        assert_eq!(builder.rules().sampled, u64::MAX);
    }

    #[test]
    fn an_empty_variable_says_nothing() {
        let mut builder = builder();
        let names = [
            "SPANLITE_STORE",
            "SPANLITE_SERVICE_NAME",
            "SPANLITE_RESOURCE",
        ];
        let bad = filled(&mut builder, &names.map(|name| (name, "")));
        assert_eq!(
            (bad, builder.path, builder.resource),
            (vec![], None, vec![])
        );
    }

    #[test]
    #[cfg(unix)]
    fn a_path_need_not_be_utf8_but_everything_else_must() {
        use std::os::unix::ffi::OsStringExt as _;

        let mut builder = builder();
        let strange = OsString::from_vec(b"x\xff".to_vec());
        let names = [
            "SPANLITE_STORE",
            "SPANLITE_REDACT_KEYS",
            "SPANLITE_OVERLOAD",
        ];
        let bad = builder.fill(|name| names.contains(&name).then(|| strange.clone()));
        assert_eq!(builder.path, Some(PathBuf::from(strange)));
        let bad: Vec<_> = bad.into_iter().map(|bad| (bad.name, bad.value)).collect();
        let value = "x\u{fffd}".to_owned();
        assert_eq!(bad, [(names[2], value.clone()), (names[1], value)]);
    }

    #[test]
    fn the_environment_can_switch_tracing_off_but_not_on() {
        let mut on = builder().enabled(true);
        filled(&mut on, &[("SPANLITE_ENABLED", "off")]);
        assert!(!on.is_enabled());
        let mut off = builder().enabled(false);
        filled(&mut off, &[("SPANLITE_ENABLED", "1")]);
        assert!(!off.is_enabled());
    }

    #[test]
    fn the_guide_names_every_variable() {
        let source = include_str!("config.rs").split("#[cfg(test)]").next();
        let quoted = source.unwrap().split('"').skip(1).step_by(2);
        let names: Vec<&str> = quoted
            .filter(|text| text.starts_with("SPANLITE_"))
            .collect();
        assert!(names.len() > 10, "{names:?}");
        let guide = include_str!("../GUIDE.md");
        for name in names {
            assert!(guide.contains(&format!("`{name}`")), "{name}");
        }
    }
}
