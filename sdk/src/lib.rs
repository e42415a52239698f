//! Trace LLM applications into an embedded store: no server, nothing lost.
