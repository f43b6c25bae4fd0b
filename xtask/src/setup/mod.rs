//! What the machine must have, and how it gets it.
//!
//! `gather` finds out the facts; `check` holds them against the graph's needs; `plan` makes
//! commands of what is missing; `apply` runs them. Only the first and the last touch the machine.

pub mod apply;
pub mod check;
pub mod facts;
pub mod finding;
pub mod gather;
pub mod needs;
pub mod network;
pub mod packages;
pub mod plan;
pub mod probe;
#[cfg(test)]
mod tests;
pub mod tools;
mod version;
