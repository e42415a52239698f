//! Jobs that replicate selected traces to MLflow, OTLP backends and files.
