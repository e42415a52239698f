//! Begins and ends tracing of the program.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spanlite_model::with_causes;
use spanlite_store::{CloseError, FlushError, OpenError, Store};

use crate::config::{Builder, builder, environment};
use crate::tracer::{self, Sink, Source, Tracer};
use crate::warning::Warning;
use crate::{live, panics};

/// Why tracing did not begin. The program can go on without it: spans then record nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// The store cannot be opened.
    #[error("cannot open the store `{}`", path.display())]
    Open {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: OpenError,
    },
    /// Tracing has begun already, into another store.
    #[error("tracing goes into `{}` already, not into `{}`", present.display(), asked.display())]
    OtherStore {
        /// Where traces go.
        present: PathBuf,
        /// Where this call wanted them.
        asked: PathBuf,
    },
}

/// Ends tracing when it is dropped: everything that ended is on disk then.
///
/// Keep it until the end of `main`. [`std::process::exit`] drops nothing; call
/// [`Guard::close`] before it.
#[derive(Debug)]
#[must_use = "tracing ends when the guard is dropped"]
pub struct Guard {
    store: Option<Store>,
}

/// The store that spans go to, and how many guards hold it.
struct Present {
    path: PathBuf,
    tracer: Arc<Tracer>,
    store: Store,
    guards: usize,
}

static PRESENT: Mutex<Option<Present>> = Mutex::new(None);

fn present() -> MutexGuard<'static, Option<Present>> {
    PRESENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins tracing into the store at `path`, which is made if it is not there.
///
/// A second call with the same path gives another guard; tracing ends with the last one. With
/// another path it is an error.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("traces.spans");
/// let _tracing = spanlite::init(path)?;
/// spanlite::in_span("hello", |_| ());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn init(path: impl AsRef<Path>) -> Result<Guard, InitError> {
    builder().path(path.as_ref()).init()
}

impl Builder {
    /// Begins tracing.
    pub fn init(mut self) -> Result<Guard, InitError> {
        Warning::Variables.once(self.fill(environment));
        if !cfg!(feature = "enable") || !self.is_enabled() {
            return Ok(Guard { store: None });
        }
        let path = self
            .path
            .clone()
            .unwrap_or_else(|| PathBuf::from("traces.spans"));
        let mut present = present();
        if let Some(present) = present.as_mut() {
            return present.again(path);
        }
        let store = match Store::open(&path, self.open_options()) {
            Ok(store) => store,
            Err(source) => return Err(InitError::Open { path, source }),
        };
        if self.panic_hook.unwrap_or(true) {
            panics::install();
        }
        let sink = Sink::Store(store.clone());
        let tracer = Arc::new(Tracer::new(sink, self.rules(), Source::System));
        tracer::set(0, Some(Arc::clone(&tracer)));
        *present = Some(Present {
            path: canonical(&path),
            tracer,
            store: store.clone(),
            guards: 1,
        });
        Ok(Guard { store: Some(store) })
    }
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

impl Present {
    fn again(&mut self, path: PathBuf) -> Result<Guard, InitError> {
        if canonical(&path) != self.path {
            return Err(InitError::OtherStore {
                present: self.path.clone(),
                asked: path,
            });
        }
        self.guards += 1;
        Ok(Guard {
            store: Some(self.store.clone()),
        })
    }
}

impl Guard {
    /// The store that spans go to; nothing where tracing is switched off.
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// Waits until every span that ended before, on any thread, is on disk. Nothing waits where
    /// tracing is switched off.
    pub fn flush(&self) -> Result<(), FlushError> {
        self.store.as_ref().map_or(Ok(()), Store::flush)
    }

    /// Ends tracing, and says whether everything is on disk. Of several guards the last one does.
    pub fn close(mut self) -> Result<(), CloseError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), CloseError> {
        if self.store.take().is_none() {
            return Ok(());
        }
        let mut present = present();
        match present.as_mut() {
            Some(one) if one.guards > 1 => {
                one.guards -= 1;
                Ok(())
            }
            _ => {
                let Some(last) = present.take() else {
                    return Ok(());
                };
                tracer::set(0, None);
                live::let_go();
                let closed = last.store.close();
                GONE.fetch_add(last.tracer.dropped(), Ordering::Relaxed);
                closed
            }
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            let causes = with_causes(&error);
            Warning::Close.once([format_args!("the last spans could not be stored: {causes}")]);
        }
    }
}

/// Waits until every span that ended before, on any thread, is on disk.
///
/// Where tracing has not begun there is nothing to wait for.
pub fn flush() -> Result<(), FlushError> {
    let tracer = present()
        .as_ref()
        .map(|present| Arc::clone(&present.tracer));
    tracer.map_or(Ok(()), |tracer| tracer.flush())
}

/// What the tracers that are gone could not hand over.
static GONE: AtomicU64 = AtomicU64::new(0);

/// How many spans and changes this process could not hand over to the store, in all of its life.
/// The store counts those that it dropped itself.
pub fn dropped() -> u64 {
    let present = present();
    let dropped = present
        .as_ref()
        .map_or(0, |present| present.tracer.dropped());
    dropped + GONE.load(Ordering::Relaxed)
}
