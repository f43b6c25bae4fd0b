//! One event per line on stdout (DESIGN.md, *JSON*).

use std::io::Write as _;

use super::Reporter;
use crate::event::Event;

/// The JSON reporter.
#[derive(Debug)]
pub struct Json;

impl Reporter for Json {
    fn take(&mut self, event: &Event) {
        if let Ok(line) = serde_json::to_string(event) {
            // A closed pipe is the reader's wish.
            let _ = writeln!(std::io::stdout().lock(), "{line}");
        }
    }
}
