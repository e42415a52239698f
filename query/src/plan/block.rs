//! A pipeline over all traces of a block at once, as far as its columns tell.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use spanlite_store::Sections;
use spanlite_store::block::{BlockError, BlockReader, Structure};

use super::explain::{Explain, StageCount};
use super::groups::Groups;
use super::mask::{Mask, Rows, Truth};
use super::relate;
use crate::eval::View;
use crate::resolve::{Set, Stage};
use crate::syntax::ast::SpansOp;

type Read<T> = Result<T, BlockError>;

/// A block while it is searched.
pub(crate) struct Block<'v> {
    pub(crate) reader: Arc<BlockReader<Sections>>,
    pub(crate) nowhere: &'v View<'v>,
    /// The places whose texts are worth reading.
    pub(crate) wanted: RefCell<Rows>,
    /// The spans with which all words of the text operator at hand entered their trace, where the
    /// word index tells.
    pub(super) entered: RefCell<Option<Rows>>,
    text_bytes: Cell<u64>,
    stages: RefCell<Vec<StageCount>>,
}

/// What is known of the spans that flow through a pipeline, and of whether a trace passes.
#[derive(Clone)]
pub(crate) struct Flow {
    pub(crate) spans: Mask,
    /// By trace.
    pub(crate) holds: Mask,
    /// What `by` split the spans into.
    pub(crate) groups: Option<Groups>,
}

impl<'v> Block<'v> {
    /// A block of which the traces at `wanted` matter.
    pub(crate) fn new(
        reader: Arc<BlockReader<Sections>>,
        wanted: Rows,
        nowhere: &'v View<'v>,
    ) -> Self {
        Self {
            reader,
            nowhere,
            wanted: RefCell::new(wanted),
            entered: RefCell::default(),
            text_bytes: Cell::new(0),
            stages: RefCell::default(),
        }
    }

    pub(crate) fn structure(&self) -> Read<&Structure> {
        self.reader.structure()
    }

    pub(crate) fn span_starts(&self) -> Read<&[u32]> {
        self.reader.span_starts()
    }

    pub(crate) fn is_wanted(&self, place: usize) -> bool {
        self.wanted.borrow().contains(place)
    }

    pub(crate) fn count_text(&self, bytes: usize) {
        self.text_bytes.set(self.text_bytes.get() + bytes as u64);
    }

    /// How many bytes of texts were read.
    pub(crate) fn text_bytes(&self) -> u64 {
        self.text_bytes.get()
    }

    /// The root of the trace at a place, and whether it names no parent.
    pub(crate) fn root(&self, place: usize) -> Read<(Option<usize>, bool)> {
        let structure = self.structure()?;
        let (Some(&first), Some(&end)) = (
            structure.span_starts.get(place),
            structure.span_starts.get(place + 1),
        ) else {
            return Ok((None, false));
        };
        let mut row = first;
        while row < end {
            if structure.orphans.binary_search(&row).is_err() {
                return Ok((Some(row as usize), true));
            }
            row = structure
                .ends
                .get(row as usize)
                .copied()
                .unwrap_or(end)
                .max(row + 1);
        }
        Ok(((first < end).then_some(first as usize), false))
    }

    /// Adds what the stages left.
    pub(crate) fn add_stages(&self, counts: &mut Explain) {
        counts.stages.append(&mut self.stages.borrow_mut());
    }

    /// Runs the stages as far as columns tell. When a trace begins is known without its columns:
    /// the caller looks at it.
    pub(crate) fn run(&self, stages: &[Stage]) -> Read<Flow> {
        let mut flow = Flow {
            spans: Mask::constant(self.reader.n_spans(), true),
            holds: Mask::constant(self.reader.n_traces(), true),
            groups: None,
        };
        let mut counts = Vec::with_capacity(stages.len());
        for stage in stages {
            let spans_in = flow.spans.maybe.count();
            flow = self.step(stage, flow)?;
            counts.push(StageCount {
                stage: String::new(),
                spans_in,
                spans_kept: flow.spans.maybe.count(),
                traces_kept: flow.holds.maybe.count(),
            });
            if flow.holds.maybe.is_empty() {
                break;
            }
        }
        self.stages.replace(counts);
        Ok(flow)
    }

    fn run_on(&self, stages: &[Stage], flow: Flow) -> Read<Flow> {
        let mut flow = flow;
        for stage in stages {
            flow = self.step(stage, flow)?;
            if flow.holds.maybe.is_empty() {
                break;
            }
        }
        Ok(flow)
    }

