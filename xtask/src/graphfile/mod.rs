//! The graph file and what it names: the DAG, the lock file, sources, base overrides.

pub mod base_override;
pub mod call;
pub mod chosen;
pub mod graph;
pub mod lock;
pub mod options;
pub mod outputs;
pub mod source;
pub mod spec;
