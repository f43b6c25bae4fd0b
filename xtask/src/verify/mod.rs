//! Holds images against the policy, layer by layer, and tries them as a running stack.
//!
//! Verification never builds an image and does not read keys.

pub mod at_place;
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
