//! The whole log of one stage, in a file of its own.
//!
//! Knows lines and the last of them; every line passes the redactor before it is written.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write as _};

use camino::Utf8Path;

use super::TAIL;
use super::redact::Redactor;

/// An open log.
#[derive(Debug)]
pub struct Log<'r> {
    file: BufWriter<File>,
    redactor: &'r Redactor,
    tail: VecDeque<String>,
}

impl<'r> Log<'r> {
    /// Starts the log anew.
    pub fn create(path: &Utf8Path, redactor: &'r Redactor) -> std::io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = BufWriter::new(File::create(path)?);
        Ok(Self {
            file,
            redactor,
            tail: VecDeque::new(),
        })
    }

    /// Adds a line. A log that cannot be written (a full disk) must not fail a build that can.
    pub fn line(&mut self, line: &[u8]) {
        let clean = self.redactor.clean(line);
        let _ = self
            .file
            .write_all(&clean)
            .and_then(|()| self.file.write_all(b"\n"));
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(crate::verdict::text(&clean));
    }

    /// The last lines.
    pub fn tail(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }
}