    fn step(&self, stage: &Stage, flow: Flow) -> Read<Flow> {
        let mut flow = flow;
        match stage {
            // Each group would have to be looked at by itself.
            Stage::Spans(set) if flow.groups.is_some() && !matches!(set, Set::Braces(_)) => {
                flow = flow.unsure();
            }
            Stage::Spans(set) => {
                let groups = flow.groups.take();
                let found = self.set(set, &flow.spans)?;
                let found = self.with_roots(found, &flow.spans)?;
                flow = Flow {
                    spans: found.spans,
                    holds: found.holds.and(&flow.holds),
                    groups,
                };
            }
            Stage::Filter {
                condition,
                needs_span,
            } => {
                let spans = self.condition(condition)?.and(&flow.spans);
                let mut holds = self.any(&spans)?;
                if !needs_span {
                    holds = holds.or(&self.without_spans()?);
                }
                flow = Flow {
                    spans,
                    holds: holds.and(&flow.holds),
                    groups: flow.groups,
                };
            }
            Stage::Aggregated {
                aggregate,
                op,
                limit,
            } => flow = self.aggregated(aggregate, *op, limit, flow)?,
            Stage::By { of, .. } => flow = self.split(of, flow)?,
            Stage::Coalesce => flow.groups = None,
            Stage::Since(_) | Stage::Until(_) => {
                let n_traces = flow.holds.len();
                flow.holds = flow.holds.and(&Mask::unknown(n_traces));
            }
            Stage::Select(_) => {}
        }
        Ok(flow)
    }

    /// Traces that have no spans, of which columns of spans say nothing.
    fn without_spans(&self) -> Read<Mask> {
        let mut mask = Mask::empty(self.reader.n_traces());
        for (place, bound) in self.span_starts()?.windows(2).enumerate() {
            if bound[0] == bound[1] {
                mask.set(place, Truth::Maybe);
            }
        }
        Ok(mask)
    }

    /// The roots in place of nothing, where only an absence held.
    fn with_roots(&self, found: Flow, input: &Mask) -> Read<Flow> {
        let mut spans = found.spans;
        let starts = self.span_starts()?;
        for (place, bound) in starts.windows(2).enumerate() {
            let range = bound[0] as usize..bound[1] as usize;
            if !found.holds.maybe.contains(place) || spans.sure.any_in(range.clone()) {
                continue;
            }
            let certain = found.holds.sure.contains(place) && !spans.maybe.any_in(range.clone());
            let structure = self.structure()?;
            for row in range {
                if structure.parents.get(row) == Some(&Structure::NO_PARENT)
                    && input.maybe.contains(row)
                {
                    let sure = certain && input.sure.contains(row);
                    spans.set(row, if sure { Truth::Yes } else { Truth::Maybe });
                }
            }
        }
        Ok(Flow {
            spans,
            holds: found.holds,
            groups: found.groups,
        })
    }

    /// By trace, whether it has one of the spans.
    pub(crate) fn any(&self, spans: &Mask) -> Read<Mask> {
        let starts = self.span_starts()?;
        let fold = |rows: &Rows| {
            let mut traces = Rows::none(starts.len().saturating_sub(1));
            let mut place = 0;
            for row in rows.iter() {
                while starts
                    .get(place + 1)
                    .is_some_and(|end| *end as usize <= row)
                {
                    place += 1;
                }
                traces.insert(place);
            }
            traces
        };
        Ok(Mask {
            sure: fold(&spans.sure),
            maybe: fold(&spans.maybe),
        })
    }

    /// By span, what is known of its trace.
    pub(crate) fn spread(&self, traces: &Mask) -> Read<Mask> {
        let mut spans = Mask::empty(self.reader.n_spans());
        for (place, bound) in self.span_starts()?.windows(2).enumerate() {
            if !traces.maybe.contains(place) {
                continue;
            }
            let truth = if traces.sure.contains(place) {
                Truth::Yes
            } else {
                Truth::Maybe
            };
            for row in bound[0]..bound[1] {
                spans.set(row as usize, truth);
            }
        }
        Ok(spans)
    }

    fn set(&self, set: &Set, input: &Mask) -> Read<Flow> {
        Ok(match set {
            Set::Braces(condition) => {
                let spans = self.condition(condition)?.and(input);
                Flow {
                    holds: self.any(&spans)?,
                    spans,
                    groups: None,
                }
            }
            Set::Pipeline(stages) => {
                let all = Flow {
                    spans: input.clone(),
                    holds: Mask::constant(self.reader.n_traces(), true),
                    groups: None,
                };
                let flow = self.run_on(stages, all)?;
                Flow {
                    // Spans of traces that do not pass are none.
                    spans: flow.spans.and(&self.spread(&flow.holds)?),
                    holds: flow.holds,
                    groups: None,
                }
            }
            Set::Absent(inner) => Flow {
                spans: Mask::empty(input.len()),
                holds: self.set(inner, input)?.holds.not(),
                groups: None,
            },
            Set::Binary { op, left, right } => {
                let (left, right) = (self.set(left, input)?, self.set(right, input)?);
                let (spans, holds) = match op {
                    SpansOp::And => {
                        let holds = left.holds.and(&right.holds);
                        let spans = left.spans.or(&right.spans).and(&self.spread(&holds)?);
                        (spans, holds)
                    }
                    SpansOp::Or => (left.spans.or(&right.spans), left.holds.or(&right.holds)),
                    SpansOp::Related { relation, mode } => {
                        let spans = relate::related(
                            self.structure()?,
                            *relation,
                            *mode,
                            &left.spans,
                            &right.spans,
                        );
                        let holds = self.any(&spans)?;
                        (spans, holds)
                    }
                };
                Flow {
                    spans,
                    holds,
                    groups: None,
                }
            }
        })
    }
}
