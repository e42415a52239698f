//! Large values as rows of a size that wastes no pages.
//!
//! redb gives every value a run of `4096 << k` bytes less its own 16, so a value of arbitrary size
//! wastes up to half of it. Cutting it into pieces that fill such runs wastes a few percent.

/// The largest piece is a run of 32 pages: what lies above gains nothing.
const LARGEST_RUN: u32 = 5;
/// What redb keeps for itself in a run that holds one pair.
const OVERHEAD: usize = 16;

/// The largest piece of something of which parts are read: whoever reads a part reads all pieces
/// that have some of it.
const LARGEST_RUN_OF_PARTS: u32 = 2;

/// Cuts bytes into pieces: the largest that still fit, then the rest.
pub(crate) fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    pieces_up_to(bytes, LARGEST_RUN)
}

/// The same for something of which parts are read.
pub(crate) fn pieces_of_run(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    pieces_up_to(bytes, LARGEST_RUN_OF_PARTS)
}

/// The first piece of [`pieces_of_run`] of so many bytes to read for what begins at `start`, and
/// how many bytes stand before that in it and in the pieces behind it.
pub(crate) fn piece_at(start: u64, bytes: u64) -> (u32, usize) {
    let full = ((4096u64) << LARGEST_RUN_OF_PARTS) - OVERHEAD as u64;
    let piece = (start / full).min(bytes / full);
    (piece as u32, (start - piece * full) as usize)
}

fn pieces_up_to(mut bytes: &[u8], largest_run: u32) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let run = (0..=largest_run)
            .rev()
            .map(|k| (4096usize << k) - OVERHEAD)
            .find(|run| *run <= bytes.len());
        let (piece, rest) = bytes.split_at(run.unwrap_or(bytes.len()));
        bytes = rest;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_fill_their_pages_and_join_to_the_whole() {
        let bytes: Vec<u8> = (0..300_000u32).map(|i| i as u8).collect();
        for length in [0, 1, 4080, 4081, 20_000, 131_056, 131_057, 300_000] {
            let cut: Vec<&[u8]> = pieces(&bytes[..length]).collect();
            assert_eq!(cut.concat(), &bytes[..length]);
            let full = cut
                .iter()
                .filter(|piece| (piece.len() + OVERHEAD).is_power_of_two() && piece.len() >= 4080);
            assert!(
                full.count() + 1 >= cut.len(),
                "only the last one is not full"
            );
        }
    }

    #[test]
    fn every_part_of_a_run_is_in_the_pieces_from_the_one_that_is_named_on() {
        let bytes: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
        for length in [0, 1, 4080, 16_368, 16_369, 30_000, 32_736, 100_000] {
            let run = &bytes[..length];
            let cut: Vec<&[u8]> = pieces_of_run(run).collect();
            for start in [
                0, 1, 4_079, 16_367, 16_368, 20_000, 29_999, 32_735, 32_736, 99_999,
            ] {
                let Some(part) = run.get(start..) else {
                    continue;
                };
                let (piece, before) = piece_at(start as u64, length as u64);
                let rest = cut.get(piece as usize..).unwrap_or_default().concat();
                assert_eq!(
                    rest.get(before..).unwrap_or_default(),
                    part,
                    "{start} of {length}"
                );
                assert!(before < 16_368 || part.is_empty());
            }
        }
    }
}
