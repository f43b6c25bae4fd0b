//! Runs `verify` on real engines.

mod recorded;
mod rules;
mod stacked;
