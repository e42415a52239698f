use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use supports_hyperlinks::Stream;

use super::DEFAULT_WIDTH;
use crate::error::CliError;

/// What the process is surrounded by.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    pub(super) vars: BTreeMap<&'static str, OsString>,
    pub(super) current_dir: PathBuf,
    pub(super) stdout_terminal_width: Option<usize>,
    pub(super) stderr_is_terminal: bool,
    pub(super) stdin_is_terminal: bool,
    /// Whether the terminal behind stdout, and that behind stderr, has links.
    pub(super) has_hyperlinks: (bool, bool),
    pub(super) now_unix_nano: u64,
}

/// The present, in Unix nanoseconds.
pub(crate) fn now_unix_nano() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_nanos() as u64)
}

/// The variables that mean something.
const VARS: [&str; 23] = [
    "SPANLITE_STORE",
    "SPANLITE_TOKEN",
    "SPANLITE_COLOR",
    "SPANLITE_HYPERLINKS",
    "SPANLITE_TRACE_URL",
    "SPANLITE_NOW",
    "SPANLITE_PAGER",
    "SPANLITE_UTC",
    "PAGER",
    "NO_COLOR",
    "CLICOLOR_FORCE",
    "TERM",
    "BROWSER",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "COLUMNS",
    "LC_ALL",
    "LC_CTYPE",
    "LANG",
    "HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
];

impl Environment {
    /// That of this process.
    pub(crate) fn of_process() -> Self {
        let vars = VARS
            .into_iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let stdout_is_terminal = std::io::stdout().is_terminal();
        let size = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        let has_hyperlinks =
            |stream, is_terminal: bool| is_terminal && supports_hyperlinks::on(stream);
        let stderr_is_terminal = std::io::stderr().is_terminal();
        Self {
            vars,
            current_dir: std::env::current_dir().unwrap_or_default(),
            stdout_terminal_width: stdout_is_terminal.then(|| size.unwrap_or(DEFAULT_WIDTH)),
            stderr_is_terminal,
            has_hyperlinks: (
                has_hyperlinks(Stream::Stdout, stdout_is_terminal),
                has_hyperlinks(Stream::Stderr, stderr_is_terminal),
            ),
            stdin_is_terminal: std::io::stdin().is_terminal(),
            now_unix_nano: now_unix_nano(),
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.vars.get(name)?.to_str()
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.vars.get(name).map(PathBuf::from)
    }

    /// A folder of the XDG specification, or its default below the home directory.
    pub(super) fn xdg(&self, name: &str, below_home: &str) -> Option<PathBuf> {
        let set = self.path(name).filter(|path| path.is_absolute());
        set.or_else(|| Some(self.path("HOME")?.join(below_home)))
    }

    /// When the command began. A variable may say otherwise, so that what is printed can be printed
    /// again.
    pub(super) fn now(&self) -> Result<u64, CliError> {
        let Some(text) = self.text("SPANLITE_NOW") else {
            return Ok(self.now_unix_nano);
        };
        let time = chrono::DateTime::parse_from_rfc3339(text).ok();
        let nanos = time.and_then(|time| u64::try_from(time.timestamp_nanos_opt()?).ok());
        nanos.ok_or(CliError::Variable {
            name: "SPANLITE_NOW",
            expected: "a time such as 2026-10-05T12:00:00Z",
        })
    }

    /// Whether the locale writes UTF-8. A machine that names no locale is taken to.
    pub(super) fn locale_is_utf8(&self) -> bool {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(|name| self.text(name));
        locale.is_none_or(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        })
    }
}
