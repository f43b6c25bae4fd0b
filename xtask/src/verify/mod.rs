//! Whether images keep their promises.

pub mod layers;
pub mod secrets;
pub mod stack;
