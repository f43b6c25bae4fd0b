//! The graph file as a whole.

mod hostile;
mod schema;
mod stack;
