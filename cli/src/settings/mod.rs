//! The arguments as they are meant: after the environment, the configuration files and the
//! terminal were asked. The only place that reads any of them.

mod environment;

use std::path::{Path, PathBuf};

use crate::args::{Format, GlobalArgs, When};
use crate::config::{self, ConfigFile};
use crate::error::CliError;
use crate::render::{Hyperlinks, Look, Zone};
pub(crate) use environment::{Environment, now_unix_nano};

/// Columns where nothing tells how many there are.
const DEFAULT_WIDTH: usize = 100;
/// Narrower is not drawn.
const MIN_WIDTH: usize = 40;
const DEFAULT_PAGER: &str = "less -FRX";

/// Where the value of a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A flag of the command line.
    Flag,
    /// A variable of the environment.
    Variable(&'static str),
    /// A configuration file.
    File(PathBuf),
    /// Nobody said.
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag => f.write_str("command line"),
            Self::Variable(name) => write!(f, "environment, {name}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

impl<T> Setting<T> {
    fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }
}

/// Everything settled.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The folder of the store.
    pub(crate) store: Setting<PathBuf>,
    /// Where a store was looked for, for the message when there is none.
    pub(crate) looked_at: Vec<String>,
    /// The form of output that was asked for.
    pub(crate) format: Option<Format>,
    pub(crate) color: Setting<When>,
    pub(crate) hyperlinks: Setting<When>,
    /// Where a trace is seen in a browser; empty for nowhere.
    pub(crate) trace_url: Setting<String>,
    pub(crate) utc: Setting<bool>,
    /// The pager command; empty for none.
    pub(crate) pager: Setting<String>,
    /// Configuration files that could not be read.
    pub(crate) config_warnings: Vec<String>,
    /// Where what is remembered between runs lies.
    pub(crate) state_home: Option<PathBuf>,
    /// Commands that open a page, the first that starts is taken.
    pub(crate) openers: Vec<String>,
    pub(crate) current_dir: PathBuf,
    /// How output for people looks.
    pub(crate) look: Look,
    /// How what is said on stderr looks.
    pub(crate) stderr_look: Look,
    pub(crate) stdout_is_terminal: bool,
    pub(crate) stderr_is_terminal: bool,
    pub(crate) stdin_is_terminal: bool,
    pub(crate) read_only: bool,
    pub(crate) quiet: bool,
    /// The token that senders to `receive` and `proxy` must know.
    #[cfg(feature = "server")]
    pub(crate) token: Option<String>,
    /// When the command began.
    pub(crate) now_unix_nano: u64,
}

impl Settings {
    /// Applies flags over environment over files over defaults.
    pub(crate) fn settle(
        args: &GlobalArgs,
        environment: &Environment,
        lenient: bool,
    ) -> Result<Self, CliError> {
        let config_home = environment.xdg("XDG_CONFIG_HOME", ".config");
        let (files, config_warnings) =
            config::load(&environment.current_dir, config_home.as_deref(), lenient)?;
        let (store, looked_at) = store(args, environment, &files)?;
        let color = when(
            args.color,
            ("SPANLITE_COLOR", environment),
            first(&files, |file| file.color),
        )?;
        let hyperlinks = when(
            args.hyperlinks,
            ("SPANLITE_HYPERLINKS", environment),
            first(&files, |file| file.hyperlinks),
        )?;
        let trace_url = trace_url(environment, &files);
        let utc = utc(args.utc, environment, &files)?;
        let stdout_is_terminal = environment.stdout_terminal_width.is_some();
        let width = args
            .width
            .or(environment.stdout_terminal_width)
            .or_else(|| environment.text("COLUMNS")?.parse().ok())
            .unwrap_or(DEFAULT_WIDTH);
        let links = |has_hyperlinks| {
            uses_hyperlinks(hyperlinks.value, has_hyperlinks, environment).then(|| Hyperlinks {
                trace_url: trace_url.value.clone(),
                current_dir: environment.current_dir.clone(),
            })
        };
        let look = Look {
            width: width.max(MIN_WIDTH),
            color: uses_color(color.value, stdout_is_terminal, environment),
            hyperlinks: links(environment.has_hyperlinks.0),
            ascii: args.ascii || !environment.locale_is_utf8(),
            zone: if utc.value { Zone::Utc } else { Zone::Local },
        };
        let stderr_look = Look {
            color: uses_color(color.value, environment.stderr_is_terminal, environment),
            hyperlinks: links(environment.has_hyperlinks.1),
            ..look
        };
        Ok(Self {
            store,
            looked_at,
            format: if args.json {
                Some(Format::Json)
            } else {
                args.format
            },
            pager: pager(args, environment, &files),
            config_warnings,
            state_home: environment.xdg("XDG_STATE_HOME", ".local/state"),
            openers: openers(environment),
            current_dir: environment.current_dir.clone(),
            look,
            stderr_look,
            color,
            hyperlinks,
            trace_url,
            utc,
            stdout_is_terminal,
            stderr_is_terminal: environment.stderr_is_terminal,
            stdin_is_terminal: environment.stdin_is_terminal,
            read_only: args.read_only,
            quiet: args.quiet,
            #[cfg(feature = "server")]
            token: environment.text("SPANLITE_TOKEN").map(str::to_owned),
            now_unix_nano: environment.now()?,
        })
    }
}

