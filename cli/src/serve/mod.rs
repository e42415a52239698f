//! Commands that listen until they are told to end: `receive` and `proxy`.

mod args;
mod proxy;
mod receive;

pub(crate) use args::{ProxyArgs, ReceiveArgs};
pub(crate) use proxy::proxy;
pub(crate) use receive::receive;

use std::net::SocketAddr;
use std::path::Path;

use spanlite_server::{ServeError, Token};

use crate::args::Format;
use crate::error::CliError;
use crate::render::{Node, Role, json, object};
use crate::session::Session;

fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    Ok(runtime?)
}

/// Ends when the user or the system asks for the end; hears of it from the call on, inside a
/// runtime. Where a signal cannot be had, only a kill ends it.
#[cfg(unix)]
fn asked_to_end() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let hear = |kind| {
        let signal = signal(kind);
        async {
            match signal {
                Ok(mut signal) => drop(signal.recv().await),
                Err(_) => std::future::pending().await,
            }
        }
    };
    let (interrupted, terminated) = (hear(SignalKind::interrupt()), hear(SignalKind::terminate()));
    async {
        tokio::select! {
            () = interrupted => {}
            () = terminated => {}
        }
    }
}

/// Ends when the user asks for the end. Where that cannot be heard, only a kill ends it.
#[cfg(not(unix))]
async fn asked_to_end() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The token of a file, else of the environment. It is never taken from the command line, which
/// every user of the machine can read.
fn token(file: Option<&Path>, session: &Session<'_>) -> Result<Option<Token>, CliError> {
    let token = match (file, &session.settings.token) {
        (Some(path), _) => Some(Token::from_file(path)),
        (None, Some(text)) => Some(Token::new(text)),
        (None, None) => None,
    };
    token.transpose().map_err(CliError::Serve)
}

fn for_machines(session: &Session<'_>) -> bool {
    matches!(session.settings.format, Some(Format::Json | Format::Ndjson))
}

/// Says that it listens, at once: as one line of JSON, or as lines for people, in which an
/// indented line is to be copied.
fn say(
    session: &mut Session<'_>,
    addresses: &[SocketAddr],
    lines: &[String],
) -> Result<(), CliError> {
    if for_machines(session) {
        let addresses = addresses.iter().map(|one| Node::from(one.to_string()));
        let item = object([
            ("event", "listening".into()),
            ("addresses", Node::List(addresses.collect())),
        ]);
        say_object(session, &item)?;
    } else if !session.settings.quiet {
        let mut sheet = session.out.plain_sheet();
        for line in lines {
            let role = if line.starts_with(' ') {
                Role::Key
            } else {
                Role::Plain
            };
            sheet.text(role, line)?;
        }
    }
    session.out.flush()
}

fn say_object(session: &mut Session<'_>, item: &Node) -> Result<(), CliError> {
    let escape = session.out.json_style().escape;
    let style = json::JsonStyle {
        pretty: false,
        escape,
    };
    json::write(session.out.data(), item, style)?;
    Ok(session.out.data().flush()?)
}

impl From<ServeError> for CliError {
    fn from(error: ServeError) -> Self {
        Self::Serve(error)
    }
}
