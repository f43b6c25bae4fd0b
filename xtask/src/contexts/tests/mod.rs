//! Contexts as a whole.

mod collect;
mod materialise;
mod select;
mod state;
mod tracer;
pub(super) mod tree;
