//! Keeps a program alive whose journal file is cut underneath.
//!
//! An access to a mapped page that the file no longer has raises SIGBUS, whose default is to kill
//! the program. The handler looks the address up in a table of our mappings. If it is ours, it
//! maps zeroed private memory over that page, raises the mapping's flag and returns, and the access
//! is done again. If it is not, whoever handled SIGBUS before is called. Only the one page is
//! replaced: another one may hold records that were appended after it was.
//!
//! The handler is installed with the first mapping and stays. It does only what may be done in a
//! signal handler: loads and stores of atomics, and `mmap`.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// How many mappings can be watched at a time. A ring of 64 MiB takes 34.
const RANGES: usize = 512;

struct Slot {
    /// Address of the first byte; 0 marks a free slot. Written last, cleared first.
    start: AtomicUsize,
    len: AtomicUsize,
    /// Kept alive by the `Range` that holds the slot.
    lost: AtomicPtr<AtomicBool>,
}

static SLOTS: [Slot; RANGES] = [const {
    Slot {
        start: AtomicUsize::new(0),
        len: AtomicUsize::new(0),
        lost: AtomicPtr::new(std::ptr::null_mut()),
    }
}; RANGES];
/// Held while slots are taken and freed; never by the handler.
static TAKING: Mutex<()> = Mutex::new(());
/// Set before the handler is installed.
static PAGE_BYTES: AtomicUsize = AtomicUsize::new(4096);
/// What handled SIGBUS before.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

/// A mapping that the handler watches until this is dropped.
pub(super) struct Range {
    slot: &'static Slot,
    _lost: Arc<AtomicBool>,
}

impl Drop for Range {
    fn drop(&mut self) {
        self.slot.start.store(0, Ordering::Release);
    }
}

/// Watches a mapping. Fails when the handler cannot be installed or the table is full.
pub(super) fn watch(start: *mut u8, len: usize, lost: &Arc<AtomicBool>) -> io::Result<Range> {
    let _taking = TAKING.lock().unwrap_or_else(PoisonError::into_inner);
    install()?;
    let free = |slot: &&Slot| slot.start.load(Ordering::Acquire) == 0;
    let slot = SLOTS
        .iter()
        .find(free)
        .ok_or_else(|| io::Error::from(io::ErrorKind::QuotaExceeded))?;
    slot.len.store(len, Ordering::Relaxed);
    slot.lost
        .store(Arc::as_ptr(lost).cast_mut(), Ordering::Relaxed);
    slot.start.store(start.addr(), Ordering::Release);
    Ok(Range {
        slot,
        _lost: Arc::clone(lost),
    })
}

fn install() -> io::Result<()> {
    if PREVIOUS.get().is_some() {
        return Ok(());
    }
    // SAFETY: `sigaction` is plain data for which zero is valid; both calls get pointers to live
    // values. `on_sigbus` has the three-argument form that SA_SIGINFO asks for, and does only what
    // a handler may. `PREVIOUS` is set before the handler can run: calls are serial (`TAKING`).
    unsafe {
        let mut previous: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGBUS, std::ptr::null(), &raw mut previous) != 0 {
            return Err(io::Error::last_os_error());
        }
        if let Ok(bytes) = usize::try_from(libc::sysconf(libc::_SC_PAGESIZE)) {
            PAGE_BYTES.store(bytes, Ordering::Relaxed);
        }
        PREVIOUS.get_or_init(|| previous);
        let mut action: libc::sigaction = std::mem::zeroed();
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
            on_sigbus;
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        if libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

extern "C" fn on_sigbus(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: the kernel passes a valid `siginfo_t`, whose address field SIGBUS sets.
    let address = unsafe { (*info).si_addr() }.addr();
    if replace(address) {
        return;
    }
    call_previous(signal, info, context);
}

/// Puts zeroed memory in place of the page of ours at `address`. False if it is not ours.
fn replace(address: usize) -> bool {
    let ours = SLOTS.iter().find_map(|slot| {
        let start = slot.start.load(Ordering::Acquire);
        let end = start.checked_add(slot.len.load(Ordering::Relaxed))?;
        (start != 0 && (start..end).contains(&address)).then_some(slot)
    });
    let Some(slot) = ours else {
        return false;
    };
    let page_bytes = PAGE_BYTES.load(Ordering::Relaxed);
    let page = address & !(page_bytes - 1);
    // SAFETY: the page lies inside a mapping of ours (mappings begin and end at pages): the thread
    // that raised the signal holds a piece of it, so it is not unmapped and the slot not reused
    // meanwhile. Replacing it in place keeps the addresses valid; what changes is the content, and
    // behind the end of a file there is none.
    let mapped = unsafe {
        libc::mmap(
            std::ptr::without_provenance_mut(page),
            page_bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    if mapped == libc::MAP_FAILED {
        return false;
    }
    let lost = slot.lost.load(Ordering::Relaxed);
    // SAFETY: the `Range` of this slot keeps the flag alive, and as above it is not dropped yet.
    unsafe { &*lost }.store(true, Ordering::Release);
    true
}

fn call_previous(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let previous = PREVIOUS.get();
    let handler = previous.map_or(libc::SIG_DFL, |previous| previous.sa_sigaction);
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        // The access is done again after the return, and now ends the program as it would have.
        // SAFETY: `sigaction` with zeroed plain data sets the default action.
        unsafe {
            let default: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, &raw const default, std::ptr::null_mut());
        }
        return;
    }
    let with_info = previous.is_some_and(|previous| previous.sa_flags & libc::SA_SIGINFO != 0);
    // SAFETY: `handler` is what the program had installed, in the form its flags say.
    unsafe {
        if with_info {
            let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                std::mem::transmute(handler);
            handler(signal, info, context);
        } else {
            let handler: extern "C" fn(libc::c_int) = std::mem::transmute(handler);
            handler(signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Piece;

    #[test]
    fn a_file_truncated_underneath_leaves_memory_that_works() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(3 * 65536).unwrap();
        let piece = Piece::mapped(&file, 0, 3 * 65536).unwrap();
        let mut pieces: Vec<_> = piece.split(65536).collect();
        pieces[0].bytes_mut().fill(7);
        pieces[2].bytes_mut().fill(7);
        file.set_len(65536).unwrap();
        assert!(!pieces[2].is_lost(), "noticed at the first access");
        assert_eq!(pieces[2].bytes()[100], 0);
        assert!(pieces[2].is_lost());
        pieces[2].bytes_mut().fill(8);
        pieces[1].bytes_mut().fill(9);
        assert_eq!(pieces[2].bytes()[100], 8);
        assert_eq!(pieces[0].bytes()[100], 7, "what the file still has stays");
    }
}
