//! One module per command, each a function of settled values.

mod care;
mod check;
mod config;
mod delete;
mod demo;
mod diff;
mod doctor;
mod export;
mod forms;
mod generate;
mod help;
mod import;
mod info;
mod init;
mod judge;
mod list;
mod metrics;
mod open;
mod prices;
mod query;
mod redact;
mod saved;
mod show;
mod span;
mod stats;
mod tail;
mod verify;

#[cfg(feature = "mcp")]
pub(crate) use span::find_span;

use crate::args::Command;
use crate::error::{CliError, Outcome};
use crate::session::Session;

/// Does what a command says.
pub(crate) fn run(command: &Command, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    forms::check(command, session.settings.format)?;
    match command {
        Command::List(args) => list::run(args, session),
        Command::Show(args) => show::run(args, session),
        Command::Span(args) => span::run(args, session),
        Command::Query(args) => query::run(args, session),
        Command::Queries(command) => saved::queries(command, session),
        Command::Check(args) => check::run(args, session),
        Command::Tui(args) => {
            crate::tui::run(session, args.query.as_deref()).map(|()| Outcome::Done)
        }
        Command::Demo => demo::run(session),
        Command::Diff(args) => diff::run(args, session),
        Command::Tail(args) => tail::run(args, session),
        Command::Jobs(command) => crate::jobs::jobs(command, session),
        Command::Generate(args) => generate::run(args, session),
        Command::Stats(args) => stats::stats(args, session),
        Command::Values(args) => stats::values(args, session),
        Command::Sessions(args) => stats::sessions(args, session),
        Command::Feedback(command) => judge::feedback(command, session),
        Command::Expect(args) => judge::expect(args, session),
        Command::Tag(args) => judge::tag(args, session),
        Command::Pin(args) => judge::pin(args, session),
        Command::Import(args) => import::run(args, session),
        #[cfg(feature = "server")]
        Command::Receive(args) => crate::serve::receive(args, session),
        #[cfg(feature = "server")]
        Command::Proxy(args) => crate::serve::proxy(args, session),
        Command::Export(args) => export::run(args, session),
        Command::Bundle(args) => export::bundle(args, session),
        Command::Gc(args) => care::gc(args, session),
        Command::Delete(args) => delete::run(args, session),
        Command::Doctor => doctor::run(session),
        Command::Redact(args) => redact::run(args, session),
        Command::Compact => care::compact(session),
        Command::Init(args) => init::run(args, session),
        Command::Open(args) => open::run(args, session),
        Command::Backup(args) => care::backup(args, session),
        Command::Recover(args) => care::recover(args, session),
        Command::Info => info::run(session),
        Command::Config => config::run(session),
        Command::Verify => verify::run(session),
        Command::Prices(command) => prices::run(command, session),
        #[cfg(feature = "mcp")]
        Command::Mcp => crate::mcp::run(session),
        Command::Help(args) => help::help(args, session),
        Command::Version => help::version(session),
        Command::Completions(args) => help::completions(args, session),
        Command::Man(args) => help::man(args, session),
    }
}
