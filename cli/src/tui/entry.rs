use spanlite_query::TraceHeader;

use crate::render::{Align, Line, Look, Role, state_sign, units};

/// When a trace began, in five columns: the time of today, the day of this year, the year.
fn started(unix_nano: u64, now_unix_nano: u64, look: &Look) -> String {
    let (date, today) = (look.date(unix_nano), look.date(now_unix_nano));
    let text = if date == today {
        look.time_of_day(unix_nano)
    } else if date.get(..4) == today.get(..4) {
        date.get(5..).unwrap_or_default().to_owned()
    } else {
        date
    };
    let year = text.get(4..5) == Some("-");
    let shown: String = text.chars().take(if year { 4 } else { 5 }).collect();
    format!("{shown:<5}")
}

/// A trace as a row of the list.
pub(super) fn entry_line(
    entry: &TraceHeader,
    width: usize,
    marked: bool,
    (look, now_unix_nano): (&Look, u64),
) -> Line {
    let mut line = Line::new();
    let role = Role::of_state(entry.state);
    line.sign(role, state_sign(entry.state)).pad(1);
    let time = started(entry.start_time_unix_nano, now_unix_nano, look);
    line.text(Role::Dim, &time).pad(1);
    if marked {
        line.text(Role::Changed, "d ");
    }
    let duration = units::duration(entry.duration_nanos);
    let rest = width.saturating_sub(line.width() + duration.chars().count() + 1);
    let name = entry.name.as_deref().unwrap_or("(no name)");
    line.cell(Role::Plain, name, rest, Align::Left);
    line.pad(1).text(Role::Plain, &duration);
    line
}
