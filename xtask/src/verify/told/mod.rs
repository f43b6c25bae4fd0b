//! Findings for people and for other programs, one file per form.
//!
//! Knows an answer and how each form is written. Is unaware of images.

mod github;
mod junit;
mod sarif;
mod table;

pub use github::{annotations, summary};
pub use junit::junit;
pub use sarif::sarif;
pub use table::table;
