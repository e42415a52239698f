use super::super::BlockError;
use super::super::header::SectionKind;
use super::super::reader::{BlockReader, LoadSection};
use super::super::words::{find_rows, section_of};

impl<L: LoadSection> BlockReader<L> {
    /// The spans where a word entered their trace, ascending; few of them may not have it.
    ///
    /// The word must be one that [`for_each_word`](super::super::for_each_word) gives. Indexed are
    /// names, status messages, `error.type`, inputs, outputs, and the names and texts of events.
    /// What an earlier span of the trace had already, such as a message in a later prompt, is
    /// indexed at that earlier span alone: as a sieve this tells traces, not spans.
    pub fn spans_with_word(&self, word: &str) -> Result<Vec<u32>, BlockError> {
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
        let number = numbers[section_of(word, numbers.len())];
        find_rows(self.section(number)?, word, numbers.len(), self.n_spans())
    }

    /// The traces that have all of the words, ascending; few of them may not. The words are those
    /// of [`Self::spans_with_word`].
    pub fn traces_with_words(&self, words: &[impl AsRef<str>]) -> Result<Vec<u32>, BlockError> {
        let starts = self.span_starts()?;
        let mut found: Option<Vec<u32>> = None;
        for word in words {
            let spans = self.spans_with_word(word.as_ref())?;
            let mut traces: Vec<u32> = Vec::new();
            let mut trace = 0;
            for span in spans {
                while starts.get(trace + 1).is_some_and(|end| *end <= span) {
                    trace += 1;
                }
                if traces.last() != Some(&(trace as u32)) {
                    traces.push(trace as u32);
                }
            }
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
}
