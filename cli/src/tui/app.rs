use std::sync::Arc;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use spanlite_model::{SpanId, TraceId};
use spanlite_query::Query;

use super::opened::Opened;
use super::overlay::Overlay;
use super::payload::{self, How, Tab};
use super::search::Search;
use super::source::{Found, Source};
use crate::error::CliError;
use crate::render::{Line, Look, Sheet, TraceDiff};

/// Traces the list begins with, and how many more come at its end.
const PAGE: usize = 200;

/// Where keys go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pane {
    List,
    Tree,
    Payload,
}

/// What a key wants of the terminal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    None,
    Quit,
    /// Puts a text into the clipboard.
    Copy(String),
}

/// The text above the list.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub(super) text: String,
    /// The text that is asked for, while another one is being typed.
    before: Option<String>,
    /// Why the text is no query.
    pub(super) error: Option<String>,
}

impl Filter {
    pub(super) fn is_edited(&self) -> bool {
        self.before.is_some()
    }
}

/// What the lines of the lower pane were made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shown {
    /// The address of the trace, which is replaced when it changes.
    trace: usize,
    span_id: SpanId,
    tab: Tab,
    how: How,
    width: usize,
}

/// Everything on the screen.
pub(super) struct App {
    pub(super) source: Source,
    pub(super) look: Look,
    pub(super) filter: Filter,
    query: Option<Query>,
    pub(super) found: Found,
    limit: usize,
    pub(super) selected: usize,
    pub(super) opened: Option<Opened>,
    pub(super) pane: Pane,
    pub(super) tab: Tab,
    pub(super) scroll: usize,
    pub(super) how: How,
    pub(super) search: Search,
    /// The lines of the lower pane, which are made once.
    payload: Option<(Shown, Arc<[Line]>)>,
    pub(super) follow: bool,
    /// The trace that the next `d` compares with.
    pub(super) marked: Option<TraceId>,
    pub(super) overlay: Option<Overlay>,
    pub(super) message: Option<String>,
    /// Rows of the panes on the last screen, for keys that move by a page.
    pub(super) page_rows: usize,
}

impl App {
    pub(super) fn new(source: Source, look: Look, filter: &str) -> Result<Self, CliError> {
        let mut app = Self {
            source,
            look,
            filter: Filter::default(),
            query: None,
            found: Found::default(),
            limit: PAGE,
            selected: 0,
            opened: None,
            pane: Pane::List,
            tab: Tab::Input,
            scroll: 0,
            how: How::default(),
            search: Search::default(),
            payload: None,
            follow: false,
            marked: None,
            overlay: None,
            message: None,
            page_rows: 10,
        };
        filter.clone_into(&mut app.filter.text);
        app.apply_filter()?;
        Ok(app)
    }

    /// Looks at the store again when it is followed.
    pub(super) fn tick(&mut self) -> Result<(), CliError> {
        if self.follow {
            self.reload()?;
        }
        Ok(())
    }

    fn reload(&mut self) -> Result<(), CliError> {
        let before = self
            .found
            .entries
            .get(self.selected)
            .map(|entry| entry.trace_id);
        self.found = self.source.find(self.query.as_ref(), self.limit)?;
        let at_top = self.selected == 0;
        let same = self
            .found
            .entries
            .iter()
            .position(|entry| Some(entry.trace_id) == before);
        if let Some(same) = same.filter(|_| !at_top) {
            self.selected = same;
        }
        self.selected = self
            .selected
            .min(self.found.entries.len().saturating_sub(1));
        self.show_selected()
    }

    /// Shows the tree of the selected trace.
    fn show_selected(&mut self) -> Result<(), CliError> {
        let Some(entry) = self.found.entries.get(self.selected) else {
            self.opened = None;
            return Ok(());
        };
        let trace = self.source.trace(entry.trace_id)?;
        match (&mut self.opened, trace) {
            (Some(opened), Some(trace)) if opened.trace().trace_id == trace.trace_id => {
                opened.refresh(trace);
            }
            (opened, trace) => {
                *opened = trace.map(Opened::new);
                self.scroll = 0;
                self.how.whole = false;
            }
        }
        Ok(())
    }

    /// The filter that was kept, for the next time.
    pub(super) fn kept_filter(&self) -> &str {
        self.filter
            .before
            .as_deref()
            .unwrap_or(&self.filter.text)
            .trim()
    }

