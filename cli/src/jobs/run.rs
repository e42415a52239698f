use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use spanlite_export::{
    EventListener, ExportJob, ExportReport, RunEvent, RunOptions, Schedule, StopSignal, dry_run,
};
use spanlite_model::{TraceId, with_causes};

use super::args::RunArgs;
use super::view;
use crate::error::{CliError, Outcome};
use crate::render::units;
use crate::session::Session;

/// Refusals that are shown one by one; `jobs show --failed` has all.
const SHOWN_REFUSALS: usize = 10;

/// Sends what a job selects.
pub(super) fn run(args: &RunArgs, session: &mut Session<'_>) -> Result<Outcome, CliError> {
    let store = if args.dry_run {
        session.store()?
    } else {
        session.store_to_write(false)?
    };
    let mut job = ExportJob::find(&store, &args.name)?;
    job.schedule = if args.follow {
        Schedule::Follow {
            interval_seconds: args.interval,
        }
    } else {
        Schedule::Once
    };
    job.include_interrupted |= args.include_interrupted;
    if args.dry_run {
        let report = dry_run(&store, &job, &RunOptions::default()).map_err(Box::new)?;
        view::dry(&report, session)?;
        return Ok(Outcome::Done);
    }
    let options = RunOptions {
        connections: args.connections,
        batch_traces: args.batch,
        patience: Duration::from_nanos(args.patience),
        ..RunOptions::default()
    };
    let report = send(&store, &job, options, session)?;
    // What is left is left: the report says it, and the exit code.
    store.close()?;
    Ok(outcome(&report))
}

pub(super) fn outcome(report: &ExportReport) -> Outcome {
    if report.is_complete() {
        Outcome::Done
    } else {
        Outcome::PartlyDone
    }
}

/// Runs a job in the foreground, with a bar on a terminal, until it is done or interrupted.
pub(super) fn send(
    store: &spanlite_store::Store,
    job: &ExportJob,
    mut options: RunOptions,
    session: &mut Session<'_>,
) -> Result<ExportReport, CliError> {
    let watch = Watch::new(job, options.patience, session);
    let stop = StopSignal::new();
    options.stop = stop.clone();
    options.on_event = Some(watch.listener());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let result = runtime.block_on(async {
        let run = spanlite_export::run(store, job, options);
        tokio::pin!(run);
        tokio::select! {
            result = &mut run => result,
            () = interrupted() => {
                stop.stop();
                run.await
            }
        }
    });
    let (took, refusals) = watch.finish();
    let report = result.map_err(Box::new)?;
    view::summary(job, &report, took, &refusals, store, session)?;
    Ok(report)
}

/// Waits until somebody asks the command to end: Ctrl-C, or a service that is stopped.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                Ok(()) = tokio::signal::ctrl_c() => return,
                Some(()) = terminated.recv() => return,
                else => {}
            }
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        // Nobody can ask; the run ends by itself.
        std::future::pending::<()>().await;
    }
}

/// Shows how far a run is.
struct Watch {
    began: Instant,
    shown: Arc<Shown>,
    refusals: Arc<Mutex<Vec<(TraceId, String)>>>,
}

/// A bar, and what it shows.
struct Shown {
    bar: ProgressBar,
    heading: String,
    progress: Mutex<Progress>,
    /// Where no bar is drawn, stderr tells when the target goes and comes.
    logs: bool,
    /// For how long it is tried again, in words.
    how_long: String,
    is_away: AtomicBool,
}

#[derive(Default)]
struct Progress {
    /// What is noted.
    report: ExportReport,
    /// Traces that the target took in this look at the store, noted or not.
    n_taken: u64,
}

