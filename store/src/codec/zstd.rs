//! zstd, with contexts that each thread keeps: to make one costs more than to compress a small
//! value.

use std::cell::RefCell;

use ::zstd::bulk::Compressor;
use ::zstd::zstd_safe::{DCtx, DDict, SafeResult};

/// Level 1: the levels above cost more time than they save space on span data.
pub(crate) const LEVEL: i32 = 1;

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<DCtx<'static>>> = const { RefCell::new(None) };
}

/// The zstd frame of `raw`; nothing where zstd refuses, which it does not do in practice.
pub(crate) fn compress(raw: &[u8]) -> Option<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Compressor::new(LEVEL).ok();
        }
        slot.as_mut()?.compress(raw).ok()
    })
}

/// What is in a frame; nothing if that is not exactly `raw_length` bytes. Takes memory for so many.
pub(crate) fn decompress(frame: &[u8], raw_length: usize) -> Option<Vec<u8>> {
    with_context(raw_length, |context, raw| context.decompress(raw, frame))
}

/// The same for a frame that was compressed against a text that is known.
pub(crate) fn decompress_like(
    known: &DDict<'_>,
    frame: &[u8],
    raw_length: usize,
) -> Option<Vec<u8>> {
    with_context(raw_length, |context, raw| {
        context.decompress_using_ddict(raw, frame, known)
    })
}

fn with_context(
    raw_length: usize,
    decompress: impl FnOnce(&mut DCtx<'static>, &mut Vec<u8>) -> SafeResult,
) -> Option<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = DCtx::try_create();
        }
        let mut raw = Vec::with_capacity(raw_length);
        let length = decompress(slot.as_mut()?, &mut raw).ok()?;
        (length == raw_length).then_some(raw)
    })
}
