//! Whether a stage must be built, and why: from its trees to its verdict.

pub mod key;
pub mod pins;
pub mod planner;
pub mod prepare;
pub mod record;
pub mod secrets;
pub mod shared;
pub mod stage_inputs;
pub mod verdict;
