//! Checks what the machine needs, and installs what is missing.
//!
//! `gather` finds out the facts; `check` compares them with the graph's needs; `plan` turns what is
//! missing into commands; `apply` runs them. Only `gather` and `apply` touch the machine.

pub mod apply;
mod builders;
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
