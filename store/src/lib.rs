//! The embedded trace store: a directory of redb segments, journals and state.
