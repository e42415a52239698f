use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use spanlite_model::{Cost, PriceTable, Span, SpanId, SpanType, TokenUsage, Trace, TraceId};
use spanlite_query::Query;
use spanlite_store::{Follow, Snapshot, Store, TimeRange};

use crate::args::{Format, TailArgs};
use crate::ask;
use crate::error::{CliError, Outcome};
use crate::render::{Line, Look, Role, error_text, json, span_item, tokens, units};
use crate::session::{Session, id_digits};
use crate::settings::now_unix_nano;

/// How long the store rests between two looks.
const POLL: Duration = Duration::from_millis(50);
/// Spans that are remembered as shown. Whoever comes again after so many others shows again.
const REMEMBERED_SPANS: usize = 200_000;

/// Something that happened to a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Began,
    Ended,
}

/// Shows spans as they begin and end, in every program that writes to the store.
pub(super) fn run(args: &TailArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = session.store_to_look()?;
    let query = ask::filter(args.query.as_deref(), &store)?;
    let mut tail = Tail {
        prices: session.prices(&store)?,
        query,
        known: HashMap::new(),
        n_known: 0,
        digits: HashMap::new(),
        machine: matches!(session.settings.format, Some(Format::Json | Format::Ndjson)),
    };
    // What is written from here on comes by the next look; nothing falls in between.
    let mut follow = store.follow();
    let earlier = follow.poll()?;
    let snapshot = store.snapshot()?;
    let mut first = tail.latest(&snapshot, args.lines)?;
    for span in &earlier {
        tail.is_news(span, Phase::Began);
        if span.end_time_unix_nano.is_some() {
            tail.is_news(span, Phase::Ended);
        }
    }
    drop(snapshot);
    let skipped = first.len().saturating_sub(args.lines);
    first.drain(..skipped);
    tail.show(&first, session)?;
    if !args.follow {
        return Ok(Outcome::Done);
    }
    let interrupted = on_interrupt()?;
    let mut totals = Totals::default();
    loop {
        session.out.flush()?;
        match interrupted.recv_timeout(POLL) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
        }
        let news = tail.news(&store, &mut follow)?;
        totals.add(&news);
        tail.show(&news, session)?;
    }
    session.out.hint(&totals.text());
    Ok(Outcome::Interrupted)
}

/// Tells when the user interrupts the command.
fn on_interrupt() -> Result<Receiver<()>, CliError> {
    let (tell, told) = mpsc::channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    thread::spawn(move || {
        // The end of the thread tells too: where signals cannot be heard, following ends.
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            tell.send(()).unwrap_or_default();
        }
    });
    Ok(told)
}

/// What was seen of a span.
struct Known {
    depth: usize,
    ended: bool,
}

struct Tail {
    prices: Arc<PriceTable>,
    query: Option<Query>,
    known: HashMap<TraceId, HashMap<SpanId, Known>>,
    n_known: usize,
    /// Digits that tell a trace, by trace.
    digits: HashMap<TraceId, usize>,
    machine: bool,
}

struct Happening {
    time_unix_nano: u64,
    phase: Phase,
    span: Span,
    depth: usize,
    digits: usize,
}

impl Tail {
    /// Remembers what happened to a span. Returns whether it is news.
    fn is_news(&mut self, span: &Span, phase: Phase) -> bool {
        if self.n_known >= REMEMBERED_SPANS {
            self.known.clear();
            self.digits.clear();
            self.n_known = 0;
        }
        let spans = self.known.entry(span.trace_id).or_default();
        if let Some(known) = spans.get_mut(&span.span_id) {
            let is_news = phase == Phase::Ended && !known.ended;
            known.ended |= phase == Phase::Ended;
            return is_news;
        }
        let parent = span.parent_span_id.and_then(|parent| spans.get(&parent));
        let depth = parent.map_or(0, |parent| parent.depth + 1);
        let ended = phase == Phase::Ended;
        spans.insert(span.span_id, Known { depth, ended });
        self.n_known += 1;
        true
    }

    /// What happened in the newest traces, in order of time; at least so many lines, where there
    /// are.
    fn latest(&mut self, snapshot: &Snapshot, lines: usize) -> Result<Vec<Happening>, CliError> {
        /// Traces that run at the same time.
        const TRACES: usize = 20;
        let mut found = Vec::new();
        for (n_traces, trace) in snapshot.traces(TimeRange::default()).enumerate() {
            if n_traces >= TRACES && found.len() >= lines {
                break;
            }
            let mut trace = trace?;
            self.prices.apply(&mut trace);
            let wanted = self.wanted(&trace)?;
            for node in trace.forest().nodes() {
                let span = &trace.spans[node.span];
                self.happenings(
                    span,
                    snapshot,
                    |span_id| wanted.as_ref().is_none_or(|it| it.contains(&span_id)),
                    &mut found,
                )?;
            }
        }
        sort(&mut found);
        Ok(found)
    }

