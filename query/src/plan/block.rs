//! A pipeline over all traces of a block at once, as far as its columns tell.

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;

use spanlite_store::Sections;
use spanlite_store::block::{BlockError, BlockReader, Structure};

use super::mask::{Mask, Rows, Truth};
use super::relate;
use crate::eval::View;
use crate::resolve::{Aggregated, Set, Stage};
use crate::syntax::ast::{AggregateFn, SpansOp};

type Read<T> = Result<T, BlockError>;

/// A block while it is searched.
pub(super) struct Block<'v> {
    pub(super) reader: Arc<BlockReader<Sections>>,
    pub(super) nowhere: &'v View<'v>,
    structure: OnceCell<Structure>,
    starts: OnceCell<Vec<u32>>,
    /// The places whose texts are worth reading.
    pub(super) wanted: RefCell<Rows>,
    text_bytes: Cell<u64>,
}

/// What is known of the spans that flow through a pipeline, and of whether a trace passes.
#[derive(Clone)]
pub(super) struct Flow {
    spans: Mask,
    /// By trace.
    pub(super) holds: Mask,
}

impl<'v> Block<'v> {
    /// A block of which the traces at `wanted` matter.
    pub(super) fn new(
        reader: Arc<BlockReader<Sections>>,
        wanted: Rows,
        nowhere: &'v View<'v>,
    ) -> Self {
        Self {
            reader,
            nowhere,
            structure: OnceCell::new(),
            starts: OnceCell::new(),
            wanted: RefCell::new(wanted),
            text_bytes: Cell::new(0),
        }
    }

    pub(super) fn structure(&self) -> Read<&Structure> {
        if let Some(structure) = self.structure.get() {
            return Ok(structure);
        }
        let structure = self.reader.structure()?;
        Ok(self.structure.get_or_init(|| structure))
    }

    pub(super) fn span_starts(&self) -> Read<&[u32]> {
        if let Some(starts) = self.starts.get() {
            return Ok(starts);
        }
        let starts = self.reader.span_starts()?;
        Ok(self.starts.get_or_init(|| starts))
    }

    pub(super) fn is_wanted(&self, place: usize) -> bool {
        self.wanted.borrow().contains(place)
    }

    pub(super) fn count_text(&self, bytes: usize) {
        self.text_bytes.set(self.text_bytes.get() + bytes as u64);
    }

    /// How many bytes of texts were read.
    pub(super) fn text_bytes(&self) -> u64 {
        self.text_bytes.get()
    }

    /// The root of the trace at a place, and whether it names no parent.
    pub(super) fn root(&self, place: usize) -> Read<(Option<usize>, bool)> {
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

    /// Runs the stages as far as columns tell.
    pub(super) fn run(&self, stages: &[Stage]) -> Read<Flow> {
        let n_spans = self.reader.n_spans();
        let n_traces = self.reader.n_traces();
        // When a trace begins is known without its columns; the caller looks at it.
        let timeless: Vec<Stage> = stages
            .iter()
            .filter(|stage| !matches!(stage, Stage::Since(_) | Stage::Until(_)))
            .cloned()
            .collect();
        let all = Flow {
            spans: Mask::constant(n_spans, true),
            holds: Mask::constant(n_traces, true),
        };
        self.run_on(&timeless, all)
    }

    fn run_on(&self, stages: &[Stage], flow: Flow) -> Read<Flow> {
        let mut flow = flow;
        for stage in stages {
            match stage {
                Stage::Spans(set) => {
                    let found = self.set(set, &flow.spans)?;
                    let found = self.with_roots(found, &flow.spans)?;
                    flow = Flow {
                        spans: found.spans,
                        holds: found.holds.and(&flow.holds),
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
                    };
                }
                Stage::Aggregated {
                    aggregate,
                    op,
                    limit,
                } => {
                    let fits =
                        |count: usize| crate::eval::Datum::Int(count as i64).compare(*op, limit);
                    let fitting = self.counted(aggregate, &flow.spans, fits)?;
                    flow.holds = flow.holds.and(&fitting);
                }
                // Groups are told apart in the traces themselves; later stages can only narrow.
                Stage::By { .. } => {
                    let n_traces = flow.holds.len();
                    flow.holds = flow.holds.and(&Mask::unknown(n_traces));
                    return Ok(flow);
                }
                Stage::Since(_) | Stage::Until(_) => {
                    let n_traces = flow.holds.len();
                    flow.holds = flow.holds.and(&Mask::unknown(n_traces));
                }
                Stage::Coalesce | Stage::Select(_) => {}
            }
            if flow.holds.maybe.is_empty() {
                break;
            }
        }
        Ok(flow)
    }

    /// The traces whose count of spans fits.
    fn counted(
        &self,
        aggregate: &Aggregated,
        spans: &Mask,
        fits: impl Fn(usize) -> bool,
    ) -> Read<Mask> {
        let mut holds = Mask::empty(self.reader.n_traces());
        for (place, bound) in self.span_starts()?.windows(2).enumerate() {
            let range = bound[0] as usize..bound[1] as usize;
            let (least, most) = (
                spans.sure.count_in(range.clone()),
                spans.maybe.count_in(range),
            );
            let truth = match aggregate.function {
                AggregateFn::Count if least == most && most > 0 => fits(most).into(),
                _ if most == 0 => Truth::Maybe,
                AggregateFn::Count if (least..=most).all(|count| !fits(count)) => Truth::No,
                _ => Truth::Maybe,
            };
            holds.set(place, truth);
        }
        Ok(holds)
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
        let starts = self.span_starts()?.to_vec();
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
        })
    }

    /// By trace, whether it has one of the spans.
    pub(super) fn any(&self, spans: &Mask) -> Read<Mask> {
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
    pub(super) fn spread(&self, traces: &Mask) -> Read<Mask> {
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
                }
            }
            Set::Pipeline(stages) => {
                let holds = Mask::constant(self.reader.n_traces(), true);
                let flow = self.run_on(
                    stages,
                    Flow {
                        spans: input.clone(),
                        holds,
                    },
                )?;
                // Spans of traces that do not pass are none.
                let spans = flow.spans.and(&self.spread(&flow.holds)?);
                // A stage behind a group may have dropped some of them.
                let narrowed = stages.iter().any(|stage| matches!(stage, Stage::By { .. }));
                let sure = if narrowed {
                    Rows::none(spans.len())
                } else {
                    spans.sure.clone()
                };
                Flow {
                    spans: Mask {
                        sure,
                        maybe: spans.maybe,
                    },
                    holds: flow.holds,
                }
            }
            Set::Absent(inner) => Flow {
                spans: Mask::empty(input.len()),
                holds: self.set(inner, input)?.holds.not(),
            },
            Set::Binary { op, left, right } => {
                let (left, right) = (self.set(left, input)?, self.set(right, input)?);
                match op {
                    SpansOp::And => {
                        let holds = left.holds.and(&right.holds);
                        let spans = left.spans.or(&right.spans).and(&self.spread(&holds)?);
                        Flow { spans, holds }
                    }
                    SpansOp::Or => Flow {
                        spans: left.spans.or(&right.spans),
                        holds: left.holds.or(&right.holds),
                    },
                    SpansOp::Related { relation, mode } => {
                        let spans = relate::related(
                            self.structure()?,
                            *relation,
                            *mode,
                            &left.spans,
                            &right.spans,
                        );
                        Flow {
                            holds: self.any(&spans)?,
                            spans,
                        }
                    }
                }
            }
        })
    }
}
