//! Carries a layer's bytes from the thread that decompresses to the thread that scans.
//!
//! A few buffers circulate, so that neither thread runs ahead of the other and no memory is
//! allocated anew.

use std::io::{BufRead, Error, Read, Result};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use super::error::Cause;

/// Bytes of one buffer.
pub(super) const CHUNK: usize = 256 << 10;
/// How many buffers circulate.
const AT_ONCE: usize = 4;

/// A message through the pipe.
pub(super) enum PipeMessage {
    /// A layer begins. `needs_digest` says that its bytes are not hashed yet.
    Begin { needs_digest: bool },
    /// The layer's next bytes.
    Chunk(Vec<u8>),
    /// The layer ends, or cannot be read on.
    End(std::result::Result<(), Cause>),
}

/// The end that is written to.
pub(super) struct Writer {
    messages: SyncSender<PipeMessage>,
    empty: Receiver<Vec<u8>>,
}

/// The end that is read from.
pub(super) struct PipeReader {
    messages: Receiver<PipeMessage>,
    empty: Sender<Vec<u8>>,
}

pub(super) fn pipe() -> (Writer, PipeReader) {
    let (messages, received) = sync_channel(AT_ONCE);
    let (empty, returned) = channel();
    let writer = Writer {
        messages,
        empty: returned,
    };
    let reader = PipeReader {
        messages: received,
        empty,
    };
    (writer, reader)
}

impl Writer {
    /// A buffer of `CHUNK` bytes.
    pub(super) fn buffer(&self) -> Vec<u8> {
        let mut buffer = self.empty.try_recv().unwrap_or_default();
        buffer.resize(CHUNK, 0);
        buffer
    }

    /// Sends a message. `false` if the other thread no longer receives.
    pub(super) fn send(&self, message: PipeMessage) -> bool {
        self.messages.send(message).is_ok()
    }
}

impl PipeReader {
    /// Whether the next layer's bytes must be hashed. `None` if there is no further layer.
    pub(super) fn begin(&self) -> Option<bool> {
        loop {
            match self.messages.recv() {
                Ok(PipeMessage::Begin { needs_digest }) => return Some(needs_digest),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }
}

/// The bytes of one layer.
pub(super) struct PlainStream<'a> {
    reader: &'a PipeReader,
    chunk: Vec<u8>,
    at: usize,
    ended: Option<std::result::Result<(), Cause>>,
    hasher: Option<super::digest::Hasher>,
    bytes: u64,
}

impl<'a> PlainStream<'a> {
    pub(super) fn new(reader: &'a PipeReader, needs_digest: bool) -> Self {
        Self {
            reader,
            chunk: Vec::new(),
            at: 0,
            ended: None,
            hasher: needs_digest.then(super::digest::Hasher::new),
            bytes: 0,
        }
    }

    /// Waits for the end. Returns the number of all bytes, and their digest if it was wanted.
    pub(super) fn finish(mut self) -> std::result::Result<(Option<super::Digest>, u64), Cause> {
        while self.ended.is_none() {
            self.at = self.chunk.len();
            self.next();
        }
        match self.ended.take() {
            Some(Err(cause)) => Err(cause),
            _ => Ok((self.hasher.map(super::digest::Hasher::finish), self.bytes)),
        }
    }

    fn next(&mut self) {
        match self.reader.messages.recv() {
            Ok(PipeMessage::Chunk(chunk)) => {
                let old = std::mem::replace(&mut self.chunk, chunk);
                // If the other thread has ended, the buffer is not needed any more.
                let _ = self.reader.empty.send(old);
                self.at = 0;
                self.bytes += self.chunk.len() as u64;
                if let Some(hasher) = &mut self.hasher {
                    hasher.update(&self.chunk);
                }
            }
            Ok(PipeMessage::End(result)) => self.ended = Some(result),
            Ok(PipeMessage::Begin { .. }) => {}
            Err(_) => self.ended = Some(Err(Cause::Interrupted)),
        }
    }
}

impl Read for PlainStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut bytes = self.fill_buf()?;
        let length = bytes.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for PlainStream<'_> {
    fn fill_buf(&mut self) -> Result<&[u8]> {
        while self.at == self.chunk.len() && self.ended.is_none() {
            self.next();
        }
        if self.at == self.chunk.len() && matches!(self.ended, Some(Err(_))) {
            return Err(Error::other("the layer breaks off"));
        }
        Ok(&self.chunk[self.at..])
    }

    fn consume(&mut self, length: usize) {
        self.at += length;
    }
}
