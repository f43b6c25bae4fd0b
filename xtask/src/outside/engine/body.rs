//! The body of an answer, as it arrives. A body that ends too early is an error.

use crate::outside::interrupt;
use std::io::Error;
use std::io::ErrorKind;
use std::io::{BufRead, BufReader, Chain, Cursor, Read, Result};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use std::time::Instant;

/// A stream whose reads wait until the patience is over or the user wants to stop.
#[derive(Debug)]
pub(super) struct Patient {
    pub(super) stream: UnixStream,
    /// How long one read may take.
    pub(super) patience: Duration,
    /// Whether the wait ends when the user wants to stop. Cleaning up after an interrupt must go
    /// on.
    pub(super) yields: bool,
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let start = Instant::now();
        loop {
            match self.stream.read(buffer) {
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    if self.yields && interrupt::is_wanted() {
                        return Err(Error::other("interrupted"));
                    }
                    if start.elapsed() > self.patience {
                        return Err(broken("it does not answer"));
                    }
                }
                result => return result,
            }
        }
    }
}

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// After a chunk without bytes.
    Chunks,
    /// After this many bytes.
    Known(u64),
    /// At the end of the connection.
    Unknown,
}

pub(super) fn broken(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, why.to_owned())
}

/// How many bytes are read at once.
const BUFFER: usize = 256 << 10;
/// Longest line between two chunks.
const LINE: u64 = 1 << 10;
/// The longest body that is read as a message.
const SHORT: u64 = 1 << 20;

/// A body whose bytes can be read without copying them.
#[derive(Debug)]
pub struct StreamedBody {
    source: BufReader<Chain<Cursor<Vec<u8>>, Patient>>,
    length: Length,
    /// How many bytes are left of this chunk, or of a body whose length is known.
    left: u64,
    /// Whether the line end after a chunk comes next.
    is_behind_chunk: bool,
}

impl StreamedBody {
    pub(super) fn new(stream: BufReader<Patient>, length: Length) -> Self {
        let read = Cursor::new(stream.buffer().to_vec());
        Self {
            source: BufReader::with_capacity(BUFFER, read.chain(stream.into_inner())),
            length,
            left: match length {
                Length::Known(length) => length,
                Length::Chunks | Length::Unknown => 0,
            },
            is_behind_chunk: false,
        }
    }

    /// The whole of a body that is not expected to be long.
    pub(super) fn short(self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        self.take(SHORT).read_to_end(&mut body).map(|_| body)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.source.by_ref().take(LINE).read_line(&mut line)?;
        if line.ends_with('\n') {
            Ok(line)
        } else {
            Err(broken("the answer breaks off"))
        }
    }

    /// Begins the next chunk, if there is one.
    fn begin(&mut self) -> Result<()> {
        if self.is_behind_chunk {
            self.line()?;
            self.is_behind_chunk = false;
        }
        let line = self.line()?;
        let size = line.split(';').next().unwrap_or_default().trim();
        self.left = u64::from_str_radix(size, 16).map_err(|_| broken("a chunk without a size"))?;
        if self.left == 0 {
            self.length = Length::Known(0);
        }
        Ok(())
    }
}

impl Read for StreamedBody {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for StreamedBody {
    fn fill_buf(&mut self) -> Result<&[u8]> {
        if self.length == Length::Unknown {
            return self.source.fill_buf();
        }
        if self.left == 0 && self.length == Length::Chunks {
            self.begin()?;
        }
        if self.left == 0 {
            return Ok(&[]);
        }
        let bytes = self.source.fill_buf()?;
        if bytes.is_empty() {
            return Err(broken("the answer breaks off"));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        Ok(&bytes[..bytes.len().min(most)])
    }

    fn consume(&mut self, length: usize) {
        self.source.consume(length);
        if self.length != Length::Unknown {
            self.left -= length as u64;
            self.is_behind_chunk = self.left == 0 && self.length == Length::Chunks;
        }
    }
}
