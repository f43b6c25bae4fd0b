//! All blobs of one reading, by digest, whatever order they come in.
//!
//! A blob is recognised by its bytes: a stream brings layers before the manifests that would say
//! what they are. Documents (manifests, indexes, configurations) are kept, layers go to the thread
//! that looks into them, and of all others only the digest is kept.

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
    /// JSON that is too long for any of them.
    TooLong,
    /// The layer with this number of those that were read.
    Layer(usize),
    /// A layer that the caller knows.
    Known(Arc<Layer>),
    /// Something else.
    Other,
}

/// A layer's blob, while its content is looked at elsewhere.
pub(super) struct Pending {
    pub(super) digest: Digest,
    pub(super) compression: Compression,
    pub(super) compressed: u64,
}

/// How many layers the other thread has given up, so that nobody decompresses on for it: the
/// number of the last one, counted from 1.
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

/// Whether the caller knows a layer already.
pub type Known<'a> = &'a dyn Fn(&Digest) -> Option<Arc<Layer>>;

pub(super) struct Shelf<'a> {
    pub(super) blobs: HashMap<Digest, Blob>,
    pub(super) pending: Vec<Pending>,
    /// The digest of what was found under the name of another.
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

    /// What the caller knows of a layer.
    pub(super) fn known(&self, digest: &Digest) -> Option<Arc<Layer>> {
        (self.known)(digest)
    }

    /// Takes a blob and gives its digest. `named` is the digest that its name says it has. An error
    /// is the source's: all else is said when an image needs the blob.
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

    /// Sends a layer's plain bytes to the other thread.
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
        // Its blob is read to the end in any case: the next one stands behind it.
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
        // The other thread ends before this one only when a rule panics.
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

/// Fills a buffer as far as there are bytes.
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

/// Whether JSON has what a manifest, an index or a configuration has. An image may bring large
/// attestations along, which nobody asks for.
fn is_wanted(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Look {
        manifests: Option<IgnoredAny>,
        layers: Option<IgnoredAny>,
        rootfs: Option<IgnoredAny>,
    }
    // What cannot be read is kept, so that it can be said why.
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
