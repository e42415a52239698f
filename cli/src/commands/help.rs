use clap::CommandFactory as _;
use clap::builder::Resettable;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

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
    let mut command = named(&topic)?;
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

/// The program, or the command of these names.
fn named(names: &[&str]) -> Result<clap::Command, CliError> {
    let mut command = Cli::command();
    command.build();
    for name in names {
        command = subcommand(&command, name)?;
    }
    Ok(command)
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
    let names: Vec<&str> = args.command.iter().map(String::as_str).collect();
    let command = named(&names)?;
    let notes = command.get_after_long_help();
    let notes = notes.or_else(|| command.get_after_help());
    let notes = notes.map(ToString::to_string);
    let command = command
        .after_help(Resettable::Reset)
        .after_long_help(Resettable::Reset);
    let out = session.out.data();
    Man::new(command)
        .source(concat!("spanlite ", env!("CARGO_PKG_VERSION")))
        .render(out)?;
    if let Some(notes) = notes {
        out.write_all(notes_page(&notes).as_bytes())?;
    }
    Ok(Outcome::Done)
}

/// What stands behind the help, with tables as they are: elsewhere a page is filled line by line.
fn notes_page(notes: &str) -> String {
    let mut page = Roff::new();
    page.control("SH", ["NOTES"]);
    for paragraph in notes.split("\n\n") {
        page.control("PP", []);
        let is_table = paragraph.starts_with("  ");
        if is_table {
            page.control("nf", []);
        }
        for line in paragraph.lines() {
            page.text([roman(line)]);
        }
        if is_table {
            page.control("fi", []);
        }
    }
    page.to_roff()
}
