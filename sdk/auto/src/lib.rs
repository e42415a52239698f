//! Hooks that trace programs without touching their calls.