    fn apply_filter(&mut self) -> Result<(), CliError> {
        let text = self.filter.text.trim();
        self.filter.error = None;
        let query = match text {
            "" => None,
            text => match Query::parse(text) {
                Ok(query) if query.is_metrics() => {
                    self.filter.error = Some("this query yields numbers, not traces".to_owned());
                    return Ok(());
                }
                Ok(query) => Some(query),
                Err(error) => {
                    let help = error.help.map(|help| format!("; {help}"));
                    let help = help.unwrap_or_default();
                    self.filter.error = Some(format!("{}{help}", error.message));
                    return Ok(());
                }
            },
        };
        self.query = query;
        self.limit = PAGE;
        self.selected = 0;
        self.reload()
    }

    /// Does what a key says.
    pub(super) fn key(&mut self, key: KeyEvent) -> Result<Effect, CliError> {
        self.message = None;
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Ok(Effect::Quit);
        }
        if self.filter.is_edited() {
            self.edit_key(key.code)?;
            return Ok(Effect::None);
        }
        if self.search.is_edited() {
            self.search_key(key.code);
            return Ok(Effect::None);
        }
        if let Some(overlay) = &mut self.overlay {
            if !overlay.key(key.code, self.page_rows) {
                self.overlay = None;
            }
            return Ok(Effect::None);
        }
        match key.code {
            KeyCode::Char('q') => return Ok(Effect::Quit),
            KeyCode::Char('?') => self.overlay = Some(Overlay::help()),
            KeyCode::Char('/') if self.pane == Pane::Payload => {
                // What is looked for may stand in the part that is not shown.
                self.how.whole = true;
                self.search.begin();
            }
            KeyCode::Char('/') => self.filter.before = Some(self.filter.text.clone()),
            KeyCode::Tab => self.next_pane(),
            KeyCode::Enter if self.pane == Pane::List => self.pane = Pane::Tree,
            KeyCode::Enter if self.pane == Pane::Tree => self.pane = Pane::Payload,
            KeyCode::Esc => self.back(),
            KeyCode::Char('f') => {
                self.follow = !self.follow;
                self.tick()?;
            }
            KeyCode::Char('d') => self.compare()?,
            KeyCode::Char('y') => return Ok(self.copied()),
            KeyCode::Char('m') => self.how.raw = !self.how.raw,
            KeyCode::Char('L') => self.how.whole = true,
            KeyCode::Char(digit @ '1'..='5') => {
                self.tab = Tab::ALL[digit as usize - '1' as usize];
                self.scroll = 0;
            }
            KeyCode::Char('n' | 'N')
                if self.pane == Pane::Payload && !self.search.text().is_empty() =>
            {
                self.next_hit(self.scroll, key.code == KeyCode::Char('N'));
            }
            KeyCode::Char('n' | 'N') => self.next_error(key.code == KeyCode::Char('N')),
            KeyCode::Char('a') => {
                if let Some(opened) = &mut self.opened {
                    opened.toggle_fold();
                }
            }
            code => self.move_key(code)?,
        }
        Ok(Effect::None)
    }

    fn move_key(&mut self, code: KeyCode) -> Result<(), CliError> {
        let page = self.page_rows.max(1) as isize;
        match code {
            KeyCode::Char('j') | KeyCode::Down => self.move_by(1),
            KeyCode::Char('k') | KeyCode::Up => self.move_by(-1),
            KeyCode::PageDown => self.move_by(page),
            KeyCode::PageUp => self.move_by(-page),
            KeyCode::Char('g') | KeyCode::Home => self.move_by(isize::MIN),
            KeyCode::Char('G') | KeyCode::End => self.move_by(isize::MAX),
            KeyCode::Char('h') | KeyCode::Left => {
                match (&mut self.opened, self.pane) {
                    (Some(opened), Pane::Tree) => opened.close(),
                    (_, Pane::Payload) if code == KeyCode::Left => self.pane = Pane::Tree,
                    (_, Pane::Payload) => self.how.fold(),
                    _ => {}
                }
                Ok(())
            }
            KeyCode::Char('l') | KeyCode::Right => {
                match (&mut self.opened, self.pane) {
                    (Some(opened), Pane::Tree) => opened.open(),
                    (Some(_), Pane::List) => self.pane = Pane::Tree,
                    (_, Pane::Payload) => self.how.unfold(),
                    _ => {}
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn move_by(&mut self, rows: isize) -> Result<(), CliError> {
        match (self.pane, &mut self.opened) {
            (Pane::List, _) => {
                let last = self.found.entries.len().saturating_sub(1);
                let at_end = self.selected == last;
                self.selected = self.selected.saturating_add_signed(rows).min(last);
                if at_end && rows > 0 && self.found.more {
                    self.limit += PAGE;
                    return self.reload();
                }
                return self.show_selected();
            }
            (Pane::Tree, Some(opened)) => {
                opened.move_by(rows);
                self.scroll = 0;
                self.how.whole = false;
            }
            // The view knows how long the text is and holds the end.
            (Pane::Payload, _) => self.scroll = self.scroll.saturating_add_signed(rows),
            (Pane::Tree, None) => {}
        }
        Ok(())
    }

    fn edit_key(&mut self, code: KeyCode) -> Result<(), CliError> {
        match code {
            KeyCode::Enter => {
                if self.filter.error.is_none() {
                    self.filter.before = None;
                }
                return Ok(());
            }
            KeyCode::Esc => self.filter.text = self.filter.before.take().unwrap_or_default(),
            KeyCode::Backspace => drop(self.filter.text.pop()),
            KeyCode::Char(c) => self.filter.text.push(c),
            _ => return Ok(()),
        }
        self.apply_filter()
    }

    fn search_key(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.search.end(),
            KeyCode::Esc => self.search.cancel(),
            KeyCode::Backspace => self.search.pop(),
            KeyCode::Char(letter) => self.search.push(letter),
            _ => return,
        }
        let before = self.scroll.checked_sub(1);
        let lines = self.payload.as_ref().map_or(0, |(_, lines)| lines.len());
        let from = before.unwrap_or_else(|| lines.saturating_sub(1));
        self.next_hit(from, false);
    }

    /// Scrolls to the next line of the payload that has what is looked for.
    fn next_hit(&mut self, from: usize, backwards: bool) {
        let Some((_, lines)) = &self.payload else {
            return;
        };
        match self.search.next(lines, from, backwards) {
            Some(line) => self.scroll = line,
            None if self.search.text().is_empty() => {}
            None => self.message = Some("the payload does not have it".to_owned()),
        }
    }

    fn next_pane(&mut self) {
        self.pane = match self.pane {
            Pane::List if self.opened.is_some() => Pane::Tree,
            Pane::Tree => Pane::Payload,
            _ => Pane::List,
        };
    }

    fn back(&mut self) {
        self.pane = match self.pane {
            Pane::Payload => Pane::Tree,
            _ => Pane::List,
        };
        self.marked = None;
    }

    fn next_error(&mut self, backwards: bool) {
        let found = self
            .opened
            .as_mut()
            .is_some_and(|opened| opened.next_error(backwards));
        if found {
            self.pane = Pane::Tree;
            self.scroll = 0;
        } else {
            self.message = Some("no span of this trace failed".to_owned());
        }
    }

    fn compare(&mut self) -> Result<(), CliError> {
        let Some(opened) = &self.opened else {
            return Ok(());
        };
        let this = opened.trace();
        let Some(marked) = self.marked.take() else {
            self.marked = Some(this.trace_id);
            self.message = Some("marked; d on another trace compares".to_owned());
            return Ok(());
        };
        let Some(other) = self.source.trace(marked)? else {
            return Ok(());
        };
        let mut lines = Vec::new();
        let mut sheet = Sheet::of_lines(&mut lines, &self.look);
        TraceDiff::of(&other, this).write(&mut sheet, true, 10)?;
        self.overlay = Some(Overlay {
            title: "difference",
            lines,
            scroll: 0,
        });
        Ok(())
    }

    fn copied(&mut self) -> Effect {
        let Some(opened) = &self.opened else {
            return Effect::None;
        };
        let trace = opened.trace();
        let text = match (self.pane, opened.span()) {
            (Pane::Tree, Some(span)) => format!("{}/{}", trace.trace_id, span.span_id),
            (Pane::Payload, Some(span)) => {
                let payload = if self.tab == Tab::Output {
                    &span.outputs
                } else {
                    &span.inputs
                };
                payload
                    .as_ref()
                    .map_or_else(String::new, |json| json.as_text().to_owned())
            }
            _ => trace.trace_id.to_string(),
        };
        self.message = Some("copied".to_owned());
        Effect::Copy(text)
    }

    /// The lines of the lower pane at a width.
    pub(super) fn payload_lines(&mut self, look: &Look) -> Arc<[Line]> {
        let opened = self.opened.as_ref();
        let Some((opened, span)) = opened.and_then(|it| Some((it, it.span()?))) else {
            return Arc::default();
        };
        let shown = Shown {
            trace: Arc::as_ptr(opened.trace()) as usize,
            span_id: span.span_id,
            tab: self.tab,
            how: self.how,
            width: look.width,
        };
        if let Some((before, lines)) = &self.payload
            && *before == shown
        {
            return Arc::clone(lines);
        }
        let lines = payload::lines(self.tab, opened.trace(), span, look, self.how);
        let lines: Arc<[Line]> = lines.into();
        self.payload = Some((shown, Arc::clone(&lines)));
        lines
    }
}
