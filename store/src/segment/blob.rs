//! Large values as rows of a size that wastes no pages.
//!
//! redb gives every value a run of `4096 << k` bytes less its own 16, so a value of arbitrary size
//! wastes up to half of it. Cutting it into pieces that fill such runs wastes a few percent.

/// The largest piece is a run of 32 pages: what lies above gains nothing.
const LARGEST_RUN: u32 = 5;
/// What redb keeps for itself in a run that holds one pair.
const OVERHEAD: usize = 16;

/// Cuts bytes into pieces: the largest that still fit, then the rest.
pub(crate) fn pieces(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let run = (0..=LARGEST_RUN)
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
}
