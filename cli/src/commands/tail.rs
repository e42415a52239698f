use std::collections::{HashMap, HashSet};
use std::thread;
use std::time::Duration;

use spanlite_model::{Cost, Span, SpanId, SpanType, TokenUsage, Trace, TraceId};
use spanlite_store::{Store, TimeRange};

use crate::args::{Format, TailArgs};
use crate::error::{CliError, Outcome};
use crate::render::{Line, Look, Role, error_text, json, span_item, tokens, units};
use crate::session::{Session, id_digits};

/// How long the store rests between two looks.
const POLL: Duration = Duration::from_millis(100);
/// Traces that began longer ago than this, and had ended, are not looked at again.
const WINDOW_NANOS: u64 = 15 * 60 * 1_000_000_000;

/// Something that happened to a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Began,
    Ended,
}

/// What was shown of a span already.
type Seen = HashSet<(TraceId, SpanId, Phase)>;

/// Shows spans as they begin and end, in every program that writes to the store.
pub(super) fn run(args: &TailArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = session.store_to_look()?;
    let mut tail = Tail {
        seen: Seen::new(),
        digits: HashMap::new(),
        machine: matches!(session.settings.format, Some(Format::Json | Format::Ndjson)),
    };
    let began = session.settings.now_unix_nano;
    let range = TimeRange {
        start_unix_nano: began.saturating_sub(WINDOW_NANOS),
        ..TimeRange::default()
    };
    // What happened before is shown as far as it was asked for, and not again.
    let mut first = tail.news(
        &store,
        if args.follow {
            range
        } else {
            TimeRange::default()
        },
    )?;
    let skipped = first.len().saturating_sub(args.lines);
    first.drain(..skipped);
    tail.show(&first, session)?;
    if !args.follow {
        return Ok(Outcome::Done);
    }
    loop {
        session.out.flush()?;
        thread::sleep(POLL);
        let news = tail.news(&store, range)?;
        tail.show(&news, session)?;
    }
}

struct Tail {
    seen: Seen,
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
    /// What happened since the last look, in order of time.
    fn news(&mut self, store: &Store, range: TimeRange) -> Result<Vec<Happening>, CliError> {
        let snapshot = store.snapshot()?;
        let mut news = Vec::new();
        for trace in snapshot.traces(range) {
            let trace = trace?;
            let digits = match self.digits.get(&trace.trace_id) {
                Some(digits) => *digits,
                None => id_digits(&snapshot, trace.trace_id)?,
            };
            self.digits.insert(trace.trace_id, digits);
            self.news_of(&trace, digits, &mut news);
        }
        // Of what happens at one moment, ends come first, from the leaves up.
        news.sort_by_key(|one| {
            let depth = one.depth as isize;
            match one.phase {
                Phase::Ended => (one.time_unix_nano, 0, -depth),
                Phase::Began => (one.time_unix_nano, 1, depth),
            }
        });
        Ok(news)
    }

    fn news_of(&mut self, trace: &Trace, digits: usize, news: &mut Vec<Happening>) {
        let forest = trace.forest();
        for node in forest.nodes() {
            let span = &trace.spans[node.span];
            let began = Some((Phase::Began, span.start_time_unix_nano));
            let ended = span.end_time_unix_nano.map(|end| (Phase::Ended, end));
            for (phase, time_unix_nano) in [began, ended].into_iter().flatten() {
                if self.seen.insert((trace.trace_id, span.span_id, phase)) {
                    news.push(Happening {
                        time_unix_nano,
                        phase,
                        span: span.clone(),
                        depth: node.depth as usize,
                        digits,
                    });
                }
            }
        }
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

fn line(one: &Happening, look: &Look) -> Line {
    let span = &one.span;
    let mut line = Line::of(Role::Dim, &look.time_of_day_millis(one.time_unix_nano));
    let (role, sign) = match (one.phase, span.is_error()) {
        (Phase::Began, _) => (Role::Running, " ▶ "),
        (Phase::Ended, false) => (Role::Ok, " ✓ "),
        (Phase::Ended, true) => (Role::Error, " ✗ "),
    };
    line.sign(role, sign);
    let hex: String = span.trace_id.to_hex().chars().take(one.digits).collect();
    line.text(Role::Id, &hex).pad(2);
    for _ in 0..one.depth.min(10) {
        line.sign(Role::Dim, "│ ");
    }
    if span.span_type != SpanType::Unknown {
        line.text(Role::of_type(&span.span_type), span.span_type.as_str())
            .pad(1);
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
