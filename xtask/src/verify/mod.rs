//! Whether images keep their promises: a policy on every layer, then the running stack.
//!
//! Knows images and findings. Is unaware of how images are built, and of keys.

pub mod finding;
pub mod kept;
pub mod layers;
pub mod noted;
pub mod policy;
pub mod record;
pub mod secrets;
pub mod size;
pub mod stack;
pub mod told;
pub mod tools;
