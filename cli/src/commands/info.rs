use spanlite_store::{JournalForm, StoreInfo};

use crate::error::{CliError, Outcome};
use crate::render::{Line, Node, Role, Sheet, object, units};
use crate::session::Session;

/// Says what the store holds and how it is. Looks without writing, so that the writers counted
/// are those of others.
pub(super) fn run(session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = session.store_to_look()?;
    let info = store.info()?;
    let path = store.path().display().to_string();
    if session.out.wants_json() {
        session.out.object(&info_item(path, &info))?;
        return Ok(Outcome::Done);
    }
    let mut sheet = session.out.sheet();
    let mut line = Line::of(Role::Strong, &path);
    line.text(
        Role::Dim,
        &format!("  format {}  {}", info.format, info.store_id),
    );
    sheet.line(&line)?;
    let mut line = Line::new();
    line.pad(2)
        .text(Role::Plain, &units::plural(info.traces, "trace"));
    line.pad(2)
        .text(Role::Plain, &units::plural(info.spans, "span"));
    line.pad(2).text(Role::Plain, &units::bytes(info.bytes));
    line.text(
        Role::Plain,
        &format!(" in {}", units::plural(info.segments, "segment")),
    );
    sheet.line(&line)?;
    fact(&mut sheet, Role::Running, info.live_writers, |count| {
        let mut forms: Vec<&str> = info.live_journals.iter().map(|it| form_name(*it)).collect();
        forms.sort_unstable();
        forms.dedup();
        let programs = units::plural(count, "program");
        format!(
            "{programs} writing at this moment, journal {}",
            forms.join(" and ")
        )
    })?;
    fact(&mut sheet, Role::Interrupted, info.dead_journals, |count| {
        let journals = units::plural(count, "journal");
        format!(
            "{journals} of killed writers, read where they are until the next writer stores them"
        )
    })?;
    fact(&mut sheet, Role::Error, info.dropped, |count| {
        format!("{} dropped", units::plural(count, "record"))
    })?;
    fact(&mut sheet, Role::Error, info.quarantined, |count| {
        format!(
            "{} moved to quarantine/",
            units::plural(count, "damaged file")
        )
    })?;
    fact(&mut sheet, Role::Error, info.damaged, |count| {
        format!(
            "{}; spanlite verify says where",
            units::plural(count, "damaged place")
        )
    })?;
    Ok(Outcome::Done)
}

fn info_item(path: String, info: &StoreInfo) -> Node {
    object([
        ("path", path.into()),
        ("store_id", info.store_id.to_string().into()),
        ("format", u64::from(info.format).into()),
        ("traces", info.traces.into()),
        ("spans", info.spans.into()),
        ("bytes", info.bytes.into()),
        ("segments", info.segments.into()),
        ("live_writers", info.live_writers.into()),
        (
            "live_journals",
            Node::List(
                info.live_journals
                    .iter()
                    .map(|form| form_name(*form).into())
                    .collect(),
            ),
        ),
        ("dead_journals", info.dead_journals.into()),
        ("quarantined", info.quarantined.into()),
        ("damaged", info.damaged.into()),
        ("dropped", info.dropped.into()),
    ])
}

/// How a journal is kept. One that is mapped loses nothing in a kill, one that is written the last
/// 16 spans of each thread, one in memory what was not committed.
fn form_name(form: JournalForm) -> &'static str {
    match form {
        JournalForm::Mapped => "mapped",
        JournalForm::Written => "written",
        _ => "in memory",
    }
}

/// A line that is left out when its count is 0.
fn fact(
    sheet: &mut Sheet<'_>,
    role: Role,
    count: u64,
    text: impl FnOnce(u64) -> String,
) -> Result<(), CliError> {
    if count > 0 {
        let mut line = Line::new();
        line.pad(2).text(role, &text(count));
        sheet.line(&line)?;
    }
    Ok(())
}