/// The value of the nearest file that has one.
fn first<T>(
    files: &[ConfigFile],
    value: impl Fn(&config::Values) -> Option<T>,
) -> Option<(T, Origin)> {
    files.iter().find_map(|file| {
        let value = value(&file.values)?;
        Some((value, Origin::File(file.path.clone())))
    })
}

fn store(
    args: &GlobalArgs,
    environment: &Environment,
    files: &[ConfigFile],
) -> Result<(Setting<PathBuf>, Vec<String>), CliError> {
    if let Some(path) = &args.store {
        return Ok((
            Setting::new(path.clone(), Origin::Flag),
            vec!["--store".to_owned()],
        ));
    }
    if let Some(path) = environment.path("SPANLITE_STORE") {
        let setting = Setting::new(path, Origin::Variable("SPANLITE_STORE"));
        return Ok((setting, vec!["SPANLITE_STORE".to_owned()]));
    }
    let in_file = files.iter().find_map(|file| {
        let path = file.values.store.as_ref()?;
        // A path in a file is meant from where the file stands.
        let path = file
            .path
            .parent()
            .map_or_else(|| path.clone(), |parent| parent.join(path));
        Some(Setting::new(path, Origin::File(file.path.clone())))
    });
    if let Some(setting) = in_file {
        let looked_at = vec![setting.origin.to_string()];
        return Ok((setting, looked_at));
    }
    let near = PathBuf::from("traces.spans");
    let home = environment
        .xdg("XDG_DATA_HOME", ".local/share")
        .map(|data| data.join("spanlite/default.spans"));
    let mut looked_at = vec![
        "--store".to_owned(),
        "SPANLITE_STORE".to_owned(),
        "./traces.spans".to_owned(),
    ];
    looked_at.extend(home.iter().map(|path| path.display().to_string()));
    let is_there = |path: &Path| {
        path.try_exists().map_err(|source| CliError::Input {
            path: path.to_owned(),
            source,
        })
    };
    let chosen = match home {
        Some(home) if !is_there(&environment.current_dir.join(&near))? && is_there(&home)? => home,
        _ => near,
    };
    Ok((Setting::new(chosen, Origin::Default), looked_at))
}

/// What opens a page here: what `BROWSER` names, else what the platform has, where there is a
/// screen to open it on.
fn openers(environment: &Environment) -> Vec<String> {
    if let Some(browsers) = environment.text("BROWSER") {
        return browsers.split(':').map(ToOwned::to_owned).collect();
    }
    let has_screen = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| environment.vars.contains_key(name));
    if cfg!(target_os = "macos") {
        vec!["open".to_owned()]
    } else if cfg!(windows) {
        vec!["explorer".to_owned()]
    } else if has_screen {
        vec!["xdg-open".to_owned()]
    } else {
        Vec::new()
    }
}

