//! Nothing: the tests of this package are all there is. It is no default member of the workspace;
//! `cargo test -p spanlite-clients` builds and runs it.
