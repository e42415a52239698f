//! Jobs that send traces elsewhere: kept in the store, run by hand or on and on.

mod args;
mod run;
mod view;

use std::time::Duration;

use spanlite_export::{
    Credentials, ExportJob, MlflowServer, OtlpEndpoint, RedactionRules, RunOptions, Target,
};

use self::args::AddArgs;
pub(crate) use self::args::{DEFAULT_PATIENCE, HowArgs, JobsCommand, ServerArgs, TargetKind};
pub(crate) use self::view::job_states;
use crate::args::ExportArgs;
use crate::ask;
use crate::error::{CliError, Outcome};
use crate::render::{Line, Role, object, units};
use crate::session::{Session, find_trace};

/// Does what a command says.
pub(crate) fn jobs(command: &JobsCommand, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    match command {
        JobsCommand::Add(args) => add(args, session),
        JobsCommand::List => view::list(session),
        JobsCommand::Run(args) => run::run(args, session),
        JobsCommand::Status { name } => view::status(name, session),
        JobsCommand::Show { name, failed } => view::show(name, *failed, session),
        JobsCommand::Retry { name, traces, sent } => retry(name, traces, *sent, session),
        JobsCommand::Rm { name, yes } => remove(name, *yes, session),
    }
}

fn add(args: &AddArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = session.store_to_write(false)?;
    let target = target_of(args.target.to, &args.target.server)?;
    let mut job = prepared(ExportJob::new(&args.name, target), &args.how)?;
    if let Some(text) = &args.filter {
        // A saved query is taken as it is; changing it later does not change the job.
        job.query = Some(ask::read(text, &store)?.source().to_owned());
    }
    job.add(&store)?;
    store.close()?;
    let hint = format!("kept; send with `spanlite jobs run {}`", args.name);
    let item = object([
        ("name", args.name.as_str().into()),
        ("to", job.target.kind().into()),
        ("url", job.target.url().into()),
        ("query", job.query.as_deref().into()),
    ]);
    session.out.done(Line::of(Role::Dim, &hint), &item)?;
    Ok(Outcome::Done)
}

/// Sends traces once, without keeping a job. What was sent to the same place before is remembered.
pub(crate) fn export(
    kind: TargetKind,
    args: &ExportArgs,
    session: &mut Session<'_>,
) -> Result<Outcome, CliError> {
    if args.select.limit.is_some_and(|limit| limit > 0) {
        return Err(CliError::LimitOfServer);
    }
    let store = session.store_to_write(false)?;
    let target = target_of(kind, &args.server)?;
    let mut job = prepared(ExportJob::once(target), &args.how)?;
    if let Some(text) = &args.filter {
        job.query = Some(ask::read(text, &store)?.source().to_owned());
    }
    let options = RunOptions {
        since_unix_nano: Some(session.range(&args.select.since).start_unix_nano)
            .filter(|at| *at > 0),
        patience: Duration::from_nanos(args.patience),
        ..RunOptions::default()
    };
    let report = run::send(&store, &job, options, session)?;
    store.close()?;
    Ok(run::outcome(&report))
}

fn prepared(job: ExportJob, how: &HowArgs) -> Result<ExportJob, CliError> {
    Ok(ExportJob {
        redaction: redaction_of(&how.redact)?,
        include_interrupted: how.include_interrupted,
        number_repeats: how.number_repeats,
        overwrite_edits: how.overwrite_edits,
        ..job
    })
}

fn target_of(kind: TargetKind, server: &ServerArgs) -> Result<Target, CliError> {
    let credentials = match (&server.auth_file, &server.bearer_env, &server.basic_env) {
        (Some(path), _, _) => Credentials::File(path.clone()),
        (None, Some(name), _) => Credentials::BearerVariable(name.clone()),
        (None, None, Some(name)) => Credentials::BasicVariable(name.clone()),
        (None, None, None) if kind == TargetKind::Mlflow => Credentials::MlflowVariables,
        (None, None, None) => Credentials::None,
    };
    let ca_file = server.ca_file.clone();
    let url = server.url.clone().unwrap_or_default();
    Ok(match kind {
        TargetKind::Mlflow => Target::Mlflow(MlflowServer {
            url,
            experiment: server.experiment.clone(),
            workspace: server.workspace.clone(),
            credentials,
            ca_file,
        }),
        TargetKind::Otlp => Target::Otlp(OtlpEndpoint {
            url,
            headers: server
                .headers
                .iter()
                .map(|text| pair(text, '='))
                .collect::<Result<_, _>>()?,
            credentials,
            ca_file,
        }),
    })
}

fn pair(text: &str, between: char) -> Result<(String, String), CliError> {
    let parts = text.split_once(between).ok_or_else(|| CliError::Pair {
        text: text.to_owned(),
    })?;
    Ok((parts.0.trim().to_owned(), parts.1.trim().to_owned()))
}

/// The rules that `--redact` gives.
pub(crate) fn redaction_of(rules: &[String]) -> Result<RedactionRules, CliError> {
    let mut redaction = RedactionRules::default();
    for rule in rules {
        if rule == "default" {
            redaction.default = true;
            continue;
        }
        match rule.split_once('=') {
            Some(("key", key)) => redaction.keys.push(key.to_owned()),
            Some(("pattern", text)) => redaction.patterns.push(pair(text, ':')?),
            _ => {
                return Err(CliError::RedactionRule { rule: rule.clone() });
            }
        }
    }
    // A rule that cannot be used must not be kept.
    redaction.compile().map_err(CliError::RedactionPattern)?;
    Ok(redaction)
}

fn retry(
    name: &str,
    references: &[String],
    sent_too: bool,
    session: &mut Session<'_>,
) -> Result<Outcome, CliError> {
    let store = session.store_to_write(false)?;
    let job = ExportJob::find(&store, name)?;
    let n_retried = if references.is_empty() {
        let n_sent = if sent_too {
            job.forget_sent(&store)?
        } else {
            0
        };
        job.retry(&store, None)? + n_sent
    } else {
        let snapshot = store.snapshot()?;
        let ids = references
            .iter()
            .map(|reference| find_trace(&snapshot, reference).map(|trace| trace.trace_id))
            .collect::<Result<Vec<_>, _>>()?;
        job.retry(&store, Some(&ids))?
    };
    store.close()?;
    let text = format!(
        "{} will be tried again by `spanlite jobs run {name}`",
        units::plural(n_retried, "trace")
    );
    let item = object([("name", name.into()), ("retried", n_retried.into())]);
    session.out.done(Line::of(Role::Plain, &text), &item)?;
    Ok(Outcome::Done)
}

fn remove(name: &str, yes: bool, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = session.store_to_write(false)?;
    let job = ExportJob::find(&store, name)?;
    let status = job.status(&store)?;
    if !yes {
        let remembered = units::plural(status.n_sent, "sent trace");
        let text = format!("would remove the job `{name}`, with what it remembers of {remembered}");
        session.out.sheet().text(Role::Plain, &text)?;
        if !session.confirm("remove it? [y/N] ")? {
            return Ok(Outcome::Done);
        }
    }
    job.remove(&store)?;
    store.close()?;
    if session.out.wants_json() {
        let item = object([("name", name.into()), ("removed", true.into())]);
        session.out.object(&item)?;
    }
    Ok(Outcome::Done)
}
