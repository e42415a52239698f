use clap::CommandFactory as _;

use crate::args::{Cli, CompletionsArgs, HelpArgs, ManArgs};
use crate::error::{CliError, Outcome};
use crate::near::near;
use crate::render::{Role, object};
use crate::session::Session;

/// Prints help of the program, of a command, or of the query language.
pub(super) fn help(args: &HelpArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let topic: Vec<&str> = args.topic.iter().map(String::as_str).collect();
    if topic == ["query"] {
        let mut sheet = session.out.sheet();
        for line in spanlite_query::LANGUAGE.lines() {
            let role = if line.starts_with('#') {
                Role::Heading
            } else {
                Role::Plain
            };
            sheet.text(role, line)?;
        }
        return Ok(Outcome::Done);
    }
    let mut command = Cli::command();
    command.build();
    for name in &topic {
        command = subcommand(&command, name)?;
    }
    let help = if topic.is_empty() {
        command.render_help()
    } else {
        command.render_long_help()
    };
    let text = if session.settings.look.color {
        help.ansi().to_string()
    } else {
        help.to_string()
    };
    session.out.data().write_all(text.as_bytes())?;
    Ok(Outcome::Done)
}

fn subcommand(command: &clap::Command, name: &str) -> Result<clap::Command, CliError> {
    let found = command.find_subcommand(name).cloned();
    found.ok_or_else(|| {
        let names = command.get_subcommands().map(clap::Command::get_name);
        CliError::NoSuchHelp {
            topic: name.chars().take(80).collect(),
            near: near(name, names.map(ToOwned::to_owned)).into_iter().next(),
        }
    })
}

/// Prints the version.
pub(super) fn version(session: &mut Session<'_>) -> Result<Outcome, CliError> {
    if session.out.wants_json() {
        let item = object([
            ("name", "spanlite".into()),
            ("version", env!("CARGO_PKG_VERSION").into()),
        ]);
        session.out.object(&item)?;
        return Ok(Outcome::Done);
    }
    let version = concat!("spanlite ", env!("CARGO_PKG_VERSION"), "\n");
    session.out.data().write_all(version.as_bytes())?;
    Ok(Outcome::Done)
}

/// Prints the completion script of a shell.
pub(super) fn completions(
    args: &CompletionsArgs,
    session: &mut Session<'_>,
) -> Result<Outcome, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "spanlite", &mut script);
    session.out.data().write_all(&script)?;
    Ok(Outcome::Done)
}

/// Prints the manual page of the program or of a command.
pub(super) fn man(args: &ManArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let mut command = Cli::command();
    command.build();
    if let Some(name) = &args.command {
        command = subcommand(&command, name)?;
    }
    clap_mangen::Man::new(command).render(session.out.data())?;
    Ok(Outcome::Done)
}
