//! The Spanlite query language: TraceQL and MLflow filters over one tree.
