//! All blobs of one reading by digest, in any order.
//!
//! A blob is recognised by its bytes, as a stream brings layers before the manifests that name
//! them. Documents (manifests, indexes, configurations) are kept. Layers go to the thread that
//! scans them. Of all other blobs only the digest is kept.

use std::collections::HashMap;
use std::io::{BufRead, Cursor, Error, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::decompress::{Compression, Decoder};
use super::digest::{Digest, HashedStream};
use super::error::Cause;
use super::layer::Layer;
use super::limits::Limits;
use super::pipe::{CHUNK, PipeMessage, Writer};
use super::tar;
use crate::outside::interrupt;

/// What a blob is.
pub(super) enum Blob {
    /// JSON that may be a manifest, an index or a configuration.
    Document(Vec<u8>),
    /// JSON that is too long for a document.
    TooLong,
    /// A layer that was read, by its position in the order of reading.
    Layer(usize),
    /// A layer that the caller has.
    Known(Arc<Layer>),
    /// Something else.
    Other,
}

/// A layer's blob, while the other thread scans its content.
pub(super) struct Pending {
    pub(super) digest: Digest,
    pub(super) compression: Compression,
    pub(super) compressed: u64,
}

/// The last layer that the other thread gave up, counted from 1, so that decompressing it can stop.
#[derive(Default)]
pub(super) struct GivenUp(AtomicUsize);

impl GivenUp {
    pub(super) fn set(&self, layer: usize) {
        self.0.store(layer + 1, Ordering::Relaxed);
    }

    fn is(&self, layer: usize) -> bool {
        self.0.load(Ordering::Relaxed) == layer + 1
    }
}

/// Returns a layer that the caller has already.
pub type Known<'a> = &'a dyn Fn(&Digest) -> Option<Arc<Layer>>;

pub(super) struct Shelf<'a> {
    pub(super) blobs: HashMap<Digest, Blob>,
    pub(super) pending: Vec<Pending>,
    /// Blobs whose bytes do not have the digest in their name: the digest in the name, and the real
    /// one.
    pub(super) misnamed: HashMap<Digest, Digest>,
    limits: Limits,
    known: Known<'a>,
    pub(super) writer: Writer,
    given_up: &'a GivenUp,
    documents: u64,
    plain: u64,
}

impl<'a> Shelf<'a> {
    pub(super) fn new(
        limits: Limits,
        known: Known<'a>,
        writer: Writer,
        given_up: &'a GivenUp,
    ) -> Self {
        Self {
            blobs: HashMap::new(),
            pending: Vec::new(),
            misnamed: HashMap::new(),
            limits,
            known,
            writer,
            given_up,
            documents: 0,
            plain: 0,
        }
    }

    /// The layer with this digest, if the caller has it.
    pub(super) fn known(&self, digest: &Digest) -> Option<Arc<Layer>> {
        (self.known)(digest)
    }

    /// Takes a blob and returns its digest. `named` is the digest in the blob's name. An error
    /// means that the source failed. All other errors are reported when an image needs the blob.
    pub(super) fn take(
        &mut self,
        named: Option<Digest>,
        mut source: impl BufRead,
    ) -> Result<Digest, Cause> {
        if self.blobs.len() >= self.limits.blobs {
            return Err(Cause::TooMuch {
                what: "blobs",
                limit: self.limits.blobs as u64,
            });
        }
        let known = named.and_then(|named| self.known(&named));
        let mut start = Vec::with_capacity(512);
        source
            .by_ref()
            .take(512)
            .read_to_end(&mut start)
            .map_err(|error| of_source(&error))?;
        let compression = Compression::of(&start);
        let is_document = begins_json(&start);
        let is_layer = compression != Compression::None || tar::may_begin(&start);
        let source = HashedStream::new(Cursor::new(start).chain(source));
        let (digest, blob) = match known {
            Some(layer) => (drain(source)?.0, Blob::Known(layer)),
            None if is_layer => self.layer(compression, source)?,
            None if is_document => self.document(source)?,
            None => (drain(source)?.0, Blob::Other),
        };
        if let Some(named) = named.filter(|named| *named != digest) {
            self.misnamed.insert(named, digest);
            if matches!(blob, Blob::Known(_)) {
                return Ok(digest);
            }
        }
        self.blobs.entry(digest).or_insert(blob);
        Ok(digest)
    }

