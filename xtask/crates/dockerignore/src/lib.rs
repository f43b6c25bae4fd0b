//! `.dockerignore` with Moby's semantics, and Go's `filepath.Match`.
//!
//! The crate works on text and paths and looks at no file tree. Paths are bytes, relative to the
//! context's root, with `/` between names.
//!
//! ```
//! use dockerignore::Ignore;
//! let ignore = Ignore::parse(b"**/*.pyc\nnode_modules\n!node_modules/kept\n").unwrap();
//! assert!(ignore.excludes(b"api/app.pyc"));
//! assert!(ignore.excludes(b"node_modules/left-pad/index.js"));
//! assert!(!ignore.excludes(b"node_modules/kept/index.js"));
//! ```
//!
//! Docker asks the matcher in two ways, whose answers now and then differ. [`Ignore::judge`] gives
//! both answers for a walk from the root downwards:
//!
//! ```
//! use dockerignore::{Above, Ignore};
//! let ignore = Ignore::parse(b"docs\n").unwrap();
//! let (folder, below) = ignore.judge(b"docs", &Above::default()).unwrap();
//! assert!(folder.by_walk && !ignore.may_reach_below(b"docs"));
//! let (file, _) = ignore.judge(b"docs/a.md", &below).unwrap();
//! assert!(file.by_both());
//! ```

mod charset;
mod expression;
mod glob;
mod gotext;
mod ignore;
mod index;
mod machine;
mod pattern;
#[cfg(test)]
mod tests;

pub use glob::Glob;
pub use ignore::{Above, Handing, Ignore, IgnoreError, Judged};
