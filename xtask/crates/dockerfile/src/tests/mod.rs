//! What a reading answers: each rule, and its negative twin.

mod copying;
mod fingerprint;
mod hostile;
mod lines;
mod mounts;
mod second_opinion;
mod stages;
pub(super) mod support;
mod unreached;
mod variables;
