//! Builds, verifies and publishes the container images of a Dify monorepo.
//!
//! The way of the data, one direction only: `spec` → `graph` → `inputs` → `key` →
//! `verdict` → `schedule` → `action` → `executor` → `record` → `report`.

// They panic when nobody reads; `tell!` and `commands::print` do not.
#![warn(clippy::print_stderr, clippy::print_stdout)]

/// A line for people, on stderr. Unlike `eprintln!` it does not panic when nobody reads it any
/// more, as in `… 2>&1 | head`.
#[macro_export]
macro_rules! tell {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

pub mod action;
pub mod assess;
pub mod bench;
pub mod build;
pub mod call;
pub mod chosen;
pub mod cli;
pub mod commands;
pub mod demo;
pub mod engine;
pub mod event;
pub mod excerpt;
pub mod executor;
pub mod fault;
pub mod git;
pub mod graph;
pub mod inputs;
pub mod interrupt;
pub mod key;
pub mod lock;
pub mod locking;
pub mod material;
pub mod outputs;
pub mod prepare;
pub mod private;
pub mod proxies;
pub mod record;
pub mod replacement;
pub mod report;
pub mod schedule;
pub mod secrets;
pub mod setup;
pub mod shown;
pub mod source;
pub mod spec;
pub mod state;
pub mod sync;
pub mod testbed;
pub mod verdict;
pub mod verify;
