//! The standard streams of a helper, which carry the bytes of a connection.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::Ground;

/// The streams of a process.
pub(super) struct Pipe<'s> {
    ground: &'s Ground<'s>,
    child: Child,
    stdin: Option<ChildStdin>,
    chunks: Receiver<Vec<u8>>,
    rest: Vec<u8>,
    until: Instant,
}

impl<'s> Pipe<'s> {
    pub fn new(ground: &'s Ground<'s>, mut child: Child, until: Instant) -> Self {
        let (give, chunks) = channel();
        if let Some(mut stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                let mut buffer = [0; 16 << 10];
                while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                    if give.send(buffer[..length].to_vec()).is_err() {
                        return;
                    }
                }
            });
        }
        Self {
            ground,
            stdin: child.stdin.take(),
            child,
            chunks,
            rest: Vec::new(),
            until,
        }
    }
}

pub(super) fn late() -> Error {
    Error::new(ErrorKind::TimedOut, "it does not answer in time")
}

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        while self.rest.is_empty() {
            if self.ground.live.is_over() || Instant::now() >= self.until {
                return Err(late());
            }
            match self.chunks.recv_timeout(Duration::from_millis(100)) {
                Ok(chunk) => self.rest = chunk,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
        }
        let length = buffer.len().min(self.rest.len());
        buffer[..length].copy_from_slice(&self.rest[..length]);
        self.rest.drain(..length);
        Ok(length)
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match &mut self.stdin {
            Some(stdin) => stdin.write(bytes),
            None => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.stdin.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for Pipe<'_> {
    fn drop(&mut self) {
        self.ground.live.end(&mut self.child);
    }
}
