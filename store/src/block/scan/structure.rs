use super::super::BlockError;
use super::super::directory::Column;
use super::super::reader::{BlockReader, LoadSection};

/// The trees of all traces of a block, by the numbers of its spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure {
    /// Where the spans of every trace begin, and at the end where they end.
    pub span_starts: Vec<u32>,
    /// The parent of every span; [`Structure::NO_PARENT`] for a root.
    pub parents: Vec<u32>,
    /// One past the last descendant of every span.
    pub ends: Vec<u32>,
    /// How many ancestors every span has.
    pub depths: Vec<u32>,
    /// The spans that name a parent which is not in the trace, ascending.
    pub orphans: Vec<u32>,
}

impl Structure {
    pub(in super::super) fn kept_bytes(&self) -> usize {
        let Self {
            span_starts,
            parents,
            ends,
            depths,
            orphans,
        } = self;
        let columns = [span_starts, parents, ends, depths, orphans];
        columns.iter().map(|column| 4 * column.len()).sum()
    }

    /// Stands for the parent of a root.
    pub const NO_PARENT: u32 = u32::MAX;

    /// The trace of a span, by binary search.
    pub fn trace_of(&self, span: u32) -> usize {
        let after = self.span_starts.partition_point(|start| *start <= span);
        after.saturating_sub(1)
    }
}

impl<L: LoadSection> BlockReader<L> {
    /// The trees of all traces.
    pub fn structure(&self) -> Result<&Structure, BlockError> {
        self.kept_structure(|| self.read_structure())
    }

    fn read_structure(&self) -> Result<Structure, BlockError> {
        let n_spans = self.n_spans();
        let span_starts = self.span_starts()?.to_vec();
        let column = self.ints(Column::Depths, n_spans)?;
        let mut depths = Vec::with_capacity(n_spans);
        column.for_each(0, n_spans, |_, depth| depths.push(depth as u32));
        let mut parents = Vec::with_capacity(n_spans);
        let mut ends = vec![0; n_spans];
        // The last span of every depth so far: the ancestors of the next one.
        let mut line: Vec<u32> = Vec::new();
        for bound in span_starts.windows(2) {
            for span in bound[0]..bound[1] {
                let depth = depths[span as usize] as usize;
                if depth > line.len() {
                    return Err(BlockError::malformed("a span has no parent above it"));
                }
                for closed in line.drain(depth..) {
                    ends[closed as usize] = span;
                }
                parents.push(line.last().copied().unwrap_or(Structure::NO_PARENT));
                line.push(span);
            }
            for closed in line.drain(..) {
                ends[closed as usize] = bound[1];
            }
        }
        let orphans = self.list(Column::ForeignParentRows)?.to_vec();
        Ok(Structure {
            span_starts,
            parents,
            ends,
            depths,
            orphans: orphans
                .into_iter()
                .map(|row| row.wrapping_sub(1) as u32)
                .collect(),
        })
    }
}
