use std::fmt;

use serde::Serialize;

use super::leaf::{level, stands_by_row};
use crate::resolve::Node;
use crate::resolve::expr::condition;
use crate::syntax::ast::{self, Expr, ExprKind, Pipeline, Spans};
use crate::syntax::field::{Builtin, Field};
use crate::syntax::form::Form;
use crate::syntax::print;

/// How a query was answered: what each step kept, and what was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Explain {
    /// The conditions of the query and what answers them.
    pub steps: Vec<PlanStep>,
    /// Whether headers and columns were used.
    pub uses_indexes: bool,
    /// Blocks of the store.
    pub blocks: usize,
    /// Blocks that lie outside the query's time.
    pub blocks_outside_time: usize,
    /// Blocks that their headers ruled out: Bloom filters, ranges of numbers, counts of errors.
    pub blocks_ruled_out: usize,
    /// Blocks whose columns were searched.
    pub blocks_searched: usize,
    /// Spans of those blocks.
    pub spans_searched: usize,
    /// Traces in those blocks that could have fitted.
    pub traces_in_blocks: usize,
    /// Traces that the columns left.
    pub traces_kept: usize,
    /// Traces that are not in a block yet, or in several places; all of them are looked at.
    pub traces_loose: usize,
    /// Traces that were put together.
    pub traces_read: usize,
    /// Traces that fit.
    pub traces_matched: usize,
    /// Bytes of blocks that were read from their files; what earlier queries over the snapshot
    /// left in memory does not count.
    pub bytes_loaded: u64,
    /// Bytes of inputs and outputs that were read to decide.
    pub text_bytes_read: u64,
    /// What each stage of the pipeline left in the blocks that were searched.
    pub stages: Vec<StageCount>,
}

/// What a stage left, as far as columns tell.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct StageCount {
    /// The stage in its canonical form.
    pub stage: String,
    /// Spans that came in.
    pub spans_in: usize,
    /// Spans that may go on.
    pub spans_kept: usize,
    /// Traces that may go on.
    pub traces_kept: usize,
}

impl Explain {
    /// Adds what one block took.
    pub(super) fn add(&mut self, other: &Self) {
        self.blocks_searched += other.blocks_searched;
        self.spans_searched += other.spans_searched;
        self.traces_in_blocks += other.traces_in_blocks;
        self.traces_kept += other.traces_kept;
        self.bytes_loaded += other.bytes_loaded;
        self.text_bytes_read += other.text_bytes_read;
        if self.stages.len() < other.stages.len() {
            self.stages
                .resize_with(other.stages.len(), StageCount::default);
        }
        for (stage, other) in self.stages.iter_mut().zip(&other.stages) {
            stage.spans_in += other.spans_in;
            stage.spans_kept += other.spans_kept;
            stage.traces_kept += other.traces_kept;
        }
    }
}

/// A condition of a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanStep {
    /// The condition in its canonical form.
    pub condition: String,
    /// What answers it.
    pub answered_by: &'static str,
}

impl fmt::Display for Explain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "plan")?;
        for step in &self.steps {
            writeln!(f, "  {:<24} {}", step.answered_by, step.condition)?;
        }
        if !self.uses_indexes {
            writeln!(f, "  without indexes: every trace is read")?;
        }
        writeln!(f, "blocks  {}", self.blocks)?;
        writeln!(f, "  outside the time       {}", self.blocks_outside_time)?;
        writeln!(f, "  ruled out by headers   {}", self.blocks_ruled_out)?;
        writeln!(
            f,
            "  searched               {} ({} spans)",
            self.blocks_searched, self.spans_searched
        )?;
        writeln!(
            f,
            "traces  {} in searched blocks, {} loose",
            self.traces_in_blocks, self.traces_loose
        )?;
        writeln!(f, "  kept by columns        {}", self.traces_kept)?;
        writeln!(f, "  read                   {}", self.traces_read)?;
        writeln!(f, "  matched                {}", self.traces_matched)?;
        if !self.stages.is_empty() {
            writeln!(
                f,
                "stages  spans in, spans kept, traces kept in searched blocks"
            )?;
        }
        for stage in &self.stages {
            writeln!(
                f,
                "  {:>12} {:>12} {:>12}  {}",
                stage.spans_in, stage.spans_kept, stage.traces_kept, stage.stage
            )?;
        }
        writeln!(f, "bytes   {} loaded from blocks", self.bytes_loaded)?;
        writeln!(f, "texts   {} bytes read to decide", self.text_bytes_read)
    }
}

