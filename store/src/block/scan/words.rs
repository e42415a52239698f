use std::ops::Range;

use super::super::BlockError;
use super::super::header::SectionKind;
use super::super::reader::{BlockReader, LoadSection};
use super::super::words::{find_rows, section_of};

/// A stretch of the spans of a trace.
struct Stretch {
    trace: u32,
    spans: Range<u32>,
}

impl<L: LoadSection> BlockReader<L> {
    /// The spans among which a word entered their trace, ascending, with others that stand beside
    /// them; few of them are nowhere near it.
    ///
    /// The word must be one that [`for_each_word`](super::super::for_each_word) gives. Indexed are
    /// names, status messages, `error.type`, inputs, outputs, and the names and texts of events.
    /// What an earlier span of the trace had already, such as a message in a later prompt, is
    /// indexed at that earlier span alone: as a sieve this tells traces, not spans.
    pub fn spans_with_word(&self, word: &str) -> Result<Vec<u32>, BlockError> {
        let stretches = self.stretches_with_word(word)?;
        Ok(stretches.into_iter().flat_map(|one| one.spans).collect())
    }

    /// The traces that have all of the words, ascending; few of them may not. The words are those
    /// of [`Self::spans_with_word`].
    pub fn traces_with_words(&self, words: &[impl AsRef<str>]) -> Result<Vec<u32>, BlockError> {
        let mut found: Option<Vec<u32>> = None;
        for word in words {
            let stretches = self.stretches_with_word(word.as_ref())?;
            let mut traces: Vec<u32> = stretches.iter().map(|one| one.trace).collect();
            traces.dedup();
            let both = |trace: &u32| {
                found
                    .as_ref()
                    .is_none_or(|f| f.binary_search(trace).is_ok())
            };
            traces.retain(both);
            let is_empty = traces.is_empty();
            found = Some(traces);
            if is_empty {
                break;
            }
        }
        Ok(found.unwrap_or_else(|| (0..self.n_traces() as u32).collect()))
    }

    /// The stretches where a word entered their trace, in order.
    fn stretches_with_word(&self, word: &str) -> Result<Vec<Stretch>, BlockError> {
        let sections = self.header().sections().iter().zip(0u32..);
        let of_words = |kind| kind == SectionKind::Words;
        let numbers: Vec<u32> = sections
            .filter(|(section, _)| of_words(section.kind))
            .map(|(_, number)| number)
            .collect();
        if !numbers.len().is_power_of_two() {
            return match numbers.len() {
                0 => Ok(Vec::new()),
                _ => Err(BlockError::malformed("the word index is not whole")),
            };
        }
        let section = self.section(numbers[section_of(word, numbers.len())])?;
        let most = self.header().stretch_spans();
        let traces = (0u32..).zip(self.span_starts()?.windows(2));
        // Where the spans of each trace are, and the number after its last stretch.
        let mut n_stretches = 0;
        let places: Vec<(u32, Range<u32>, usize)> = traces
            .map(|(trace, bounds)| {
                let spans = bounds[0]..bounds[1];
                n_stretches += spans.len().div_ceil(most);
                (trace, spans, n_stretches)
            })
            .collect();
        let rows = find_rows(section, word, numbers.len(), n_stretches)?;
        let mut places = places.into_iter().peekable();
        let stretches = rows.into_iter().filter_map(|row| {
            let row = row as usize;
            while places.next_if(|(_, _, end)| *end <= row).is_some() {}
            let (trace, spans, end) = places.peek()?;
            let first = (row - (end - spans.len().div_ceil(most))) * most;
            let spans = spans.clone().skip(first).take(most);
            let start = spans.clone().next()?;
            Some(Stretch {
                trace: *trace,
                spans: start..start + spans.count() as u32,
            })
        });
        Ok(stretches.collect())
    }
}
