//! One event per line on stdout (DESIGN.md, *JSON*).

use std::io::{BufWriter, Write};
use std::time::Instant;

use super::Reporter;
use crate::report::event::Event;

/// The JSON reporter.
#[derive(Debug)]
pub struct Json<W: Write> {
    lines: BufWriter<W>,
}

impl<W: Write> Json<W> {
    /// Writes to `to`.
    pub fn to(to: W) -> Self {
        Self {
            lines: BufWriter::new(to),
        }
    }
}

impl<W: Write + Send> Reporter for Json<W> {
    fn take(&mut self, event: &Event, _: Instant) {
        if let Ok(line) = serde_json::to_string(event) {
            // The reader may close the pipe.
            let _ = writeln!(self.lines, "{line}");
        }
    }

    fn show(&mut self, _: Instant) {
        let _ = self.lines.flush();
    }
}
