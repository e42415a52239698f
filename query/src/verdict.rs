use std::ops::Range;

use serde::Serialize;

use crate::error::{Code, Phase, QueryError};
use crate::query::Query;

/// What checking a query finds, as machines read it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Verdict {
    /// The query can run.
    Valid {
        /// Always true.
        ok: bool,
        /// Its canonical form.
        canonical: String,
        /// What could be meant otherwise.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<Problem>,
    },
    /// It cannot.
    Refused {
        /// Always false.
        ok: bool,
        /// The step that found the mistake.
        stage: Phase,
        /// The mistake.
        error: Problem,
    },
}

/// A mistake, as machines read it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Problem {
    /// Its sort.
    pub code: Code,
    /// The first byte of the query that is meant, and the one behind the last.
    pub span: [usize; 2],
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: Option<Box<str>>,
    /// Text that could stand there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace: Option<Box<str>>,
    /// What could have stood there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<&'static str>,
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let Range { start, end } = error.span;
        Self {
            code: error.code,
            span: [start, end],
            message: error.message,
            help: error.help,
            replace: error.replace,
            expected: error.expected,
        }
    }
}

impl Verdict {
    /// Checks a query without running it. Parameters need no values.
    pub fn of(text: &str) -> Self {
        match Query::parse(text) {
            Ok(query) => Self::Valid {
                ok: true,
                canonical: query.canonical(),
                warnings: query
                    .warnings()
                    .iter()
                    .cloned()
                    .map(Problem::from)
                    .collect(),
            },
            Err(error) => Self::Refused {
                ok: false,
                stage: error.code.phase(),
                error: error.into(),
            },
        }
    }
}
