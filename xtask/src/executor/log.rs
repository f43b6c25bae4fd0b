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
        // In the place of what is no file: one may wait for ever for a pipe's reader.
        let stands = path.symlink_metadata();
        if stands.is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
            std::fs::remove_file(path)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_in_the_place_of_a_log_gives_way_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("a.log");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, path.as_str(), kind, mode, 0).unwrap();
        let redactor = Redactor::default();
        let mut log = Log::create(&path, &redactor).unwrap();
        log.line(b"told");
        drop(log);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "told\n");
    }
}
