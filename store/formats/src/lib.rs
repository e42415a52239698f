//! OTLP, MLflow and other trace formats, read into and written from the Spanlite model.
