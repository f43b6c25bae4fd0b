//! SHA-256 digests, as manifests write them.

use std::fmt;
use std::io::{self, BufRead, Read};
use std::str::FromStr;

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The SHA-256 of a blob or of a layer's uncompressed archive: `sha256:<64 hex>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        use fmt::Write as _;
        self.0
            .iter()
            .fold(String::with_capacity(64), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{}` is not a sha256 digest", text.escape_debug());
        let hex = text.strip_prefix("sha256:").ok_or_else(wrong)?.as_bytes();
        if hex.len() != 64 {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            let nibble = |digit: u8| match digit {
                b'0'..=b'9' => Ok(digit - b'0'),
                b'a'..=b'f' => Ok(digit - b'a' + 10),
                _ => Err(wrong()),
            };
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Hashes bytes that arrive in pieces.
pub(super) struct Hasher(Context);

impl Hasher {
    pub(super) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> Digest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.finish().as_ref());
        Digest(bytes)
    }
}

/// A reader that hashes and counts the bytes that are read from it.
pub(super) struct HashedStream<R> {
    inner: R,
    hasher: Hasher,
    taken: u64,
}

impl<R: BufRead> HashedStream<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            hasher: Hasher::new(),
            taken: 0,
        }
    }

    /// How many bytes were read so far.
    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }

    /// The digest and the number of all bytes. Reads those that are left.
    pub(super) fn finish(mut self) -> io::Result<(Digest, u64)> {
        loop {
            let length = self.fill_buf()?.len();
            if length == 0 {
                return Ok((self.hasher.finish(), self.taken));
            }
            self.consume(length);
        }
    }
}

impl<R: BufRead> Read for HashedStream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..length]);
        self.taken += length as u64;
        Ok(length)
    }
}

impl<R: BufRead> BufRead for HashedStream<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, length: usize) {
        // The buffer still holds the bytes that `fill_buf` gave, so that this call reads nothing.
        if let Ok(filled) = self.inner.fill_buf() {
            self.hasher.update(&filled[..length.min(filled.len())]);
        }
        self.inner.consume(length);
        self.taken += length as u64;
    }
}
