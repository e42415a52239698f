use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;
use ratatui::text::{Line as TextLine, Span as TextSpan};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::app::{App, Pane};
use super::entry::entry_line;
use super::payload::Tab;
use crate::render::{Line, Look, Role, to_ascii, units};

/// On a smaller screen nothing could be read.
const MIN_COLUMNS: u16 = 40;
const MIN_ROWS: u16 = 10;

/// Borders for terminals without box drawing.
const ASCII_BORDER: border::Set<'_> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

/// Draws the whole screen.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App) {
    if frame.area().width < MIN_COLUMNS || frame.area().height < MIN_ROWS {
        let area = frame.area();
        return put(frame, area, vec![TextLine::from("too small")]);
    }
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Fill(3),
        Constraint::Fill(2),
        Constraint::Length(1),
    ]);
    let [head, filter, upper, lower, foot] = areas.areas(frame.area());
    let list_columns = (upper.width * 2 / 5).clamp(20, 46);
    let halves = Layout::horizontal([Constraint::Length(list_columns), Constraint::Fill(1)]);
    let [list, tree] = halves.areas(upper);
    app.page_rows = usize::from(upper.height).saturating_sub(3);
    draw_head(frame, head, app);
    draw_filter(frame, filter, app);
    draw_list(frame, list, app);
    draw_tree(frame, tree, app);
    draw_payload(frame, lower, app);
    draw_foot(frame, foot, app);
    draw_overlay(frame, app);
}

/// The look of a role, from the same code that terminals get.
fn style(role: Role, look: &Look) -> Style {
    let mut style = Style::new();
    if !look.color {
        return style;
    }
    for code in role.sgr().split(';') {
        style = match code {
            "1" => style.add_modifier(Modifier::BOLD),
            "2" => style.add_modifier(Modifier::DIM),
            "31" => style.fg(Color::Red),
            "32" => style.fg(Color::Green),
            "33" => style.fg(Color::Yellow),
            "34" => style.fg(Color::Blue),
            "35" => style.fg(Color::Magenta),
            "36" => style.fg(Color::Cyan),
            _ => style,
        };
    }
    style
}

fn text(line: &Line, look: &Look) -> TextLine<'static> {
    let parts = line.parts().iter().map(|part| {
        let text = if look.ascii {
            to_ascii(&part.text)
        } else {
            part.text.clone()
        };
        TextSpan::styled(text, style(part.role, look))
    });
    parts.collect()
}

/// A frame with a title; that of the pane with the keys is bright.
fn block(title: &Line, focused: bool, look: &Look) -> Block<'static> {
    let role = if focused { Role::Key } else { Role::Dim };
    let set = if look.ascii {
        ASCII_BORDER
    } else {
        border::PLAIN
    };
    Block::bordered()
        .border_set(set)
        .border_style(style(role, look))
        .title(text(title, look))
}

/// The first row to show so that the selected one is seen.
fn first_row(selected: usize, rows: usize) -> usize {
    (selected + 1).saturating_sub(rows.max(1).div_ceil(2) + rows / 4)
}

fn put(frame: &mut Frame<'_>, area: Rect, lines: Vec<TextLine<'static>>) {
    frame.render_widget(Paragraph::new(lines), area);
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let mut line = Line::of(Role::Strong, "spanlite  ");
    line.fitted(Role::Plain, &app.source.path(), 40);
    let total = units::plural(app.found.total as u64, "trace");
    line.pad(2).text(Role::Dim, &total);
    if app.follow {
        line.pad(2).sign(Role::Running, "● following");
    }
    let help = "? help";
    line.pad_to(usize::from(area.width).saturating_sub(help.len()));
    line.text(Role::Dim, help);
    put(frame, area, vec![text(&line, &app.look)]);
}

