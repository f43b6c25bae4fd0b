//! The whole log of one stage, in a file of its own. Every line passes the redactor before it is
//! written.

use std::fs::File;
use std::io::{BufWriter, Write as _};

use camino::Utf8Path;

use super::redact::Redactor;

/// How a log begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStart<'l> {
    /// As an empty file.
    Empty,
    /// Behind what an earlier call of the same turn has written, with the reason for this call. The
    /// earlier call ran the steps that BuildKit now has in its cache.
    After(&'l str),
}

/// An open log.
#[derive(Debug)]
pub struct Log<'r> {
    file: BufWriter<File>,
    redactor: &'r Redactor,
}

impl<'r> Log<'r> {
    /// Opens a log.
    pub fn open(
        path: &Utf8Path,
        start: LogStart<'_>,
        redactor: &'r Redactor,
    ) -> std::io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        // Replaces a pipe and the like: opening a pipe may wait for a reader for ever.
        let stands = path.symlink_metadata();
        if stands.is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
            std::fs::remove_file(path)?;
        }
        let file = match start {
            LogStart::Empty => File::create(path)?,
            LogStart::After(_) => File::options().create(true).append(true).open(path)?,
        };
        let mut log = Self {
            file: BufWriter::new(file),
            redactor,
        };
        if let LogStart::After(why) = start {
            log.line(format!("\n--- {why}").as_bytes());
        }
        Ok(log)
    }

    /// Adds a line, and gives it without secrets. Errors are ignored: a log that cannot be written
    /// (a full disk) must not fail the build.
    pub fn line(&mut self, line: &[u8]) -> Vec<u8> {
        let clean = self.redactor.clean(line);
        let _ = self
            .file
            .write_all(&clean)
            .and_then(|()| self.file.write_all(b"\n"));
        clean
    }

    /// Writes all lines so far to the file, as a user may follow it.
    pub fn show(&mut self) {
        let _ = self.file.flush();
    }

    /// What removes secrets from the log.
    pub const fn redactor(&self) -> &'r Redactor {
        self.redactor
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
        let write = |start, line: &[u8]| {
            Log::open(&path, start, &redactor).unwrap().line(line);
            std::fs::read_to_string(&path).unwrap()
        };
        assert_eq!(write(LogStart::Empty, b"told"), "told\n");
        // A further call keeps what the first one has written.
        assert_eq!(
            write(LogStart::After("once more"), b"cached"),
            "told\n\n--- once more\ncached\n"
        );
        assert_eq!(write(LogStart::Empty, b"new"), "new\n");
    }
}
