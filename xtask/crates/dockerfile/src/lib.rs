//! What a Dockerfile's text alone says about a build of one target: the images, contexts, paths,
//! arguments, secrets and remote sources that the target can reach.
//!
//! The text is read as BuildKit's Dockerfile frontend reads it (as in Docker 26, with newer forms
//! too). No file tree, registry or engine is asked: the same bytes and the same question give the
//! same answer everywhere. Whatever the text does not decide widens the answer.
//!
//! ```text
//! bytes -> lines -> instructions -> stages -> walk -> Reading
//! ```
//!
//! ```
//! use dockerfile::{ContextNeed, Question, read};
//! let text = b"FROM debian:12 AS base\nFROM base\nCOPY src /app\n";
//! let reading = read(text, &Question::default()).unwrap();
//! assert_eq!(reading.bases[0].reference, "debian:12");
//! assert!(matches!(reading.context, ContextNeed::Paths(_)));
//! ```

mod answer;
mod canonical;
mod crash;
mod directives;
mod error;
mod fingerprint;
mod flags;
mod foundations;
mod heredoc;
mod instructions;
mod lexer;
mod lines;
mod mentions;
mod mount;
pub mod need;
mod opening;
mod pattern;
mod reach;
mod reading;
mod scope;
mod several;
mod sources;
mod stages;
mod steps;
mod triggers;
mod uses;
mod validity;
mod variables;
mod walk;
mod words;

#[cfg(test)]
mod tests;

pub use answer::{read, read_knowing};
pub use error::DockerfileError;
pub use fingerprint::Counted;
pub use need::{ContextNeed, Need};
pub use opening::has_from;
pub use reading::{
    BaseKind, BaseUse, ImageFacts, Question, Reading, Remote, Required, Take, TakenFrom,
};
pub use several::together;
pub use sources::RemoteKind;
pub use stages::context_key;
pub use steps::{Step, steps};
pub use triggers::{leaves_no_triggers, names_of_args, names_of_stages};
