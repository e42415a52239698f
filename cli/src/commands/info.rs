use spanlite_store::{BackgroundFailure, JournalForm, StoreInfo};

use crate::error::{CliError, Outcome};
use crate::jobs::job_states;
use crate::render::{Line, Look, Node, Role, json, object, units};
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
    let jobs = job_states(&store)?;
    let mut sheet = session.out.sheet();
    let mut line = Line::of(Role::Strong, &path);
    line.text(
        Role::Dim,
        &format!("  format {}  {}", info.format, info.store_id),
    );
    sheet.line(&line)?;
    for text in contents(&info, sheet.look) {
        sheet.line(Line::new().pad(2).text(Role::Plain, &text))?;
    }
    for (role, text) in jobs {
        sheet.line(Line::new().pad(2).text(role, &text))?;
    }
    for (role, text) in states(&info) {
        sheet.line(Line::new().pad(2).text(role, &text))?;
    }
    if let Some(failure) = &info.last_failure {
        let text = failure_text(failure, sheet.look);
        sheet.line(Line::new().pad(2).text(Role::Warning, &text))?;
    }
    Ok(Outcome::Done)
}

/// What a store holds, a line each.
fn contents(info: &StoreInfo, look: &Look) -> Vec<String> {
    let mut lines = vec![format!(
        "{}  {}  {} in {}",
        units::plural(info.traces, "trace"),
        units::plural(info.spans, "span"),
        units::bytes(info.bytes),
        units::plural(info.segments, "segment")
    )];
    if let (Some(first), Some(last)) = (info.first_start_unix_nano, info.last_start_unix_nano) {
        lines.push(format!(
            "from {} to {}",
            look.date_time(first),
            look.date_time(last)
        ));
    }
    if info.column_bytes > 0 {
        lines.push(format!(
            "in blocks: {} texts, {} word index, {} columns",
            units::bytes(info.text_bytes),
            units::bytes(info.word_index_bytes),
            units::bytes(info.column_bytes),
        ));
    }
    lines
}

/// What is to be known of it at this moment, a line each.
fn states(info: &StoreInfo) -> Vec<(Role, String)> {
    let mut forms: Vec<&str> = info.live_journals.iter().map(|it| form_name(*it)).collect();
    forms.sort_unstable();
    forms.dedup();
    let all = [
        (
            info.live_writers,
            Role::Running,
            format!(
                "{} writing at this moment, journal {}",
                units::plural(info.live_writers, "program"),
                forms.join(" and ")
            ),
        ),
        (
            info.dead_journals,
            Role::Interrupted,
            format!(
                "{} of killed writers, read where they are until the next writer stores them",
                units::plural(info.dead_journals, "journal")
            ),
        ),
        (
            info.dropped,
            Role::Error,
            format!("{} dropped", units::plural(info.dropped, "record")),
        ),
        (
            info.quarantined,
            Role::Error,
            format!(
                "{} moved to quarantine/",
                units::plural(info.quarantined, "damaged file")
            ),
        ),
        (
            info.damaged,
            Role::Error,
            format!(
                "{}; spanlite verify says where",
                units::plural(info.damaged, "damaged place")
            ),
        ),
    ];
    all.into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(_, role, text)| (role, text))
        .collect()
}

/// What last went wrong in the background of a program that writes.
pub(super) fn failure_text(failure: &BackgroundFailure, look: &Look) -> String {
    format!(
        "{}: process {} failed to {}: {}",
        look.date_time(failure.time_unix_millis.saturating_mul(1_000_000)),
        failure.process,
        failure.action,
        failure.message
    )
}

fn failure_item(failure: &BackgroundFailure) -> Node {
    let time = failure.time_unix_millis.saturating_mul(1_000_000);
    object([
        ("time", json::time(time).into()),
        ("process", u64::from(failure.process).into()),
        ("action", failure.action.as_str().into()),
        ("message", failure.message.as_str().into()),
    ])
}

fn info_item(path: String, info: &StoreInfo) -> Node {
    let forms = info.live_journals.iter();
    object([
        ("path", path.into()),
        ("store_id", info.store_id.to_string().into()),
        ("format", u64::from(info.format).into()),
        ("traces", info.traces.into()),
        ("spans", info.spans.into()),
        (
            "first_start",
            info.first_start_unix_nano.map(json::time).into(),
        ),
        (
            "last_start",
            info.last_start_unix_nano.map(json::time).into(),
        ),
        ("bytes", info.bytes.into()),
        ("text_bytes", info.text_bytes.into()),
        ("word_index_bytes", info.word_index_bytes.into()),
        ("column_bytes", info.column_bytes.into()),
        ("loose_traces", info.loose_traces.into()),
        ("segments", info.segments.into()),
        ("live_writers", info.live_writers.into()),
        (
            "live_journals",
            Node::List(forms.map(|form| form_name(*form).into()).collect()),
        ),
        ("dead_journals", info.dead_journals.into()),
        ("quarantined", info.quarantined.into()),
        ("damaged", info.damaged.into()),
        ("dropped", info.dropped.into()),
        (
            "last_failure",
            info.last_failure.as_ref().map(failure_item).into(),
        ),
    ])
}

/// How a journal is kept. One that is mapped loses nothing in a kill, one that is written the last
/// 15 spans of each thread, one in memory what was not committed.
fn form_name(form: JournalForm) -> &'static str {
    match form {
        JournalForm::Mapped => "mapped",
        JournalForm::Written => "written",
        _ => "in memory",
    }
}
