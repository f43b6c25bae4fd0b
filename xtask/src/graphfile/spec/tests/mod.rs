//! The graph file as a whole.

mod hostile;
mod stack;
