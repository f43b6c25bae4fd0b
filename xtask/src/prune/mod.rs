//! What nobody needs any more, on this machine and in the registry, and its removal.
//!
//! `needed` says what the graph needs, `local` and `shared` find the rest. Nothing is removed that
//! was not found before and shown. The order makes a removal that is cut off harmless: a record goes
//! before its image, so no record is left that leads nowhere.

pub mod local;
pub mod needed;
pub mod shared;

use serde::Serialize;

/// How much of something goes, and how much stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// How many go.
    pub goes: usize,
    /// How many stay.
    pub stays: usize,
    /// The bytes of what goes, each layer counted once for each image that has it: what is shared
    /// with something that stays is not freed.
    pub bytes: u64,
}
