//! The `spanlite` command as a library, so that tests can build it under another name.
//!
//! [`main`] goes from arguments as typed, over settings (environment, configuration files,
//! terminal), to one function of the settled values a command. What people and machines see is
//! written in `render` alone.

use std::process::ExitCode;

use clap::Parser as _;

mod args;
mod ask;
mod columns;
mod commands;
mod config;
mod error;
mod group;
mod html;
mod jobs;
#[cfg(feature = "mcp")]
mod mcp;
mod near;
mod output;
mod prices;
mod progress;
mod render;
#[cfg(feature = "server")]
mod serve;
mod session;
mod settings;
mod tui;

use args::{Cli, Command};
use error::{CliError, Exit};
use session::Session;
use settings::{Environment, Settings};

/// Runs the command with the arguments of the process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
            // Nobody is left to be told that the terminal is closed.
            drop(error.print());
            return exit.into();
        }
    };
    let environment = Environment::of_process();
    let settings = match Settings::settle(&cli.global, &environment, finds_out(&cli.command)) {
        Ok(settings) => settings,
        Err(error) => return failed(&error, false),
    };
    match run(&cli, &settings) {
        Ok(exit) => exit.into(),
        Err(error) => failed(&error, settings.stderr_look.color),
    }
}

/// Whether one asks the command what is wrong, so that a wrong configuration must not stop it.
fn finds_out(command: &Command) -> bool {
    matches!(
        command,
        Command::Help(_)
            | Command::Version
            | Command::Completions(_)
            | Command::Man(_)
            | Command::Config
            | Command::Doctor
    )
}

fn run(cli: &Cli, settings: &Settings) -> Result<Exit, CliError> {
    let mut session = Session::new(settings);
    for warning in &settings.config_warnings {
        session.out.warn(warning);
    }
    let outcome = commands::run(&cli.command, &mut session);
    // What was written before a failure is of use too, and the failure is said last.
    let finished = session.out.finish();
    let outcome = outcome?;
    finished?;
    Ok(outcome.into())
}

fn failed(error: &CliError, color: bool) -> ExitCode {
    error.print(color);
    error.exit().into()
}
