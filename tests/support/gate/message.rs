//! The heads and bodies of HTTP/1.1 messages (RFC 9112), as far as a gate must understand them to
//! find their ends.

use std::io::{self, Read, Write};

/// More than any client or registry sends.
const LONGEST_HEAD: usize = 256 * 1024;

/// Reads a byte at a time up to an end. Not a byte too many is read, so the rest of the stream
/// stays for others. Returns nothing if the stream is over before the first byte.
pub fn read_up_to(mut from: impl Read, end: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let (mut read, mut byte) = (Vec::new(), [0]);
    while !read.ends_with(end) {
        match from.read(&mut byte) {
            Ok(0) if read.is_empty() => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) if read.len() == LONGEST_HEAD => return Err(io::ErrorKind::InvalidData.into()),
            Ok(_) => read.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(read))
}

/// The head of a request or an answer.
pub struct Head {
    pub bytes: Vec<u8>,
    text: String,
}

impl Head {
    pub fn of(bytes: Vec<u8>) -> Self {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Self { bytes, text }
    }

    /// A word of the first line.
    pub fn word(&self, place: usize) -> &str {
        let line = self.text.lines().next().unwrap_or_default();
        line.split(' ').nth(place).unwrap_or_default()
    }

    pub fn status(&self) -> io::Result<u16> {
        let status = self.word(1).parse();
        status.map_err(|_| io::ErrorKind::InvalidData.into())
    }

    fn value(&self, name: &str) -> Option<&str> {
        let mut fields = self.text.lines().skip(1).filter_map(|l| l.split_once(':'));
        let found = fields.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }

    fn says(&self, name: &str, wanted: &str) -> bool {
        let value = self.value(name).unwrap_or_default();
        value
            .split(',')
            .any(|word| word.trim().eq_ignore_ascii_case(wanted))
    }

    /// Whether the sender ends the connection after this message.
    pub fn closes(&self) -> bool {
        let first = self.text.lines().next().unwrap_or_default();
        self.says("connection", "close") || first.contains("HTTP/1.0")
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    pub fn expects_continue(&self) -> bool {
        self.says("expect", "100-continue")
    }

    fn length(&self) -> io::Result<Option<Body>> {
        if self.says("transfer-encoding", "chunked") {
            return Ok(Some(Body::Chunked));
        }
        let length = self.value("content-length").map(str::parse).transpose();
        let length = length.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok(length.map(Body::Length))
    }

    pub fn request_body(&self) -> io::Result<Body> {
        Ok(self.length()?.unwrap_or(Body::Length(0)))
    }

    /// The body of an answer to a request with this method.
    pub fn answer_body(&self, method: &str) -> io::Result<Body> {
        if method == "HEAD" || has_no_body(self.status()?) {
            return Ok(Body::Length(0));
        }
        Ok(self.length()?.unwrap_or(Body::UntilClose))
    }

    /// Lets `Location` name the gate where it names the registry, which it does if the registry's
    /// own configuration sets its name.
    pub fn relocate(&mut self, from: &str, to: &str) {
        let Some(location) = self.value("location") else {
            return;
        };
        let rest = location
            .strip_prefix("http://")
            .or_else(|| location.strip_prefix("https://"))
            .and_then(|rest| rest.strip_prefix(from))
            .filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
        if let Some(rest) = rest {
            let changed = format!("http://{to}{rest}");
            self.text = self.text.replace(location, &changed);
            self.bytes = self.text.clone().into_bytes();
        }
    }
}

/// Whether an answer with this status never has a body.
pub fn has_no_body(status: u16) -> bool {
    matches!(status, 100..200 | 204 | 304)
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    Length(u64),
    Chunked,
    UntilClose,
}

impl Body {
    pub fn is_empty(self) -> bool {
        self == Self::Length(0)
    }

    /// Copies the whole body, chunks as chunks.
    pub fn copy(self, from: impl Read + Copy, mut to: impl Write) -> io::Result<()> {
        match self {
            Self::Length(length) => exactly(length, from, to),
            Self::UntilClose => {
                let mut from = from;
                io::copy(&mut from, &mut to).map(|_| ())
            }
            Self::Chunked => loop {
                let size = chunk(from, &mut to)?;
                if size == 0 {
                    return trailers(from, to);
                }
                // The end of its line belongs to the chunk.
                exactly(size + 2, from, &mut to)?;
            },
        }
    }

    /// Copies half of the body, or of the first chunk.
    pub fn copy_half(self, from: impl Read + Copy, mut to: impl Write) -> io::Result<()> {
        let length = match self {
            Self::Length(length) => length,
            Self::Chunked => chunk(from, &mut to)?,
            Self::UntilClose => 2,
        };
        exactly(length / 2, from, to)
    }
}

fn exactly(length: u64, from: impl Read, mut to: impl Write) -> io::Result<()> {
    if io::copy(&mut from.take(length), &mut to)? == length {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn line(from: impl Read, mut to: impl Write) -> io::Result<String> {
    let line = read_up_to(from, b"\r\n")?.ok_or(io::ErrorKind::UnexpectedEof)?;
    to.write_all(&line)?;
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// Copies the line before a chunk. Returns the chunk's size.
fn chunk(from: impl Read, to: impl Write) -> io::Result<u64> {
    let line = line(from, to)?;
    let size = line.split(';').next().unwrap_or_default().trim();
    let size = u64::from_str_radix(size, 16).ok();
    // An absurd size is not worth an overflow later.
    let size = size.filter(|size| *size < u64::MAX / 2);
    size.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn trailers(from: impl Read + Copy, mut to: impl Write) -> io::Result<()> {
    while !line(from, &mut to)?.is_empty() {}
    Ok(())
}

/// Writes until writing fails, and then takes the rest without an error. So a body is read to its
/// end although the other side wants no more of it.
pub struct Tolerant<W> {
    to: Option<W>,
}

impl<W> Tolerant<W> {
    pub fn new(to: W) -> Self {
        Self { to: Some(to) }
    }
}

impl<W: Write> Write for Tolerant<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(to) = &mut self.to
            && to.write_all(bytes).is_err()
        {
            self.to = None;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
