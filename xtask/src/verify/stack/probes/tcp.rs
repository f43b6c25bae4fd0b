//! The probe for a port that accepts connections.

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::stream::{NoStream, ProbeStream};
use super::{Ground, ProbeVerdict};

/// How long the engine's own proxy takes to notice that nothing listens behind it.
const MOMENT: Duration = Duration::from_millis(300);

impl Ground<'_> {
    pub(super) fn tcp(&self, service: &str, port: u16, until: Instant) -> ProbeVerdict {
        self.until_it_works(until, || {
            let container = match self.container(service) {
                Ok(container) => container,
                Err(verdict) => return Ok(verdict),
            };
            match self.connect(service, &container, port, until) {
                Ok(stream) if is_open(&stream) => Ok(ProbeVerdict::passed(format!(
                    "port {port} takes connections"
                ))),
                Ok(_) | Err(NoStream::Refused) => {
                    Err(self.nothing_listens(service, &container, port))
                }
                Err(NoStream::NoWay(verdict)) => Ok(verdict),
            }
        })
    }
}

/// Whether a program in the container has accepted the connection.
pub(super) fn is_open(stream: &ProbeStream<'_>) -> bool {
    let ProbeStream::Tcp {
        stream,
        is_behind_proxy: true,
        ..
    } = stream
    else {
        return true;
    };
    if stream.set_read_timeout(Some(MOMENT)).is_err() {
        return false;
    }
    let mut stream: &TcpStream = stream;
    match stream.read(&mut [0]) {
        Ok(length) => length > 0,
        Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}
