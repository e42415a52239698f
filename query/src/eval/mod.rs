//! The naive evaluator: a query over one whole trace, without any index. The planner is held
//! against it.

mod datum;
mod field;
mod node;
mod pipeline;
mod sets;
mod text;
mod view;

pub(crate) use datum::Datum;
pub(crate) use node::{At, RowValues};
pub(crate) use pipeline::{aggregate_of, fold, group_name, is_one_group, push_group_key, run};
pub(crate) use text::words;
pub(crate) use view::View;
