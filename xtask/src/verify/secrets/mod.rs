//! The rule `secrets`: values that must not be in any layer or in an image's configuration. And the
//! rule `default-keys`: publicly known keys.
//!
//! Values are judged by their shape: prefix, length, alphabet, and a checksum or the entropy. The
//! name of a variable alone is never a finding. `README.md` beside this file lists the shapes with
//! their sources.

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

/// A secret that was found: what it is and where, never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSecret {
    /// [`SECRETS`] or [`DEFAULT_KEYS`].
    pub rule: &'static str,
    /// The name of the shape. [`shape`] has its reasons.
    pub shape: &'static str,
    /// What the secret is, for example "an AWS access key".
    pub what: &'static str,
    /// The line, counted from one. `None` in a binary file and in a text that is not a file.
    pub line: Option<u64>,
    /// What may be shown: a public prefix and the length, or the name of the setting.
    pub masked: String,
}
