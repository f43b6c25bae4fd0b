//! What lies outside this program: signals, files, git, the engine.

pub mod archive;
pub mod ask;
pub mod builder;
pub mod clock;
pub mod engine;
pub mod git;
pub mod index;
pub mod interrupt;
pub mod layout;
pub mod place;
pub mod private;
pub mod proxies;
pub mod push;
pub mod state;
