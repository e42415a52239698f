//! What goes in comes out: real files, made-up traces, and hostile input.

mod canonical;
mod files;
mod hostile;
mod properties;
