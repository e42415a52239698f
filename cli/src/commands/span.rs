use spanlite_model::{Span, Trace};

use crate::args::SpanArgs;
use crate::error::{CliError, Outcome};
use crate::render::{JsonFold, span_item, span_page};
use crate::session::Session;

/// Shows everything of one span.
pub(super) fn run(args: &SpanArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = session.store()?;
    let snapshot = store.snapshot()?;
    let (trace_reference, span_reference) = args
        .span
        .split_once('/')
        .unwrap_or((args.span.as_str(), ""));
    let trace = session.trace(&store, &snapshot, trace_reference)?;
    session.warn_of_damage(&snapshot);
    let span = find_span(&trace, span_reference)?;
    if session.out.wants_json() {
        session.out.object(&span_item(span))?;
    } else {
        let fold = if args.full {
            JsonFold::FULL
        } else {
            JsonFold::SHORT
        };
        session
            .out
            .page(|sheet| span_page(sheet, &trace, span, fold))?;
    }
    Ok(Outcome::Done)
}

/// The span that a reference names: an id, the beginning of one, a name that comes once, or
/// nothing for the root.
pub(crate) fn find_span<'t>(trace: &'t Trace, reference: &str) -> Result<&'t Span, CliError> {
    let missing = || CliError::NoSpan {
        reference: reference.chars().take(80).collect(),
    };
    if reference.is_empty() {
        return trace.root().ok_or_else(missing);
    }
    let lower = reference.to_ascii_lowercase();
    let mut found: Vec<&Span> = trace
        .spans
        .iter()
        .filter(|span| span.span_id.to_string().starts_with(&lower))
        .collect();
    if found.is_empty() {
        found = trace
            .spans
            .iter()
            .filter(|span| span.name == reference)
            .collect();
    }
    match found.as_slice() {
        [] => Err(missing()),
        [one] => Ok(one),
        many => Err(CliError::AmbiguousSpan {
            reference: reference.chars().take(80).collect(),
            candidates: many
                .iter()
                .take(8)
                .map(|span| {
                    let name: String = span.name.chars().take(60).collect();
                    format!("{} {name}", span.span_id)
                })
                .collect(),
        }),
    }
}
