//! What people and machines see of jobs.

use std::time::Duration;

use serde::Serialize;
use spanlite_export::{
    DeliveryProblem, ExportJob, ExportReport, JobStatus, RedactionRules, RunEnd, Schedule, Target,
};
use spanlite_model::TraceId;
use spanlite_store::Store;

use crate::args::Format;
use crate::error::{CliError, Outcome};
use crate::render::{Column, Line, Listing, Node, Role, json, object, units};
use crate::session::{Session, id_digits};

/// `prod → mlflow http://10.0.0.5:5000`.
pub(super) fn heading(job: &ExportJob) -> String {
    let (kind, url) = (job.target.kind(), job.target.url());
    format!("{} → {kind} {}", safe(&job.name), safe(url))
}

/// A text without characters that a terminal obeys, for places that no [`Line`] is drawn to.
pub(super) fn safe(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

/// As many digits of an id as tell it from all others of the store.
fn short(store: &Store, trace_ids: &[TraceId]) -> Result<Vec<String>, CliError> {
    let snapshot = store.snapshot()?;
    let mut digits = 0;
    for trace_id in trace_ids {
        digits = digits.max(id_digits(&snapshot, *trace_id)?);
    }
    let short = |id: &TraceId| units::short_id(*id, digits);
    Ok(trace_ids.iter().map(short).collect())
}

fn wants_json(session: &Session<'_>) -> bool {
    matches!(session.settings.format, Some(Format::Json | Format::Ndjson))
}

fn write_json(value: &impl Serialize, session: &mut Session<'_>) -> Result<(), CliError> {
    let style = session.out.json_style();
    json::write(session.out.data(), value, style)?;
    Ok(())
}

/// A value of another crate as it writes itself.
fn node(value: &impl Serialize) -> Node {
    let text = serde_json::to_string(value).unwrap_or_default();
    Node::parse(&text).unwrap_or(Node::Null)
}

/// The end of a run.
pub(super) fn summary(
    job: &ExportJob,
    report: &ExportReport,
    took: Duration,
    refusals: &[(TraceId, String)],
    store: &Store,
    session: &mut Session<'_>,
) -> Result<(), CliError> {
    if wants_json(session) {
        return write_json(report, session);
    }
    let mut counted = counts(report);
    if let Schedule::Follow { .. } = job.schedule {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let text = format!("   followed for {}", units::duration(nanos));
        counted.text(Role::Dim, &text);
    }
    let mut lines = vec![counted];
    let ids: Vec<TraceId> = refusals.iter().map(|(trace_id, _)| *trace_id).collect();
    for ((_, reason), id) in refusals.iter().zip(short(store, &ids)?) {
        let mut line = Line::new();
        line.sign(Role::Error, "✗ ")
            .text(Role::Id, &id)
            .text(Role::Plain, &format!(" refused: {reason}"));
        lines.push(line);
    }
    if report.n_refused > 0 && job.is_kept(store)? {
        let text = format!(
            "  kept, see `spanlite jobs show {} --failed`; \
             `spanlite jobs retry {}` tries again",
            job.name, job.name
        );
        lines.push(Line::of(Role::Dim, &text));
    }
    if let Some(trouble) = &report.trouble {
        let mut line = Line::new();
        line.sign(Role::Warning, "! ").text(Role::Plain, trouble);
        lines.push(line);
    }
    if report.n_left > 0 {
        let why = match report.end {
            RunEnd::Unreachable => "the target did not answer",
            _ => "stopped",
        };
        let text = if job.is_kept(store)? {
            format!(
                "{why}; what was sent is noted, `spanlite jobs run {}` goes on",
                job.name
            )
        } else {
            format!("{why}; what was sent is noted, the same command goes on")
        };
        lines.push(Line::of(Role::Dim, &text));
    }
    let mut sheet = session.out.plain_sheet();
    for line in &lines {
        sheet.line(line)?;
    }
    Ok(())
}

/// `✓ 1 101 sent   2 waiting (still running)   1 refused   redacted 57 values`.
fn counts(report: &ExportReport) -> Line {
    let mut line = Line::new();
    if report.is_complete() {
        line.sign(Role::Ok, "✓ ");
    } else {
        line.sign(Role::Warning, "! ");
    }
    let mut parts = vec![format!("{} sent", units::count(report.n_sent))];
    let mut add = |number: u64, what: &str| {
        if number > 0 {
            parts.push(format!("{} {what}", units::count(number)));
        }
    };
    add(report.n_updated, "sent again, changed");
    add(report.n_unchanged, "there already");
    add(report.n_running, "waiting (still running)");
    add(
        report.n_interrupted,
        "waiting (interrupted, see --include-interrupted)",
    );
    add(report.n_unsettled, "waiting (root missing)");
    add(report.n_left, "left");
    add(report.n_refused, "refused");
    add(report.n_damaged, "damaged places skipped");
    add(report.n_kept_edits, "edits on the server kept");
    let adjusted = report.adjusted;
    add(adjusted.redacted, "values redacted");
    add(adjusted.cut_texts, "texts cut");
    let rewritten = adjusted.integers_as_text + adjusted.subtrees_as_text + adjusted.bytes_as_text;
    add(rewritten, "values sent as text");
    if report.n_selected == 0 && report.end == RunEnd::Complete {
        parts.push("the job selects no trace".to_owned());
    }
    line.text(Role::Plain, &parts.join("   "));
    line
}

/// What a run would send.
pub(super) fn dry(report: &ExportReport, session: &mut Session<'_>) -> Result<(), CliError> {
    if wants_json(session) {
        return write_json(report, session);
    }
    let n_traces = report.n_sent + report.n_updated;
    let text = format!(
        "would send {}, {}, {} before packing",
        units::plural(n_traces, "trace"),
        units::plural(report.n_spans, "span"),
        units::bytes(report.n_bytes)
    );
    let lines = [Line::of(Role::Plain, &text), counts_of_rest(report)];
    let mut sheet = session.out.plain_sheet();
    for line in &lines {
        sheet.line(line)?;
    }
    Ok(())
}

fn counts_of_rest(report: &ExportReport) -> Line {
    let text = format!(
        "{} there already, {} waiting, {} refused, {} selected",
        units::count(report.n_unchanged),
        units::count(report.n_waiting()),
        units::count(report.n_refused),
        units::count(report.n_selected)
    );
    Line::of(Role::Dim, &text)
}

fn status_item(job: &ExportJob, status: &JobStatus, n_waiting: u64) -> Node {
    object([
        ("name", job.name.as_str().into()),
        ("target", job.target.kind().into()),
        ("url", job.target.url().into()),
        ("running", status.is_running.into()),
        ("sent", status.n_sent.into()),
        ("waiting", n_waiting.into()),
        ("refused", status.n_refused.into()),
        ("last_run", node(&status.last_run)),
    ])
}

/// How far each job has come, a line each.
pub(crate) fn job_states(store: &Store) -> Result<Vec<(Role, String)>, CliError> {
    let jobs = ExportJob::list(store)?.into_iter().map(|job| {
        let status = job.status(store)?;
        let n_waiting = job.count_waiting(store)?;
        let (role, state) = state(&status);
        let tally = tally(&status, n_waiting, ", ");
        let text = format!("job {}: {tally}, {state}", heading(&job));
        Ok((role, text))
    });
    jobs.collect()
}

/// `1,101 sent, 2 waiting, 1 refused`.
fn tally(status: &JobStatus, n_waiting: u64, between: &str) -> String {
    let counts = [
        (status.n_sent, "sent"),
        (n_waiting, "waiting"),
        (status.n_refused, "refused"),
    ];
    let parts = counts.map(|(number, what)| format!("{} {what}", units::count(number)));
    parts.join(between)
}

pub(super) fn list(session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = session.store()?;
    let mut listing = Listing::new(vec![
        Column::left("JOB"),
        Column::left("TARGET").shrinks_to(20),
        Column::right("SENT"),
        Column::right("WAITING"),
        Column::right("REFUSED"),
        Column::left("STATE"),
    ]);
    let jobs = ExportJob::list(&store)?;
    if jobs.is_empty() {
        let hint = "no job is kept; `spanlite jobs add NAME --to mlflow --url URL` keeps one";
        session.out.hint(hint);
    }
    for job in jobs {
        let status = job.status(&store)?;
        let n_waiting = job.count_waiting(&store)?;
        let state = state(&status);
        listing.push(
            vec![
                (Role::Key, job.name.clone()),
                (
                    Role::Plain,
                    format!("{} {}", job.target.kind(), job.target.url()),
                ),
                (Role::Number, units::count(status.n_sent)),
                (Role::Number, units::count(n_waiting)),
                (Role::Number, units::count(status.n_refused)),
                state,
            ],
            status_item(&job, &status, n_waiting),
        );
    }
    session.out.list(&listing)?;
    Ok(Outcome::Done)
}

fn state(status: &JobStatus) -> (Role, String) {
    let words = match &status.last_run {
        _ if status.is_running => return (Role::Running, "running".to_owned()),
        None => return (Role::Dim, "never ran".to_owned()),
        Some(run) => match run.report.end {
            RunEnd::Complete => return (Role::Ok, "done".to_owned()),
            RunEnd::Stopped => "stopped",
            RunEnd::Unreachable => "target did not answer",
            RunEnd::Unfinished if run.error.is_some() => "failed",
            RunEnd::Unfinished => "killed",
            _ => "ended early",
        },
    };
    (Role::Warning, words.to_owned())
}

pub(super) fn status(name: &str, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = session.store()?;
    let job = ExportJob::find(&store, name)?;
    let status = job.status(&store)?;
    let n_waiting = job.count_waiting(&store)?;
    if wants_json(session) {
        write_json(&status_item(&job, &status, n_waiting), session)?;
        return Ok(Outcome::Done);
    }
    let (role, state) = state(&status);
    let mut first = Line::of(Role::Strong, &heading(&job));
    first.pad(3).text(role, &state);
    if let Some(run) = &status.last_run {
        let at = run
            .ended_time_unix_nano
            .unwrap_or(run.started_time_unix_nano);
        let at = session.out.look().month_day_time(at);
        first.pad(3).text(Role::Dim, &at);
    }
    let mut lines = vec![
        first,
        Line::of(Role::Plain, &tally(&status, n_waiting, "   ")),
    ];
    if let Some(error) = status.last_run.and_then(|run| run.error) {
        let mut line = Line::new();
        line.sign(Role::Warning, "! ").text(Role::Plain, &error);
        lines.push(line);
    }
    let mut sheet = session.out.plain_sheet();
    for line in &lines {
        sheet.line(line)?;
    }
    Ok(Outcome::Done)
}

pub(super) fn show(
    name: &str,
    failed: bool,
    session: &mut Session<'_>,
) -> Result<Outcome, CliError> {
    let store = session.store()?;
    let job = ExportJob::find(&store, name)?;
    let problems = job.problems(&store)?;
    if failed {
        if problems.is_empty() {
            session.out.hint("nothing was refused, and nothing waits");
        }
        session.out.list(&problem_list(&store, &problems)?)?;
        return Ok(Outcome::Done);
    }
    if wants_json(session) {
        let (status, n_waiting) = (job.status(&store)?, job.count_waiting(&store)?);
        let item = object([
            ("job", node(&job)),
            ("status", status_item(&job, &status, n_waiting)),
            ("problems", node(&problems)),
        ]);
        write_json(&item, session)?;
        return Ok(Outcome::Done);
    }
    let mut lines = vec![Line::of(Role::Strong, &heading(&job))];
    for (key, text) in facts(&job) {
        let mut line = Line::new();
        line.pad(2)
            .text(Role::Key, &format!("{key:<13}"))
            .text(Role::Plain, &text);
        lines.push(line);
    }
    let mut sheet = session.out.plain_sheet();
    for line in &lines {
        sheet.line(line)?;
    }
    if !problems.is_empty() {
        session.out.list(&problem_list(&store, &problems)?)?;
    }
    Ok(Outcome::Done)
}

fn facts(job: &ExportJob) -> Vec<(&'static str, String)> {
    let mut facts = vec![(
        "traces",
        job.query.clone().unwrap_or_else(|| "all".to_owned()),
    )];
    match &job.target {
        Target::Mlflow(server) => {
            facts.push(("experiment", server.experiment.clone()));
            facts.extend(server.workspace.clone().map(|name| ("workspace", name)));
        }
        Target::Otlp(endpoint) => {
            for (name, value) in &endpoint.headers {
                facts.push(("header", format!("{name}: {value}")));
            }
        }
        _ => {}
    }
    if let Schedule::Follow { interval_seconds } = job.schedule {
        facts.push(("looks every", format!("{interval_seconds} s")));
    }
    if job.redaction != RedactionRules::default() {
        let rules = &job.redaction;
        let mut words: Vec<String> = rules.keys.iter().map(|key| format!("key {key}")).collect();
        words.extend(
            rules
                .patterns
                .iter()
                .map(|(name, _)| format!("pattern {name}")),
        );
        if rules.default {
            words.insert(0, "default".to_owned());
        }
        facts.push(("redacts", words.join(", ")));
    }
    for (is_set, text) in [
        (job.include_interrupted, "interrupted traces too, as errors"),
        (job.number_repeats, "names of repeated spans numbered"),
        (job.overwrite_edits, "edits on the server overwritten"),
    ] {
        if is_set {
            facts.push(("", text.to_owned()));
        }
    }
    facts
}

fn problem_list(store: &Store, problems: &[DeliveryProblem]) -> Result<Listing, CliError> {
    let mut listing = Listing::new(vec![
        Column::left("TRACE"),
        Column::left("STATE"),
        Column::right("TRIES"),
        Column::left("WHY").shrinks_to(30),
    ]);
    let ids: Vec<TraceId> = problems.iter().map(|problem| problem.trace_id).collect();
    for (problem, id) in problems.iter().zip(short(store, &ids)?) {
        let (role, state) = if problem.is_refused {
            (Role::Error, "refused")
        } else {
            (Role::Warning, "waiting")
        };
        listing.push(
            vec![
                (Role::Id, id),
                (role, state.to_owned()),
                (Role::Number, problem.attempts.to_string()),
                (Role::Plain, problem.reason.clone()),
            ],
            node(problem),
        );
    }
    Ok(listing)
}