fn draw_filter(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let mut line = Line::of(Role::Key, "/ ");
    let cursor = if app.filter.is_edited() { "_" } else { "" };
    line.text(Role::Plain, &format!("{}{cursor}", app.filter.text));
    let right = if let Some(error) = &app.filter.error {
        Line::of(Role::Error, error)
    } else {
        let hits = app.found.entries.len() as u64;
        let plus = if app.found.more { "+" } else { "" };
        let elapsed = app.found.elapsed.as_millis();
        let hits = format!("{}{plus} shown  {elapsed} ms", units::count(hits));
        Line::of(Role::Dim, &hits)
    };
    let width = usize::from(area.width);
    if line.width() + 2 + right.width() <= width {
        line.pad_to(width - right.width());
    } else {
        line.pad(2);
    }
    line.append(right);
    put(frame, area, vec![text(&line, &app.look)]);
}

fn draw_list(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let look = &app.look;
    let now = app.source.now_unix_nano();
    let block = block(
        &Line::of(Role::Plain, " traces "),
        app.pane == Pane::List,
        look,
    );
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let rows = usize::from(inner.height);
    let first = first_row(app.selected, rows).min(app.found.entries.len().saturating_sub(rows));
    let entries = app.found.entries.iter().enumerate().skip(first).take(rows);
    let lines = entries.map(|(index, entry)| {
        let marked = app.marked == Some(entry.trace_id);
        let line = entry_line(entry, usize::from(inner.width), marked, (look, now));
        highlighted(text(&line, look), index == app.selected)
    });
    put(frame, inner, lines.collect());
}

