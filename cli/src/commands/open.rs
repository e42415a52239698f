use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use spanlite_export::RedactionRules;
use spanlite_model::Trace;

use crate::args::OpenArgs;
use crate::ask;
use crate::error::{CliError, Outcome};
use crate::html::{self, Banner};
use crate::render::{Line, Role, object, units};
use crate::session::{Session, limit_or_all};

/// Writes the page to a temporary place that only the user can read, and opens it.
pub(super) fn run(args: &OpenArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = session.store()?;
    let snapshot = store.snapshot()?;
    let mut traces: Vec<Trace> = match &args.filter {
        None => vec![session.trace(&store, &snapshot, &args.trace)?],
        Some(text) => {
            let query = ask::read(text, &store)?;
            let asked = session.ask(&store, &args.select.since)?;
            let found = ask::matches(&snapshot, Some(&query), asked)?;
            let found = found.map(|found| Ok(found?.trace));
            found
                .take(limit_or_all(args.select.limit))
                .collect::<Result<_, CliError>>()?
        }
    };
    let banner = Banner {
        source: store.path().display().to_string(),
        time_unix_nano: session.settings.now_unix_nano,
        redacted: if args.raw {
            None
        } else {
            let rules = RedactionRules {
                default: true,
                ..RedactionRules::default()
            };
            let redaction = rules.compile().map_err(CliError::RedactionPattern)?;
            Some(traces.iter_mut().map(|trace| redaction.apply(trace)).sum())
        },
        incomplete: !session.warn_of_damage(&snapshot),
    };
    let traces: Vec<Arc<Trace>> = traces.into_iter().map(Arc::new).collect();
    let mut file = tempfile::Builder::new()
        .prefix("spanlite-")
        .suffix(".html")
        .tempfile()?;
    let mut out = std::io::BufWriter::new(file.as_file_mut());
    html::write(&mut out, &traces, &banner)?;
    out.flush()?;
    drop(out);
    let (_, path) = file.keep().map_err(|error| error.error)?;
    let opened = !args.print && open(session, &path);
    if session.out.wants_json() {
        let item = object([
            ("path", path.display().to_string().into()),
            ("opened", opened.into()),
            ("traces", traces.len().into()),
            ("redacted", banner.redacted.into()),
        ]);
        session.out.object(&item)?;
        return Ok(Outcome::Done);
    }
    let mut line = Line::new();
    let link = session.out.look().file_link(&path);
    line.linked(Role::Plain, &path.display().to_string(), link.as_deref());
    session.out.plain_sheet().line(&line)?;
    let count = units::plural(traces.len() as u64, "trace");
    let redacted = match banner.redacted {
        Some(0) => "nothing to redact".to_owned(),
        Some(values) => format!(
            "{} redacted, --raw keeps them",
            units::plural(values, "value")
        ),
        None => "not redacted".to_owned(),
    };
    session.out.hint(&format!("{count} · {redacted}"));
    if !opened && !args.print {
        session
            .out
            .hint("no program opens pages here: copy the file to where a browser is");
    }
    Ok(Outcome::Done)
}

/// Gives a file to whatever the platform opens such files with. Returns whether that began.
fn open(session: &Session<'_>, path: &Path) -> bool {
    session.settings.openers.iter().any(|opener| {
        let mut words = opener.split_whitespace();
        let Some(program) = words.next() else {
            return false;
        };
        let started = Command::new(program)
            .args(words)
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        started.is_ok()
    })
}
