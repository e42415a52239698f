//! Panics: what they say, written into the spans they go through.

use std::cell::RefCell;
use std::panic::PanicHookInfo;
use std::sync::Once;

use spanlite_model::StatusCode;

use crate::live::Live;

thread_local! {
    static LAST: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

#[derive(Clone)]
struct Panic {
    message: String,
    place: String,
}

/// Puts our hook in front of the one that is there, once.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            notice(info);
            previous(info);
        }));
    });
}

/// Keeps what a panic says until the spans of the thread end.
fn notice(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is no text");
    let mut place = info
        .location()
        .map_or_else(String::new, |location| format!("at {location}"));
    let backtrace = std::backtrace::Backtrace::capture();
    if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
        place = format!("{place}\n{backtrace}");
    }
    let panic = Panic {
        message: message.to_owned(),
        place,
    };
    #[cfg(panic = "abort")]
    crate::live::abandon(|live| write(live, &panic));
    // A panic while a thread-local is being dropped has no spans left.
    LAST.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            *last = Some(panic);
        }
    })
    .unwrap_or_default();
}

/// Records the panic that is dropping a span, if there is one.
#[inline]
pub(crate) fn record(live: &mut Live) {
    if std::thread::panicking() && !live.was_panicking && live.status == StatusCode::Unset {
        record_slowly(live);
    }
}

#[cold]
fn record_slowly(live: &mut Live) {
    let panic = LAST
        .try_with(|last| last.try_borrow().ok().and_then(|last| last.clone()))
        .ok()
        .flatten();
    match panic {
        Some(panic) => write(live, &panic),
        None => live.exception("panic", format_args!("panicked"), format_args!("")),
    }
}

fn write(live: &mut Live, panic: &Panic) {
    live.exception(
        "panic",
        format_args!("{}", panic.message),
        format_args!("{}", panic.place),
    );
}