    fn document(
        &mut self,
        mut source: HashedStream<impl BufRead>,
    ) -> Result<(Digest, Blob), Cause> {
        let most = self
            .limits
            .document
            .min(self.limits.documents - self.documents);
        let mut bytes = Vec::new();
        let read = source.by_ref().take(most + 1).read_to_end(&mut bytes);
        read.map_err(|error| of_source(&error))?;
        let (digest, length) = drain(source)?;
        if length > most {
            return Ok((digest, Blob::TooLong));
        }
        if !is_wanted(&bytes) {
            return Ok((digest, Blob::Other));
        }
        self.documents += length;
        Ok((digest, Blob::Document(bytes)))
    }

    /// Sends a layer's uncompressed bytes to the other thread.
    fn layer(
        &mut self,
        compression: Compression,
        source: HashedStream<impl BufRead>,
    ) -> Result<(Digest, Blob), Cause> {
        let number = self.pending.len();
        let needs_digest = compression != Compression::None;
        self.say(PipeMessage::Begin { needs_digest })?;
        let mut decoder = Decoder::new(compression, source, self.limits.window);
        let sent = self.send(number, &mut decoder);
        // The blob is read to its end in any case, as the next blob follows it.
        let drained = drain(decoder.into_source());
        let sent = match (&sent, &drained) {
            (_, Err(cause)) | (Err(cause @ Cause::Interrupted), _) => Err(cause.clone()),
            _ => sent,
        };
        let ends = sent.clone();
        self.say(PipeMessage::End(sent))?;
        let (digest, compressed) = drained?;
        if ends == Err(Cause::Interrupted) {
            return Err(Cause::Interrupted);
        }
        self.pending.push(Pending {
            digest,
            compression,
            compressed,
        });
        Ok((digest, Blob::Layer(number)))
    }

    fn send(
        &mut self,
        number: usize,
        decoder: &mut Decoder<HashedStream<impl BufRead>>,
    ) -> Result<(), Cause> {
        let limits = self.limits;
        let mut plain = 0_u64;
        loop {
            if interrupt::is_wanted() {
                return Err(Cause::Interrupted);
            }
            if self.given_up.is(number) {
                return Ok(());
            }
            let mut buffer = self.writer.buffer();
            let length = fill(decoder, &mut buffer);
            let length = length.map_err(|error| Cause::Compression {
                why: error.to_string(),
            })?;
            if length == 0 {
                return Ok(());
            }
            plain += length as u64;
            self.plain += length as u64;
            let too_much = |what, limit| Err(Cause::TooMuch { what, limit });
            if plain > limits.layer {
                return too_much("bytes of a layer", limits.layer);
            }
            if self.plain > limits.total {
                return too_much("bytes of all layers", limits.total);
            }
            let most = decoder.source().taken().saturating_mul(limits.ratio);
            if plain > limits.ratio_from && plain > most {
                return too_much("bytes for each compressed byte", limits.ratio);
            }
            buffer.truncate(length);
            self.say(PipeMessage::Chunk(buffer))?;
        }
    }

    fn say(&self, message: PipeMessage) -> Result<(), Cause> {
        // The other thread ends before this one only if a rule panics.
        let why = || Cause::Source {
            why: "a rule failed".to_owned(),
        };
        if self.writer.send(message) {
            Ok(())
        } else {
            Err(why())
        }
    }
}

/// Fills a buffer, as far as the source has bytes.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> Result<usize, Error> {
    debug_assert!(buffer.len() == CHUNK);
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn drain(source: HashedStream<impl BufRead>) -> Result<(Digest, u64), Cause> {
    source.finish().map_err(|error| of_source(&error))
}

pub(super) fn of_source(error: &Error) -> Cause {
    if interrupt::is_wanted() {
        return Cause::Interrupted;
    }
    let why = match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "it ends in the middle".to_owned(),
        _ => error.to_string(),
    };
    Cause::Source { why }
}

/// Whether JSON has a field of a manifest, an index or a configuration. An image may carry large
/// attestations, which are not needed.
fn is_wanted(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Look {
        manifests: Option<IgnoredAny>,
        layers: Option<IgnoredAny>,
        rootfs: Option<IgnoredAny>,
    }
    // JSON that cannot be parsed is kept, so that the error can be reported.
    serde_json::from_slice::<Look>(bytes).map_or(true, |look| {
        look.manifests.is_some() || look.layers.is_some() || look.rootfs.is_some()
    })
}

fn begins_json(start: &[u8]) -> bool {
    start
        .trim_ascii_start()
        .first()
        .is_some_and(|byte| *byte == b'{')
}
