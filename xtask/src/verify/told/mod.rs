//! Writes findings for people and for other programs. Each form has a file of its own.

mod github;
mod junit;
mod sarif;
mod table;

pub use github::{annotations, summary};
pub use junit::junit;
pub use sarif::sarif;
pub use table::table;
