use spanlite_model::Trace;

use crate::check;
use crate::error::{Code, QueryError};
use crate::eval::View;
use crate::resolve::{self, Body, Resolved};
use crate::row::{self, SpanSet};
use crate::syntax::{self, ast, print};

/// A query that was read and checked.
#[derive(Debug, Clone)]
pub struct Query {
    source: Box<str>,
    tree: ast::Query,
    warnings: Vec<QueryError>,
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
        tree: ast::Query,
        warnings: Vec<QueryError>,
    ) -> Result<Self, QueryError> {
        check::check(&tree, &source)?;
        let resolved = resolve::resolve(&tree);
        if let Err(error) = &resolved
            && error.code != Code::UnboundParameter
        {
            return Err(error.clone());
        }
        Ok(Self { source, tree, warnings, resolved })
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

    /// The canonical form. Reading it gives an equal query.
    pub fn canonical(&self) -> String {
        print::query(&self.tree)
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

    pub(crate) fn resolved(&self) -> Result<&Resolved, QueryError> {
        self.resolved.as_ref().map_err(Clone::clone)
    }
}
