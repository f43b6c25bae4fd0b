//! Tests of the whole matcher.

mod hostile;
mod matching;