    /// What happened since the last look, in order of time.
    fn news(&mut self, store: &Store, follow: &mut Follow) -> Result<Vec<Happening>, CliError> {
        let mut spans = follow.poll()?;
        if spans.is_empty() {
            return Ok(Vec::new());
        }
        // Parents before what they called, so that depths are known.
        spans.sort_by_key(|span| (span.start_time_unix_nano, span.end_time_unix_nano.is_some()));
        let snapshot = store.snapshot()?;
        let mut wanted = HashMap::new();
        let mut news = Vec::new();
        for mut span in spans {
            if self.query.is_some() && !wanted.contains_key(&span.trace_id) {
                let of_trace = match snapshot.trace(span.trace_id)? {
                    Some(mut trace) => {
                        self.prices.apply(&mut trace);
                        self.wanted(&trace)?
                    }
                    None => None,
                };
                wanted.insert(span.trace_id, of_trace.unwrap_or_default());
            }
            let mut one = Trace::new(span.trace_id, vec![span]);
            self.prices.apply(&mut one);
            span = match one.spans.pop() {
                Some(span) => span,
                None => continue,
            };
            let shows = |span_id: SpanId| {
                wanted
                    .get(&span.trace_id)
                    .is_none_or(|of_trace| of_trace.contains(&span_id))
            };
            self.happenings(&span, &snapshot, shows, &mut news)?;
        }
        sort(&mut news);
        Ok(news)
    }

    /// The spans of a trace that fit the query; nothing where all do.
    fn wanted(&self, trace: &Trace) -> Result<Option<HashSet<SpanId>>, CliError> {
        let Some(query) = &self.query else {
            return Ok(None);
        };
        let sets = query
            .evaluate(trace, now_unix_nano())
            .map_err(spanlite_query::RunError::from)?;
        let spans = sets.iter().flat_map(|set| &set.spans);
        Ok(Some(
            spans
                .map(|found| trace.spans[found.index].span_id)
                .collect(),
        ))
    }

    /// Adds what of a span is news.
    fn happenings(
        &mut self,
        span: &Span,
        snapshot: &Snapshot,
        shows: impl Fn(SpanId) -> bool,
        found: &mut Vec<Happening>,
    ) -> Result<(), CliError> {
        let began = Some((Phase::Began, span.start_time_unix_nano));
        let ended = span.end_time_unix_nano.map(|end| (Phase::Ended, end));
        for (phase, time_unix_nano) in [began, ended].into_iter().flatten() {
            if !self.is_news(span, phase) || !shows(span.span_id) {
                continue;
            }
            let digits = match self.digits.get(&span.trace_id) {
                Some(digits) => *digits,
                None => id_digits(snapshot, span.trace_id)?,
            };
            self.digits.insert(span.trace_id, digits);
            let known = self.known.get(&span.trace_id);
            let known = known.and_then(|spans| spans.get(&span.span_id));
            found.push(Happening {
                time_unix_nano,
                phase,
                span: span.clone(),
                depth: known.map_or(0, |known| known.depth),
                digits,
            });
        }
        Ok(())
    }

    fn show(&self, news: &[Happening], session: &mut Session<'_>) -> Result<(), CliError> {
        for one in news {
            if !self.machine {
                let line = line(one, session.out.look());
                session.out.plain_sheet().line(&line)?;
            } else if one.phase == Phase::Ended {
                let mut style = session.out.json_style();
                style.pretty = false;
                json::write(session.out.data(), &span_item(&one.span), style)?;
            }
        }
        Ok(())
    }
}

/// By time; of what happens at one moment, ends come first, from the leaves up.
fn sort(found: &mut [Happening]) {
    found.sort_by_key(|one| {
        let depth = one.depth as isize;
        match one.phase {
            Phase::Ended => (one.time_unix_nano, 0, -depth),
            Phase::Began => (one.time_unix_nano, 1, depth),
        }
    });
}

/// What has happened since the command began.
#[derive(Default)]
struct Totals {
    traces: HashSet<TraceId>,
    spans: u64,
    errors: u64,
    cost: Option<f64>,
}

impl Totals {
    fn add(&mut self, news: &[Happening]) {
        for one in news {
            self.traces.insert(one.span.trace_id);
            if one.phase == Phase::Ended {
                self.spans += 1;
                self.errors += u64::from(one.span.is_error());
                if let Some(cost) = Cost::of(&one.span).total_cost {
                    self.cost = Some(self.cost.unwrap_or(0.0) + cost);
                }
            }
        }
    }

    fn text(&self) -> String {
        let mut facts = vec![
            units::plural(self.traces.len() as u64, "trace"),
            units::plural(self.spans, "span"),
            units::plural(self.errors, "error"),
        ];
        facts.extend(self.cost.map(units::dollars));
        format!("{} since start", facts.join(", "))
    }
}

fn line(one: &Happening, look: &Look) -> Line {
    let span = &one.span;
    let mut line = Line::of(Role::Dim, &look.time_of_day_millis(one.time_unix_nano));
    let (role, sign) = match (one.phase, span.is_error()) {
        (Phase::Began, _) => (Role::Running, " ▶ "),
        (Phase::Ended, false) => (Role::Ok, " ✓ "),
        (Phase::Ended, true) => (Role::Error, " ✗ "),
    };
    line.sign(role, sign);
    let hex = units::short_id(span.trace_id, one.digits);
    let link = look.trace_link(span.trace_id);
    line.linked(Role::Id, &hex, link.as_deref()).pad(2);
    for _ in 0..one.depth.min(10) {
        line.sign(Role::Dim, "│ ");
    }
    if span.span_type != SpanType::Unknown {
        line.span_type(&span.span_type).pad(1);
    }
    line.fitted(Role::Plain, &span.name, 40);
    if one.phase == Phase::Ended {
        let mut facts = Vec::new();
        facts.extend(span.duration_nanos().map(units::duration));
        facts.extend(tokens(TokenUsage::of(span), units::short_count));
        facts.extend(Cost::of(span).total_cost.map(units::dollars));
        line.pad(2).text(Role::Dim, &facts.join("  "));
        if span.is_error() {
            let rest = look.width.saturating_sub(line.width() + 4);
            line.text(Role::Error, "  ! ")
                .fitted(Role::Error, &error_text(span), rest);
        }
    }
    line
}