/// The stages of a pipeline that blocks are searched by, with nothing counted yet.
pub(crate) fn stage_counts(pipeline: &Pipeline) -> Vec<StageCount> {
    let searched = pipeline.stages.iter().filter(|stage| {
        !matches!(
            stage,
            ast::Stage::Since(_)
                | ast::Stage::Until(_)
                | ast::Stage::OrderBy(_)
                | ast::Stage::Limit { .. }
        )
    });
    let counts = searched.map(|stage| StageCount {
        stage: print::stage(stage),
        ..StageCount::default()
    });
    counts.collect()
}

/// The conditions of a pipeline and what answers each.
pub(crate) fn steps(pipeline: &Pipeline) -> Vec<PlanStep> {
    let mut steps = Vec::new();
    of_pipeline(pipeline, &mut steps);
    steps
}

fn of_pipeline(pipeline: &Pipeline, steps: &mut Vec<PlanStep>) {
    for stage in &pipeline.stages {
        match stage {
            ast::Stage::Spans(spans) => of_spans(spans, steps),
            ast::Stage::Filter(expr) => of_expr(expr, Form::Filter, steps),
            ast::Stage::Scalars { left, .. } => {
                let argument = match left {
                    ast::Scalar::Aggregate(one) => one.argument.as_deref(),
                    _ => None,
                };
                steps.push(PlanStep {
                    condition: print::stage(stage),
                    answered_by: argument.map_or("columns", value_from),
                });
            }
            ast::Stage::By(expr) => steps.push(PlanStep {
                condition: print::stage(stage),
                answered_by: value_from(expr),
            }),
            _ => {}
        }
    }
}

fn of_spans(spans: &Spans, steps: &mut Vec<PlanStep>) {
    match spans {
        Spans::Braces(expr) => of_expr(expr, Form::Braces, steps),
        Spans::Pipeline(inner) => of_pipeline(inner, steps),
        Spans::Binary { left, right, op } => {
            of_spans(left, steps);
            of_spans(right, steps);
            steps.push(PlanStep {
                condition: format!("… {} …", print::spans_op(*op)),
                answered_by: "columns",
            });
        }
        Spans::Absent(inner) => of_spans(inner, steps),
    }
}

fn of_expr(expr: &Expr, form: Form, steps: &mut Vec<PlanStep>) {
    match &expr.kind {
        ExprKind::Binary {
            op, left, right, ..
        } if op.is_connective() => {
            of_expr(left, form, steps);
            of_expr(right, form, steps);
        }
        ExprKind::Unary {
            op: ast::UnaryOp::Not,
            operand,
        } => of_expr(operand, form, steps),
        _ => {
            let answered_by =
                condition(expr, form).map_or("a value is missing", |node| answered(&node));
            steps.push(PlanStep {
                condition: print::expr(expr, form),
                answered_by,
            });
        }
    }
}

/// What tells the value of an expression.
fn value_from(expr: &Expr) -> &'static str {
    let Ok(node) = condition(expr, Form::Braces) else {
        return "a value is missing";
    };
    let mut in_columns = !node.asks_elsewhere();
    node.each_field(&mut |field| in_columns &= stands_by_row(field));
    if in_columns { "columns" } else { "traces" }
}

fn answered(node: &Node) -> &'static str {
    match node {
        Node::Constant(_) => "nothing to look up",
        Node::SomeEvent(inner) => answered(inner),
        Node::SomeLink(_) => "spans with links",
        node => match node.only_field() {
            Some(Field::Builtin(Builtin::SpanInput | Builtin::SpanOutput)) => "texts of candidates",
            Some(field) if level(field).is_some() => "columns",
            Some(Field::Builtin(Builtin::SpanText)) => "columns and texts",
            _ => {
                let mut in_columns = !node.asks_elsewhere();
                node.each_field(&mut |field| in_columns &= stands_by_row(field));
                if in_columns { "columns" } else { "traces" }
            }
        },
    }
}
