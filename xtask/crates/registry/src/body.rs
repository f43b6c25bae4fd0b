//! What a request sends: nothing, bytes, or a source that is read while it is sent.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};

use super::text::short;

/// Opens a source at its beginning. Every attempt opens it anew.
pub type Open<'a> = dyn Fn() -> io::Result<Box<dyn Read + Send>> + 'a;

/// The body of a request.
#[derive(Debug, Clone)]
pub enum Body<'a> {
    /// No body, and no header about one.
    None,
    /// These bytes, which may be none.
    Bytes(Cow<'a, [u8]>),
    /// The bytes of a source, which never are in memory as a whole.
    Source(Source<'a>),
}

/// A source of exactly `size` bytes.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// How many bytes it has.
    pub size: u64,
    /// Opens it.
    pub open: &'a Open<'a>,
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.size)
    }
}

impl Source<'_> {
    /// Opens the source. The error is a clause.
    pub fn open(&self) -> Result<Reading, String> {
        let inner = (self.open)().map_err(|error| clause(&error))?;
        let mut reading = Reading {
            inner,
            size: self.size,
            left: self.size,
            trouble: None,
        };
        if self.size == 0 {
            // Nothing of an empty source is sent, so nothing else would read it.
            reading.check_end().map_err(|error| clause(&error))?;
        }
        Ok(reading)
    }
}

/// A source while it is sent. It fails if the source has not exactly the bytes that were promised,
/// as the registry would wait for the missing ones.
pub struct Reading {
    inner: Box<dyn Read + Send>,
    size: u64,
    left: u64,
    trouble: Option<String>,
}

impl Reading {
    /// A clause on why the source failed, if it did.
    pub fn trouble(self) -> Option<String> {
        self.trouble
    }

    fn piece(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).map_or(to.len(), |left| left.min(to.len()));
        if room == 0 {
            return Ok(0);
        }
        let count = self.read_inner(&mut to[..room])?;
        if count == 0 {
            return Err(io::Error::other(format!(
                "it ends after {} of {} bytes",
                self.size - self.left,
                self.size
            )));
        }
        self.left = self.left.saturating_sub(count as u64);
        if self.left == 0 {
            self.check_end()?;
        }
        Ok(count)
    }

    fn check_end(&mut self) -> io::Result<()> {
        match self.read_inner(&mut [0])? {
            0 => Ok(()),
            _ => Err(io::Error::other(format!(
                "it has more than {} bytes",
                self.size
            ))),
        }
    }

    fn read_inner(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.inner.read(to) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

impl Read for Reading {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.piece(to)
            .inspect_err(|error| self.trouble = Some(clause(error)))
    }
}

fn clause(error: &io::Error) -> String {
    short(&error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &'static [u8], size: u64) -> Result<Vec<u8>, String> {
        let open = || -> io::Result<Box<dyn Read + Send>> { Ok(Box::new(bytes)) };
        let mut reading = Source { size, open: &open }.open()?;
        let mut all = Vec::new();
        let told = reading.read_to_end(&mut all);
        match reading.trouble() {
            Some(why) => Err(why),
            None => told.map(|_| all).map_err(|error| error.to_string()),
        }
    }

    #[test]
    fn a_source_has_exactly_the_bytes_that_it_promises() {
        assert_eq!(read(b"abc", 3), Ok(b"abc".to_vec()));
        assert_eq!(read(b"", 0), Ok(Vec::new()));
        for (bytes, size, why) in [
            (&b"abc"[..], 4, "it ends after 3 of 4 bytes"),
            (b"abc", 2, "it has more than 2 bytes"),
            (b"a", 0, "it has more than 0 bytes"),
        ] {
            assert_eq!(read(bytes, size), Err(why.to_owned()));
        }
    }
}
