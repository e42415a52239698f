use ratatui::crossterm::event::KeyCode;

use crate::render::{Line, Role};

/// A page that lies over the others: help, a comparison.
pub(super) struct Overlay {
    pub(super) title: &'static str,
    pub(super) lines: Vec<Line>,
    pub(super) scroll: usize,
}

const HELP: &str = "\
j k ↓ ↑     move         g G    first, last   PgDn PgUp  by a page
Tab         next pane    Enter  open          Esc        back
h l ← →     fold, unfold    a     fold chains and repeats, or nothing
n N         next failed span, the one before; in a payload hits
1 … 5       input, output, attributes, events, feedback
m           messages or JSON       L   load a large payload whole
/           filter in the query language; Enter keeps it, Esc does not;
            in a payload, look for a text
d           compare: first on one trace, then on the other
y           copy the id of the span, or the payload
f           follow: new traces and spans come by themselves
q           leave";

impl Overlay {
    /// The keys and what they do.
    pub(super) fn help() -> Self {
        let lines = HELP.lines().map(|line| Line::of(Role::Plain, line));
        Self {
            title: "keys",
            lines: lines.collect(),
            scroll: 0,
        }
    }

    /// Does what a key says. Returns whether the page stays.
    pub(super) fn key(&mut self, code: KeyCode, page_rows: usize) -> bool {
        let page = page_rows.max(1);
        let last = self.lines.len().saturating_sub(1);
        self.scroll = match code {
            KeyCode::Char('j') | KeyCode::Down => (self.scroll + 1).min(last),
            KeyCode::Char('k') | KeyCode::Up => self.scroll.saturating_sub(1),
            KeyCode::PageDown => (self.scroll + page).min(last),
            KeyCode::PageUp => self.scroll.saturating_sub(page),
            _ => return false,
        };
        true
    }
}
