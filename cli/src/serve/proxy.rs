use spanlite_server::{Proxy, ProxyOptions, ProxyTotals, Upstream};

use super::{ProxyArgs, asked_to_end, for_machines, runtime, say, say_object, token};
use crate::error::{CliError, Outcome};
use crate::render::{Line, Role, object, units};
use crate::session::Session;

/// Sends calls of models on and records them, until it is told to end.
pub(crate) fn proxy(args: &ProxyArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let mut options = ProxyOptions {
        token: token(args.listen.token_file.as_deref(), session)?,
        ..ProxyOptions::default()
    };
    if !args.listen.listen.is_empty() {
        options.listen.clone_from(&args.listen.listen);
    }
    for pair in &args.upstreams {
        let Some((name, url)) = pair.split_once('=') else {
            return Err(CliError::Pair { text: pair.clone() });
        };
        options.upstreams.retain(|one| one.name() != name);
        options.upstreams.push(Upstream::new(name, url)?);
    }
    let tracing = spanlite::builder()
        .path(&session.settings.store.value)
        .service_name("spanlite proxy")
        .init()
        .map_err(CliError::Tracer)?;
    let upstreams = options.upstreams.clone();
    let has_token = options.token.is_some();
    let totals = runtime()?.block_on(async {
        let proxy = Proxy::bind(options).await?;
        let addresses = proxy.addresses();
        let url = addresses.first().map(|address| format!("http://{address}"));
        let lines = lines(session, &url.unwrap_or_default(), &upstreams, has_token);
        let end = asked_to_end();
        say(session, &addresses, &lines)?;
        Ok::<ProxyTotals, CliError>(proxy.run(end).await)
    })?;
    let dropped = spanlite::dropped();
    tracing.close()?;
    sum_up(&totals, dropped, session)?;
    Ok(Outcome::Done)
}

fn lines(session: &Session<'_>, url: &str, upstreams: &[Upstream], has_token: bool) -> Vec<String> {
    let mut lines = vec![
        format!("recording into {}", session.settings.store.value.display()),
        "set in the environment of a program that calls models:".to_owned(),
    ];
    for upstream in upstreams {
        let name = upstream.name();
        let line = match name {
            "openai" => format!("  OPENAI_BASE_URL={url}/openai/v1"),
            "anthropic" => format!("  ANTHROPIC_BASE_URL={url}/anthropic"),
            "gemini" => format!("  GOOGLE_GEMINI_BASE_URL={url}/gemini"),
            "ollama" => format!("  OLLAMA_HOST={url}/ollama"),
            _ => format!("  {url}/{name}  for {}", upstream.base()),
        };
        lines.push(line);
    }
    if has_token {
        lines.push("and let it send the header `x-spanlite-token`.".to_owned());
    }
    lines.push("Ctrl-C ends.".to_owned());
    lines
}

fn sum_up(totals: &ProxyTotals, dropped: u64, session: &mut Session<'_>) -> Result<(), CliError> {
    if for_machines(session) {
        let item = object([
            ("event", "ended".into()),
            ("requests", totals.requests.into()),
            ("calls", totals.calls.into()),
            ("unanswered", totals.unanswered.into()),
            ("dropped_spans", dropped.into()),
        ]);
        return say_object(session, &item);
    }
    let text = format!(
        "{} recorded, of {}",
        units::plural(totals.calls, "call"),
        units::plural(totals.requests, "request"),
    );
    let mut line = Line::of(Role::Plain, &text);
    if totals.unanswered > 0 {
        let text = format!("; {} got no answer", units::count(totals.unanswered));
        line.text(Role::Warning, &text);
    }
    if dropped > 0 {
        let text = format!("; {} lost", units::plural(dropped, "span"));
        line.text(Role::Warning, &text);
    }
    if !session.settings.quiet {
        session.out.plain_sheet().line(&line)?;
    }
    Ok(())
}
