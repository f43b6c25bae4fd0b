//! Decompresses layers.
//!
//! The first bytes tell gzip and zstd, whatever the media type says. Engines do the same.

use std::io::{BufRead, Error, Read, Result};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use serde::{Deserialize, Serialize};

/// How a layer's archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// It is not compressed.
    None,
    /// By gzip.
    Gzip,
    /// By zstd.
    Zstd,
}

impl Compression {
    /// The compression that the first bytes show.
    pub(super) fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            // The second is a skippable frame, which some tools write first.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// A stream of decompressed bytes.
pub(super) enum Decoder<R> {
    None(R),
    Gzip(Box<MultiGzDecoder<R>>),
    Zstd(Box<Zstd<R>>),
}

impl<R: BufRead> Decoder<R> {
    pub(super) fn new(compression: Compression, source: R, window: u64) -> Self {
        match compression {
            Compression::None => Self::None(source),
            Compression::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(source))),
            Compression::Zstd => Self::Zstd(Box::new(Zstd::new(source, window))),
        }
    }

    /// The compressed stream.
    pub(super) fn source(&self) -> &R {
        match self {
            Self::None(source) => source,
            Self::Gzip(decoder) => decoder.get_ref(),
            Self::Zstd(decoder) => &decoder.source,
        }
    }

    /// The compressed stream, with all bytes that were not read from it.
    pub(super) fn into_source(self) -> R {
        match self {
            Self::None(source) => source,
            Self::Gzip(decoder) => decoder.into_inner(),
            Self::Zstd(decoder) => decoder.source,
        }
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Self::None(source) => source.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

/// Reads all frames of a zstd stream. The crate's own reader stops after the first frame.
pub(super) struct Zstd<R> {
    source: R,
    decoder: FrameDecoder,
    is_in_frame: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R, window: u64) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(window);
        Self {
            source,
            decoder,
            is_in_frame: false,
        }
    }

    /// Begins the next frame; `false` at the end of the stream.
    fn begin(&mut self) -> Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let mut skipped = self.source.by_ref().take(length);
                    if std::io::copy(&mut skipped, &mut std::io::sink())? < length {
                        return Err(Error::other("a frame breaks off"));
                    }
                }
                Err(error) => return Err(of(&error)),
            }
        }
    }
}

fn of(error: &FrameDecoderError) -> Error {
    Error::other(error.to_string().to_lowercase())
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            if !self.is_in_frame {
                if !self.begin()? {
                    return Ok(0);
                }
                self.is_in_frame = true;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let some = BlockDecodingStrategy::UptoBlocks(1);
                let decoded = self.decoder.decode_blocks(&mut self.source, some);
                decoded.map_err(|error| of(&error))?;
            }
            let length = self.decoder.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            self.is_in_frame = !self.decoder.is_finished();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<u8>> {
        let mut decoder = Decoder::new(Compression::of(bytes), bytes, 64 << 20);
        let mut plain = Vec::new();
        decoder.read_to_end(&mut plain).map(|_| plain)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    }

    #[test]
    fn streams_of_several_members_are_read_to_their_end() {
        let text = b"text ".repeat(100_000);
        let twice = text.repeat(2);
        for compress in [gzip, zstd] {
            assert_eq!(all(&compress(&text)).unwrap(), text);
            assert_eq!(
                all(&[compress(&text), compress(&text)].concat()).unwrap(),
                twice
            );
        }
        let skipped = b"\x51\x2a\x4d\x18\x03\0\0\0abc";
        assert_eq!(all(&[&skipped[..], &zstd(&text)].concat()).unwrap(), text);
        assert_eq!(all(&[&zstd(&text)[..], skipped].concat()).unwrap(), text);
        assert_eq!(all(&text).unwrap(), text);
    }

    #[test]
    fn streams_that_break_off_or_are_followed_by_others_are_errors() {
        let text = b"text ".repeat(100_000);
        for (compress, checksum) in [(gzip as fn(&[u8]) -> Vec<u8>, 0), (zstd, 4)] {
            let good = compress(&text);
            // The checksum of zstd is not verified: a digest vouches for the whole layer.
            assert!(all(&good[..good.len() - 1 - checksum]).is_err());
            assert!(all(&good[..good.len() / 2]).is_err());
            assert!(all(&[&good[..], b"more"].concat()).is_err());
        }
    }
}
