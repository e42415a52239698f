//! What people and machines see: a library over [`std::io::Write`].
//!
//! Text of others (names, payloads, messages) reaches a terminal through [`Line`] alone, which
//! escapes it, or through [`json`], whose writer escapes the same characters inside strings.

mod bars;
mod critical;
mod diff;
pub(crate) mod json;
mod json_view;
mod line;
mod link;
mod listing;
mod look;
mod messages;
mod node;
mod outline;
#[cfg(test)]
pub(crate) mod samples;
mod show;
mod span;
mod summary;
mod text;
mod totals;
mod trace_row;
mod tree;
pub(crate) mod units;

pub(crate) use bars::sparkline;
pub(crate) use diff::TraceDiff;
pub(crate) use json_view::{JsonFold, write_json, write_text};
pub(crate) use line::{Align, Line, Sheet};
pub(crate) use link::Hyperlinks;
pub(crate) use listing::{Column, Listing};
pub(crate) use look::{Look, Role, Zone, state_mark, state_sign};
pub(crate) use messages::{conversation, write_messages};
pub(crate) use node::{Node, object};
pub(crate) use outline::{ByHand, Fold, Outline, RowKind};
pub(crate) use show::{ShowOptions, error_origins, error_text, show, tokens};
pub(crate) use span::{assessment_line, attributes_item, pairs, span_item, span_page};
#[cfg(test)]
pub(crate) use text::is_unsafe;
pub(crate) use text::to_ascii;
#[cfg(feature = "mcp")]
pub(crate) use trace_row::trace_item_of;
pub(crate) use trace_row::trace_list;
pub(crate) use tree::Layout;
