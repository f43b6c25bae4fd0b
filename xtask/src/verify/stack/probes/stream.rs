//! A connection to a port of a service.
//!
//! There are three ways: the port that the engine published on 127.0.0.1; the container's own
//! address, if this machine is in its network (this works for internal networks too); and a helper
//! in the service's network, whose standard streams carry the bytes.

use std::io::{ErrorKind, Read, Result, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::pipe::{Pipe, late};
use super::{Ground, ProbeVerdict};
use crate::outside::engine::Container;

/// The longest time for connecting.
const CONNECT: Duration = Duration::from_secs(3);

/// An open connection. Dropping it closes it.
pub(super) enum ProbeStream<'s> {
    /// A socket. `is_behind_proxy` says that the engine's own proxy accepts every connection, even
    /// if nothing listens in the container.
    Tcp {
        stream: TcpStream,
        is_behind_proxy: bool,
        until: Instant,
    },
    /// A helper's process.
    Pipe(Pipe<'s>),
}

impl Read for ProbeStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Self::Tcp { stream, until, .. } => {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(late());
                }
                stream.set_read_timeout(Some(left))?;
                stream.read(buffer).map_err(|error| match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => late(),
                    _ => error,
                })
            }
            Self::Pipe(pipe) => pipe.read(buffer),
        }
    }
}

impl Write for ProbeStream<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self {
            Self::Tcp { stream, .. } => stream.write(bytes),
            Self::Pipe(pipe) => pipe.write(bytes),
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self {
            Self::Tcp { stream, .. } => stream.flush(),
            Self::Pipe(pipe) => pipe.flush(),
        }
    }
}

/// Why there is no connection.
pub(super) enum NoStream {
    /// The port refuses connections.
    Refused,
    /// The port cannot be asked.
    NoWay(ProbeVerdict),
}

impl Ground<'_> {
    /// Connects to a port of a service's container.
    pub(super) fn connect(
        &self,
        service: &str,
        container: &Container,
        port: u16,
        until: Instant,
    ) -> std::result::Result<ProbeStream<'_>, NoStream> {
        if self.engine.is_local() {
            if let Some(published) = container.published(port)
                && let Ok(port) = published.host_port.parse()
            {
                return socket(SocketAddr::from(([127, 0, 0, 1], port)), true, until)
                    .map_err(|_| NoStream::Refused);
            }
            for address in container
                .addresses()
                .filter_map(|text| text.parse::<IpAddr>().ok())
            {
                match socket(SocketAddr::new(address, port), false, until) {
                    Ok(stream) => return Ok(stream),
                    // Without a route into the network there is no answer at all, so a refusal is
                    // the container's.
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                        return Err(NoStream::Refused);
                    }
                    Err(_) => {}
                }
            }
        }
        let helper = self.helper(service, container);
        let helper = helper.map_err(|why| NoStream::NoWay(ProbeVerdict::not_checked(why)))?;
        // The helper shares the service's network, so it reaches the service at 127.0.0.1.
        match helper.reach(self, "127.0.0.1", port, until) {
            Ok(super::helper::HelperReach::Connected) => {}
            Ok(_) => return Err(NoStream::Refused),
            Err(verdict) => return Err(NoStream::NoWay(verdict)),
        }
        let pipe = helper.pipe(self, "127.0.0.1", port, until);
        pipe.map(ProbeStream::Pipe).map_err(NoStream::NoWay)
    }
}

fn socket(
    address: SocketAddr,
    is_behind_proxy: bool,
    until: Instant,
) -> Result<ProbeStream<'static>> {
    let left = until.saturating_duration_since(Instant::now());
    let time = left.clamp(Duration::from_millis(50), CONNECT);
    let stream = TcpStream::connect_timeout(&address, time)?;
    stream.set_write_timeout(Some(CONNECT))?;
    Ok(ProbeStream::Tcp {
        stream,
        is_behind_proxy,
        until,
    })
}