fn highlighted(line: TextLine<'static>, selected: bool) -> TextLine<'static> {
    if selected {
        line.patch_style(Style::new().add_modifier(Modifier::REVERSED))
    } else {
        line
    }
}

fn draw_tree(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let mut title = Line::new();
    if let Some(opened) = &app.opened {
        let trace = opened.trace();
        title
            .pad(1)
            .fitted(Role::Plain, trace.name().unwrap_or_default(), 24);
        let id = units::short_id(trace.trace_id, 13);
        title.pad(1).text(Role::Id, &id).pad(1);
    }
    let block = block(&title, app.pane == Pane::Tree, &app.look);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let Some(opened) = &app.opened else {
        return;
    };
    let look = Look {
        width: usize::from(inner.width),
        ..app.look.clone()
    };
    let rows = usize::from(inner.height).saturating_sub(1);
    let all = opened.outline.rows.len();
    let first = first_row(opened.selected, rows).min(all.saturating_sub(rows));
    let (header, shown) = opened.lines(&look, app.source.now_unix_nano(), first, rows);
    let mut lines = vec![text(&header, &look)];
    lines.extend((first..).zip(&shown).map(|(index, line)| {
        let selected = index == opened.selected && app.pane != Pane::List;
        highlighted(text(line, &look), selected)
    }));
    put(frame, inner, lines);
}

fn draw_payload(frame: &mut Frame<'_>, area: Rect, app: &mut App) {
    let mut title = Line::new();
    if let Some(opened) = &app.opened
        && let Some(span) = opened.span()
    {
        for (number, tab) in (1..).zip(Tab::ALL) {
            let role = if tab == app.tab {
                Role::Strong
            } else {
                Role::Dim
            };
            title.text(
                role,
                &format!("[{number} {}]", tab.title(opened.trace(), span)),
            );
        }
    }
    let block = block(&title, app.pane == Pane::Payload, &app.look);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let look = Look {
        width: usize::from(inner.width),
        ..app.look.clone()
    };
    let lines = app.payload_lines(&look);
    let rows = usize::from(inner.height);
    app.scroll = app.scroll.min(lines.len().saturating_sub(rows));
    let shown = lines.iter().skip(app.scroll).take(rows);
    let shown = shown.map(|line| {
        let drawn = text(line, &look);
        if app.search.fits(line) {
            drawn.patch_style(Style::new().add_modifier(Modifier::UNDERLINED | Modifier::BOLD))
        } else {
            drawn
        }
    });
    put(frame, inner, shown.collect());
}

fn draw_foot(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let keys = "j/k move  h/l fold  Tab pane  / filter  n error  d diff  y copy  f follow  q";
    let line = match &app.message {
        _ if app.search.is_edited() => {
            let mut line = Line::of(Role::Key, "/ ");
            line.text(Role::Plain, &format!("{}_", app.search.text()));
            line
        }
        Some(message) => Line::of(Role::Warning, message),
        None => Line::of(Role::Dim, keys),
    };
    put(frame, area, vec![text(&line, &app.look)]);
}

fn draw_overlay(frame: &mut Frame<'_>, app: &App) {
    let Some(overlay) = &app.overlay else {
        return;
    };
    let screen = frame.area();
    let area = Rect {
        x: screen.width / 20,
        y: screen.height / 10,
        width: screen.width - screen.width / 10,
        height: screen.height - screen.height / 5,
    };
    let mut title = Line::new();
    title.pad(1).text(Role::Strong, overlay.title).pad(1);
    let block = block(&title, true, &app.look);
    let inner = block.inner(area);
    frame.render_widget(Clear, area);
    frame.render_widget(block, area);
    let rows = overlay
        .lines
        .iter()
        .skip(overlay.scroll)
        .take(usize::from(inner.height));
    put(
        frame,
        inner,
        rows.map(|line| text(line, &app.look)).collect(),
    );
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent};
    use spanlite_store::{OpenOptions, Store};

    use super::super::app::Effect;
    use super::super::source::Source;
    use super::*;
    use crate::render::{Zone, samples};

    struct Screen {
        _folder: tempfile::TempDir,
        app: App,
        terminal: Terminal<TestBackend>,
    }

    impl Screen {
        fn new(width: u16, height: u16) -> Self {
            let mut other = samples::agent();
            other.trace_id = spanlite_model::TraceId::from_bytes([0xaa; 16]);
            for span in &mut other.spans {
                span.trace_id = other.trace_id;
                span.start_time_unix_nano -= 60_000_000_000;
                span.end_time_unix_nano = span.end_time_unix_nano.map(|end| end - 61_000_000_000);
            }
            other.info.name = Some("clear \x1b[2J".to_owned());
            Self::of(&[samples::agent(), other], width, height)
        }

        fn of(traces: &[spanlite_model::Trace], width: u16, height: u16) -> Self {
            let folder = tempfile::tempdir().unwrap();
            // The path is on the screen, so its length must not differ from run to run.
            let path = folder.path().join("traces.spans");
            let store = Store::open(&path, OpenOptions::default()).unwrap();
            store.write(traces).unwrap();
            let look = Look {
                width: usize::from(width),
                color: false,
                hyperlinks: None,
                ascii: false,
                zone: Zone::Utc,
            };
            let now = samples::START + 3_600_000_000_000;
            let app = App::new(Source::new(store, Arc::default(), now), look, "").unwrap();
            let terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            Self {
                _folder: folder,
                app,
                terminal,
            }
        }

        fn press(&mut self, keys: &str) -> Effect {
            let mut effect = Effect::None;
            for key in keys.chars() {
                let code = match key {
                    '\n' => KeyCode::Enter,
                    '\t' => KeyCode::Tab,
                    '\x1b' => KeyCode::Esc,
                    key => KeyCode::Char(key),
                };
                effect = self.app.key(KeyEvent::from(code)).unwrap();
                self.draw();
            }
            effect
        }

        fn draw(&mut self) -> String {
            self.terminal
                .draw(|frame| draw(frame, &mut self.app))
                .unwrap();
            let screen = self.terminal.backend().to_string();
            // The first line has the path, the second how long the filter took.
            screen.lines().skip(2).collect::<Vec<_>>().join("\n")
        }
    }

    #[test]
    fn the_screen_at_80_by_24() {
        let mut screen = Screen::new(80, 24);
        insta::assert_snapshot!("list", screen.draw());
        screen.press("\n");
        screen.press("n");
        insta::assert_snapshot!("error", screen.draw());
        screen.press("ggh");
        insta::assert_snapshot!("folded", screen.draw());
        screen.press("l3");
        insta::assert_snapshot!("attributes", screen.draw());
        screen.press("?");
        insta::assert_snapshot!("help", screen.draw());
    }

    #[test]
    fn two_traces_are_compared() {
        let mut screen = Screen::new(100, 30);
        screen.press("djd");
        insta::assert_snapshot!("diff", screen.draw());
        assert_eq!(screen.press("qq"), Effect::Quit);
    }

    #[test]
    fn the_filter_is_live() {
        let mut screen = Screen::new(80, 24);
        screen.press("/name = 'support.turn'");
        assert_eq!(screen.app.found.entries.len(), 1);
        screen.press(" AND");
        assert!(screen.app.filter.error.is_some());
        assert_eq!(
            screen.app.found.entries.len(),
            1,
            "a text that is no query changes nothing"
        );
        screen.press("\x1b");
        assert_eq!(screen.app.found.entries.len(), 2);
        screen.press("/{ status = error }\n");
        assert!(!screen.app.filter.is_edited());
        assert_eq!(screen.app.found.entries.len(), 2);
    }

    #[test]
    fn a_payload_is_searched_and_folded() {
        let mut screen = Screen::new(80, 24);
        screen.press("\n\n/ORDER");
        assert!(screen.draw().contains("/ ORDER_"));
        screen.press("\nn");
        assert_eq!(screen.app.message, None, "it is there");
        screen.press("/nowhere");
        assert!(screen.app.message.is_some());
        screen.press("\x1b");
        assert_eq!(screen.app.search.text(), "");
        screen.press("3");
        let lines = |screen: &mut Screen| {
            let look = screen.app.look.clone();
            screen.app.payload_lines(&look).len()
        };
        let all = lines(&mut screen);
        screen.press("hh");
        let folded = lines(&mut screen);
        assert!(folded <= all, "{folded} {all}");
        screen.press("llllllll");
        assert_eq!(lines(&mut screen), all);
    }

    #[test]
    fn what_is_selected_is_copied() {
        let mut screen = Screen::new(80, 24);
        let id = samples::agent().trace_id.to_string();
        assert_eq!(screen.press("y"), Effect::Copy(id.clone()));
        assert_eq!(
            screen.press("\ny"),
            Effect::Copy(format!("{id}/0101010101010101"))
        );
        assert_eq!(
            screen.press("\ny"),
            Effect::Copy("\"where is my order?\"".to_owned())
        );
    }

    #[test]
    fn hostile_texts_leave_the_screen_as_it_is() {
        let mut trace = samples::hostile();
        for span in &mut trace.spans {
            span.inputs = Some(spanlite_model::Json::string(&span.name));
            span.attributes.set(span.name.clone(), span.name.clone());
        }
        let mut screen = Screen::of(&[trace], 80, 24);
        for key in "\n\n12345j1jL3jm1k?".chars() {
            screen.press(&key.to_string());
            let buffer = screen.terminal.backend().buffer();
            for (place, cell) in buffer.content().iter().enumerate() {
                let obeyed = cell.symbol().chars().any(crate::render::is_unsafe);
                assert!(!obeyed, "{:?} after {key:?}", cell.symbol());
                let edge = cell.symbol();
                let is_last = place % 80 == 79 && place / 80 > 1 && place / 80 < 23;
                assert!(
                    !is_last || "│┐┘┤─ ┃".contains(edge),
                    "{edge:?} after {key:?}"
                );
            }
        }
    }

    #[test]
    fn every_size_and_key_is_survived() {
        for (width, height) in [(1, 1), (20, 5), (60, 12), (200, 60)] {
            let mut screen = Screen::new(width, height);
            screen.draw();
            screen.press("jkGg\thlanN12345mLdjd\x1b\x1b\tjGk\t?jkq/x\x1bff");
        }
    }
}
