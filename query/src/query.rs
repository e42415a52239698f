use spanlite_model::Trace;

use crate::bind::{self, Argument};
use crate::check;
use crate::error::{Code, QueryError};
use crate::eval::View;
use crate::plan::{self, PlanStep, StageCount};
use crate::resolve::{self, Body, Resolved};
use crate::row::{self, SpanSet};
use crate::syntax::{self, ast, print};

/// A query that was read and checked.
#[derive(Debug, Clone)]
pub struct Query {
    source: Box<str>,
    tree: ast::Query,
    warnings: Vec<QueryError>,
    parameters: Vec<String>,
    /// Why it cannot run yet, where a parameter has no value.
    resolved: Result<Resolved, QueryError>,
}

impl PartialEq for Query {
    /// Equal trees: however they were written, they mean the same.
    fn eq(&self, other: &Self) -> bool {
        self.tree == other.tree
    }
}

impl Query {
    /// Reads a query in either form: braces (TraceQL) or filter (MLflow).
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let (tree, warnings) = syntax::parse(text)?;
        Self::checked(text.into(), tree, warnings)
    }

    fn checked(
        source: Box<str>,
        mut tree: ast::Query,
        warnings: Vec<QueryError>,
    ) -> Result<Self, QueryError> {
        check::check(&tree, &source)?;
        let resolved = resolve::resolve(&tree);
        if let Err(error) = &resolved
            && error.code != Code::UnboundParameter
        {
            return Err(error.clone());
        }
        let mut parameters: Vec<String> = Vec::new();
        bind::each_expr(&mut tree, &mut |expr| {
            if let ast::ExprKind::Param(name) = &expr.kind
                && !parameters.iter().any(|known| **known == **name)
            {
                parameters.push(name.to_string());
            }
        });
        Ok(Self {
            source,
            tree,
            warnings,
            parameters,
            resolved,
        })
    }

    /// The canonical form of a text that can be read, whether or not it passes the checks.
    pub fn canonical_of(text: &str) -> Result<String, QueryError> {
        Ok(print::query(&syntax::parse(text)?.0))
    }

    /// What could be meant otherwise. Places are bytes of the text that was read.
    pub fn warnings(&self) -> &[QueryError] {
        &self.warnings
    }

    /// The text that was read.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The canonical form. Reading it gives an equal query; only where more than 100 operators hang
    /// on one another, its brackets are nested deeper than is read.
    pub fn canonical(&self) -> String {
        print::query(&self.tree)
    }

    /// The query with a value in place of every `$name`. The value takes part in the checks as
    /// if it had been written there; a query without such a parameter is refused.
    pub fn bind(&self, name: &str, value: impl Into<Argument>) -> Result<Self, QueryError> {
        let mut tree = self.tree.clone();
        if !bind::bind(&mut tree, name, &value.into()) {
            let message = format!("the query has no parameter `${name}`");
            return Err(QueryError::new(Code::UnknownName, 0..0, message));
        }
        Self::checked(self.source.clone(), tree, self.warnings.clone())
    }

    /// The parameters that have no value yet, in the order they are first used.
    pub fn parameters(&self) -> &[String] {
        &self.parameters
    }

    /// Whether the query yields metrics rather than traces.
    pub fn is_metrics(&self) -> bool {
        matches!(self.tree.body, ast::Body::Metrics(_))
    }

    /// Evaluates the query over one whole trace, without any index: the sets of spans that fit,
    /// none if the trace does not. Order and limit say nothing about one trace; a query for
    /// metrics fits no trace.
    pub fn evaluate(&self, trace: &Trace, now_unix_nano: u64) -> Result<Vec<SpanSet>, QueryError> {
        let resolved = self.resolved()?;
        Ok(match &resolved.body {
            Body::Search(stages) => row::span_sets(stages, &View::new(trace, now_unix_nano)),
            Body::Metrics(_) => Vec::new(),
        })
    }

    /// The conditions of the query and what answers each.
    pub(crate) fn plan_steps(&self) -> Vec<PlanStep> {
        match &self.tree.body {
            ast::Body::Search(pipeline) => plan::steps(pipeline),
            ast::Body::Metrics(_) => Vec::new(),
        }
    }

    /// The stages that blocks are searched by.
    pub(crate) fn stage_counts(&self) -> Vec<StageCount> {
        match &self.tree.body {
            ast::Body::Search(pipeline) => plan::stage_counts(pipeline),
            ast::Body::Metrics(_) => Vec::new(),
        }
    }

    pub(crate) fn tree(&self) -> &ast::Query {
        &self.tree
    }

    pub(crate) fn resolved(&self) -> Result<&Resolved, QueryError> {
        self.resolved.as_ref().map_err(Clone::clone)
    }
}
