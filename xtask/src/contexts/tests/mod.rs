//! Contexts as a whole.

mod collect;
mod materialise;
mod select;
mod state;
pub(super) mod tree;
mod witness;
