//! The matcher as a whole.

mod hostile;
mod matching;
