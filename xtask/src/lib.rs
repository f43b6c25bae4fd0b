//! Builds and verifies the container images of a Dify monorepo.
//!
//! The way of the data, one direction only:
//!
//! 1. **Open** (`graphfile`): `chosen` finds the file, `spec` reads it, `base_override` puts other
//!    bases in their places, `graph` orders the stages.
//! 2. **Judge** (`freshness`): `stage_inputs` gathers what can change an image, through `dockerfile`
//!    and `contexts`; `key` hashes it; `verdict` holds it against the `record`s and the images that
//!    the engine has. `planner` does this for all stages at once. `plan` and `explain` stop here.
//! 3. **Build** (`build`): `schedule` gives each stage its turn; `fetching` and `pinning` bring what
//!    is missing, `action` makes the command line, `executor` runs it, and what came of it is checked
//!    and recorded.
//! 4. **Verify** (`verify`): the images of fresh stages are read layer by layer, held against the
//!    policy, and tried as a running stack; the answer is recorded.
//! 5. **Tell** (`report`): what happens is an event, and reporters know nothing but events. The events
//!    are kept, and `page` shows them later.
//!
//! `DESIGN.md`, *The way of the data*, has the drawing, and *Rooms* says which room may import which.

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

pub mod adopt;
pub mod build;
pub mod cli;
pub mod commands;
pub mod contexts;
pub mod export;
pub mod fault;
pub mod freshness;
pub mod graphfile;
pub mod outside;
pub mod page;
pub mod prune;
pub mod publish;
pub mod rehearsal;
pub mod report;
pub mod setup;
pub mod shown;
pub mod since;
pub mod unpoisoned;
pub mod verify;
pub mod workflow;
pub mod workshop;
