//! The full-screen view: a list of traces with a live filter, the tree of one, its payloads.
//!
//! `app` is the state and what keys do to it, `view` draws it, `source` reads the store. Nothing
//! here draws text of others but by [`Line`](crate::render::Line), which escapes it.

mod app;
mod entry;
mod memory;
mod opened;
mod overlay;
mod payload;
mod search;
mod source;
mod view;

use std::io::{self, Write as _};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use crate::error::CliError;
use crate::session::Session;
use app::{App, Effect};
use memory::Memory;
use source::Source;

/// How long a key is waited for before the store is looked at again.
const TICK: Duration = Duration::from_millis(250);

/// Keys that are done at most before the screen is drawn again.
const MAX_KEYS: usize = 100;

/// Shows the store on the whole screen until the user leaves. Without a filter, the one holds that
/// was asked for last.
pub(crate) fn run(session: &Session<'_>, filter: Option<&str>) -> Result<(), CliError> {
    let settings = session.settings;
    if !(settings.stdin_is_terminal && settings.stdout_is_terminal) {
        return Err(CliError::NoTerminal { command: "tui" });
    }
    let store = session.store()?;
    let prices = session.prices(&store)?;
    let state_home = settings.state_home.as_deref();
    let memory = state_home.map(|home| Memory::read(home, store.path()));
    let remembered = memory.as_ref().map_or("", Memory::filter).to_owned();
    let filter = filter.unwrap_or(&remembered);
    let source = Source::new(store, prices, settings.now_unix_nano);
    let mut app = App::new(source, settings.look.clone(), filter)?;
    let mut terminal = ratatui::try_init()?;
    let outcome = events(&mut app, &mut terminal);
    ratatui::try_restore()?;
    if let Some(memory) = memory {
        memory.remember(app.kept_filter());
    }
    outcome
}

fn events(app: &mut App, terminal: &mut ratatui::DefaultTerminal) -> Result<(), CliError> {
    loop {
        terminal.draw(|frame| view::draw(frame, app))?;
        if !event::poll(TICK)? {
            app.tick()?;
            continue;
        }
        // Keys that came while it was drawn are all done before it is drawn again: a key that is
        // held must not run on after it is let go.
        for _ in 0..MAX_KEYS {
            if let Event::Key(key) = event::read()?
                && key.kind != KeyEventKind::Release
            {
                match app.key(key)? {
                    Effect::None => {}
                    Effect::Quit => return Ok(()),
                    Effect::Copy(text) => copy(&text)?,
                }
            }
            if !event::poll(Duration::ZERO)? {
                break;
            }
        }
    }
}

/// Puts a text into the clipboard of the terminal (OSC 52), also over ssh.
fn copy(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "\x1b]52;c;{}\x07", BASE64_STANDARD.encode(text))?;
    out.flush()
}