/// What a flag says, else a variable, else a file.
fn when(
    flag: Option<When>,
    (name, environment): (&'static str, &Environment),
    file: Option<(config::Choice, Origin)>,
) -> Result<Setting<When>, CliError> {
    if let Some(choice) = flag {
        return Ok(Setting::new(choice, Origin::Flag));
    }
    let choice = match environment.text(name) {
        None => {
            let file = file.map(|(choice, origin)| Setting::new(choice.into(), origin));
            return Ok(file.unwrap_or_else(|| Setting::new(When::Auto, Origin::Default)));
        }
        Some("auto") => When::Auto,
        Some("always") => When::Always,
        Some("never") => When::Never,
        Some(_) => {
            return Err(CliError::Variable {
                name,
                expected: "auto, always or never",
            });
        }
    };
    Ok(Setting::new(choice, Origin::Variable(name)))
}

fn utc(
    flag: bool,
    environment: &Environment,
    files: &[ConfigFile],
) -> Result<Setting<bool>, CliError> {
    const NAME: &str = "SPANLITE_UTC";
    if flag {
        return Ok(Setting::new(true, Origin::Flag));
    }
    if let Some(text) = environment.text(NAME) {
        let utc = switch(text).ok_or(CliError::Variable {
            name: NAME,
            expected: "1 or 0",
        })?;
        return Ok(Setting::new(utc, Origin::Variable(NAME)));
    }
    let file = first(files, |file| file.utc);
    let file = file.map(|(utc, origin)| Setting::new(utc, origin));
    Ok(file.unwrap_or_else(|| Setting::new(false, Origin::Default)))
}

/// Whether a variable switches something on.
fn switch(text: &str) -> Option<bool> {
    match text {
        "1" | "true" | "on" | "yes" => Some(true),
        "0" | "false" | "off" | "no" => Some(false),
        _ => None,
    }
}

fn trace_url(environment: &Environment, files: &[ConfigFile]) -> Setting<String> {
    if let Some(url) = environment.text("SPANLITE_TRACE_URL") {
        return Setting::new(url.to_owned(), Origin::Variable("SPANLITE_TRACE_URL"));
    }
    match first(files, |file| file.trace_url.clone()) {
        Some((url, origin)) => Setting::new(url, origin),
        None => Setting::new(String::new(), Origin::Default),
    }
}

fn uses_hyperlinks(choice: When, has_hyperlinks: bool, environment: &Environment) -> bool {
    match choice {
        When::Always => true,
        When::Never => false,
        When::Auto => has_hyperlinks && environment.text("TERM") != Some("dumb"),
    }
}

fn uses_color(choice: When, is_terminal: bool, environment: &Environment) -> bool {
    match choice {
        When::Always => true,
        When::Never => false,
        When::Auto => {
            let forced = environment
                .text("CLICOLOR_FORCE")
                .is_some_and(|text| text != "0");
            let refused = environment.vars.contains_key("NO_COLOR")
                || environment.text("TERM") == Some("dumb");
            !refused && (forced || is_terminal)
        }
    }
}

fn pager(args: &GlobalArgs, environment: &Environment, files: &[ConfigFile]) -> Setting<String> {
    if args.no_pager {
        return Setting::new(String::new(), Origin::Flag);
    }
    for name in ["SPANLITE_PAGER", "PAGER"] {
        if let Some(command) = environment.text(name) {
            return Setting::new(command.to_owned(), Origin::Variable(name));
        }
    }
    match first(files, |file| file.pager.clone()) {
        Some((pager, origin)) => Setting::new(pager, origin),
        None => Setting::new(DEFAULT_PAGER.to_owned(), Origin::Default),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(vars: &[(&'static str, &str)]) -> Environment {
        Environment {
            vars: vars
                .iter()
                .map(|(name, value)| (*name, (*value).into()))
                .collect(),
            current_dir: PathBuf::from("/nowhere"),
            ..Environment::default()
        }
    }

    fn settled(args: &GlobalArgs, vars: &[(&'static str, &str)]) -> Settings {
        Settings::settle(args, &environment(vars), false).unwrap()
    }

    #[test]
    fn flags_win_over_the_environment() {
        let args = GlobalArgs {
            store: Some("flag.spans".into()),
            color: Some(When::Never),
            ..GlobalArgs::default()
        };
        let vars = [("SPANLITE_STORE", "env.spans"), ("CLICOLOR_FORCE", "1")];
        let settings = settled(&args, &vars);
        assert_eq!(
            settings.store,
            Setting::new("flag.spans".into(), Origin::Flag)
        );
        assert!(!settings.look.color);
        let settings = settled(&GlobalArgs::default(), &vars);
        assert_eq!(settings.store.value, PathBuf::from("env.spans"));
        assert!(settings.look.color);
    }

    #[test]
    fn colours_follow_the_conventions() {
        let color = |vars: &[_], terminal: bool| {
            let mut environment = environment(vars);
            environment.stdout_terminal_width = terminal.then_some(80);
            let settings = Settings::settle(&GlobalArgs::default(), &environment, false);
            settings.unwrap().look.color
        };
        assert!(color(&[], true));
        assert!(!color(&[], false));
        assert!(!color(&[("NO_COLOR", "1")], true));
        assert!(!color(&[("TERM", "dumb")], true));
        assert!(color(&[("CLICOLOR_FORCE", "1")], false));
        assert!(!color(&[("CLICOLOR_FORCE", "0")], false));
        assert!(color(
            &[("SPANLITE_COLOR", "always"), ("NO_COLOR", "1")],
            false
        ));
    }

    #[test]
    fn width_and_signs_follow_the_terminal() {
        let settings = settled(&GlobalArgs::default(), &[("COLUMNS", "72"), ("LANG", "C")]);
        assert_eq!(settings.look.width, 72);
        assert!(settings.look.ascii);
        let settings = settled(
            &GlobalArgs::default(),
            &[("LC_ALL", "de_DE.UTF-8"), ("LANG", "C")],
        );
        assert_eq!(settings.look.width, 100);
        assert!(!settings.look.ascii);
    }

    #[test]
    fn without_a_word_the_store_is_near() {
        let settings = settled(&GlobalArgs::default(), &[("HOME", "/home/u")]);
        assert_eq!(settings.store.value, PathBuf::from("traces.spans"));
        let looked_at = "--store, SPANLITE_STORE, ./traces.spans, \
                         /home/u/.local/share/spanlite/default.spans";
        assert_eq!(settings.looked_at.join(", "), looked_at);
    }
}
