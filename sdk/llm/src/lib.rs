//! Recognises LLM exchanges over HTTP and joins their streams.