impl Watch {
    fn new(job: &ExportJob, patience: Duration, session: &Session<'_>) -> Self {
        let settings = session.settings;
        let target = if settings.stderr_is_terminal && !settings.quiet {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        let signs = if settings.look.ascii { "#-" } else { "█░" };
        let template = "{prefix}   {bar:20}  {pos}/{len} traces  {msg}";
        // The default style is used where the template should not be understood.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars(signs));
        }
        let heading = view::heading(job);
        bar.set_prefix(heading.clone());
        bar.set_message("looking");
        Self {
            began: Instant::now(),
            shown: Arc::new(Shown {
                bar,
                heading,
                progress: Mutex::default(),
                logs: !settings.stderr_is_terminal && !settings.quiet,
                how_long: match job.schedule {
                    Schedule::Once => format!("for up to {} (--patience)", words(patience)),
                    _ => "until it answers".to_owned(),
                },
                is_away: AtomicBool::new(false),
            }),
            refusals: Arc::default(),
        }
    }

    fn listener(&self) -> EventListener {
        let shown = Arc::clone(&self.shown);
        let refusals = Arc::clone(&self.refusals);
        Arc::new(move |event| match event {
            RunEvent::Selected { n_traces } => {
                shown.bar.reset();
                shown.bar.set_length(n_traces);
                *shown.progress() = Progress::default();
            }
            RunEvent::Connected { version } if !version.is_empty() => {
                let version = view::safe(version);
                let prefix = format!("{} ({version})", shown.heading);
                shown.bar.set_prefix(prefix);
            }
            RunEvent::Taken { .. } => shown.change(|progress| progress.n_taken += 1),
            RunEvent::Progress(report) => {
                // A run that ends, or looks at what needs nothing, tells how far it is as well.
                if noted(report) > noted(&shown.progress().report) {
                    shown.log(false, || "the target answers again".to_owned());
                }
                shown.change(|progress| progress.report.clone_from(report));
            }
            RunEvent::Refused { trace_id, reason } => {
                // Values are pushed under the lock, nothing that could be left half done.
                let mut refusals = refusals.lock().unwrap_or_else(PoisonError::into_inner);
                if refusals.len() < SHOWN_REFUSALS {
                    refusals.push((trace_id, reason.to_owned()));
                }
            }
            RunEvent::Failed { error, retry_in } => {
                let text = view::safe(&with_causes(error));
                let again = format!("trying again in {}", words(retry_in));
                shown.log(true, || format!("! {text}; {again}, {}", shown.how_long));
                shown.bar.set_message(format!("{again}: {text}"));
            }
            _ => {}
        })
    }

    /// Ends the bar. Gives how long the run took, and what was refused.
    fn finish(self) -> (Duration, Vec<(TraceId, String)>) {
        self.shown.bar.finish_and_clear();
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        (self.began.elapsed(), std::mem::take(&mut refusals))
    }
}

impl Shown {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        // Numbers are set under the lock, nothing that could be left half done.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line when the target went away or came back.
    fn log(&self, is_away: bool, text: impl FnOnce() -> String) {
        if self.logs && self.is_away.swap(is_away, Ordering::Relaxed) != is_away {
            // Nobody reads it any more: the run goes on.
            drop(writeln!(io::stderr().lock(), "{}", text()));
        }
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.progress();
        change(&mut progress);
        let report = &progress.report;
        // What is noted was taken before; of what cannot be taken one by one only that is known.
        let n_noted = noted(report);
        let n_taken = progress.n_taken.max(n_noted);
        self.bar.set_position(report.n_done() - n_noted + n_taken);
        self.bar
            .set_message(rate(&self.bar, report.n_bytes, n_taken));
    }
}

/// Traces that were sent and noted.
fn noted(report: &ExportReport) -> u64 {
    report.n_sent + report.n_updated
}

fn words(time: Duration) -> String {
    units::duration(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// Bytes, traces a second and the time that is left.
fn rate(bar: &ProgressBar, n_bytes: u64, n_taken: u64) -> String {
    let seconds = bar.elapsed().as_secs_f64().max(0.001);
    let per_second = n_taken as f64 / seconds;
    let mut text = format!("{}  {per_second:.1}/s", units::bytes(n_bytes));
    if per_second > 0.0 {
        let left = bar.length().unwrap_or(0).saturating_sub(bar.position());
        let nanos = left as f64 / per_second * 1e9;
        text.push_str("  eta ");
        text.push_str(&units::duration(nanos as u64));
    }
    text
}
