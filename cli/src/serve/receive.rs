use spanlite_server::{ReceiveOptions, Receiver, Totals};

use super::{ReceiveArgs, asked_to_end, for_machines, runtime, say, say_object, token};
use crate::error::{CliError, Outcome};
use crate::render::{Line, Role, object, units};
use crate::session::Session;

/// Takes spans of other programs until it is told to end.
pub(crate) fn receive(args: &ReceiveArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let mut options = ReceiveOptions {
        token: token(args.listen.token_file.as_deref(), session)?,
        ..ReceiveOptions::default()
    };
    if !args.listen.listen.is_empty() {
        options.listen.clone_from(&args.listen.listen);
    }
    let store = session.store_to_write(true)?;
    let runtime = runtime()?;
    let totals = runtime.block_on(async {
        let receiver = Receiver::bind(store.clone(), &options).await?;
        let addresses = receiver.addresses();
        // The later of the two default ports is the one that OTLP names for HTTP.
        let url = addresses.last().map(|address| format!("http://{address}"));
        let url = url.unwrap_or_default();
        let mut lines = vec![
            format!("receiving into {}", session.settings.store.value.display()),
            "set in the environment of a program that is traced:".to_owned(),
            format!("  OTEL_EXPORTER_OTLP_ENDPOINT={url}"),
            "  OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf".to_owned(),
            "  OTEL_LOGS_EXPORTER=none OTEL_METRICS_EXPORTER=none".to_owned(),
            "or, for MLflow's client:".to_owned(),
            format!("  MLFLOW_TRACKING_URI={url}"),
        ];
        if options.token.is_some() {
            lines.push("and, with the token in place of TOKEN:".to_owned());
            lines.push("  OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20TOKEN".to_owned());
            lines.push("  MLFLOW_TRACKING_TOKEN=TOKEN".to_owned());
        }
        lines.push("Ctrl-C ends.".to_owned());
        let end = asked_to_end();
        say(session, &addresses, &lines)?;
        Ok::<Totals, CliError>(receiver.run(end).await)
    })?;
    store.close()?;
    sum_up(&totals, session)?;
    Ok(Outcome::Done)
}

fn sum_up(totals: &Totals, session: &mut Session<'_>) -> Result<(), CliError> {
    if for_machines(session) {
        let item = object([
            ("event", "ended".into()),
            ("requests", totals.requests.into()),
            ("spans", totals.spans.into()),
            ("new_spans", totals.new_spans.into()),
            ("refused_spans", totals.refused_spans.into()),
            ("refused_requests", totals.refused_requests.into()),
            ("writes", totals.writes.into()),
        ]);
        return say_object(session, &item);
    }
    let mut text = format!(
        "{} of {} stored",
        units::plural(totals.spans, "span"),
        units::plural(totals.requests, "request"),
    );
    let known = totals.spans.saturating_sub(totals.new_spans);
    if known > 0 {
        text = format!(
            "{text}; {} were there already",
            units::plural(known, "span")
        );
    }
    let mut line = Line::of(Role::Plain, &text);
    for (count, what) in [
        (totals.refused_spans, "span"),
        (totals.refused_requests, "request"),
    ] {
        if count > 0 {
            let text = format!("; {} refused", units::plural(count, what));
            line.text(Role::Warning, &text);
        }
    }
    if !session.settings.quiet {
        session.out.plain_sheet().line(&line)?;
    }
    Ok(())
}
