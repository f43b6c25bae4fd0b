//! The rule `secrets`: what must not be in any layer, nor in an image's config. And the rule
//! `default-keys`: what everybody knows.
//!
//! Values are judged by their shape: prefix, length, alphabet, and a checksum or the entropy. The
//! name of a variable alone is never a finding. `README.md` beside this file lists the shapes with
//! their sources. Knows bytes, names and texts; is unaware of images, layers and policy.

mod default_keys;
mod files;
mod filter;
mod letters;
mod material;
mod placeholder;
mod scanner;
mod setting;
mod shape;
mod shapes;
mod text;
mod view;

#[cfg(test)]
mod tests;

pub use default_keys::{DEFAULT_KEYS, in_environment};
pub use files::by_path;
pub use scanner::Scanner;
pub use shape::{Find, Proof, Shape};
pub use shapes::{all as shapes, shape};
pub use text::in_text;

/// The name of the rule.
pub const SECRETS: &str = "secrets";

/// A secret that was found. It says what and where; never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSecret {
    /// [`SECRETS`] or [`DEFAULT_KEYS`].
    pub rule: &'static str,
    /// The name of the shape: [`shape`] has its reasons.
    pub shape: &'static str,
    /// What it is, for example "an AWS access key".
    pub what: &'static str,
    /// The line, counted from one. A binary file and a text that is no file have none.
    pub line: Option<u64>,
    /// What may be shown: a public prefix and the length, or the name of the setting.
    pub masked: String,
}
