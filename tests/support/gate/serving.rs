//! Passes requests and answers between the clients and the registry.
//!
//! Each client has a connection of its own to the registry. Nothing here panics: a connection that
//! cannot go on ends, as the client would see it without the gate.

use std::io::{self, Read as _, Write as _, sink};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;

use super::message::{Body, Head, Tolerant, has_no_body, read_up_to};
use super::{Effect, Hub, lock};

/// The first byte of a TLS connection (RFC 8446, *Record Layer*).
const TLS: u8 = 0x16;

/// Serves all clients until the gate ends.
pub fn accept(listener: &TcpListener, hub: &Arc<Hub>) {
    let mut clients = Vec::new();
    for stream in listener.incoming() {
        if lock(&hub.state).ended {
            break;
        }
        let Ok(Ok(client)) = stream.map(|stream| hub.track(stream)) else {
            continue;
        };
        clients.retain(|client: &std::thread::JoinHandle<()>| !client.is_finished());
        let hub = Arc::clone(hub);
        clients.push(std::thread::spawn(move || {
            let mut side = Side {
                hub: &hub,
                client: &client,
                registry: None,
            };
            while side.request().unwrap_or(false) {}
        }));
    }
    for client in clients {
        // It cannot have panicked.
        let _ = client.join();
    }
}

/// A client, and its connection to the registry.
struct Side<'a> {
    hub: &'a Hub,
    client: &'a TcpStream,
    registry: Option<Arc<TcpStream>>,
}

/// A request on its way.
struct Request {
    id: u64,
    head: Head,
    body: Body,
    effect: Option<Effect>,
}

impl Side<'_> {
    /// Serves one request. Returns whether another may follow.
    fn request(&mut self) -> io::Result<bool> {
        let mut first = [0];
        if self.client.peek(&mut first)? == 1 && first == [TLS] {
            return self.refuse_tls();
        }
        // A socket that is closed with an unread byte resets the connection. So the last byte stays
        // until the effect is known.
        let Some(mut bytes) = read_up_to(self.client, b"\r\n\r")? else {
            return Ok(false);
        };
        let head = Head::of(bytes.clone());
        let Some((id, effect)) = self.hub.begin(head.word(0), head.word(1)) else {
            return Ok(false);
        };
        if matches!(effect, Some(Effect::Reset)) {
            return Ok(false);
        }
        let mut last = [0];
        let mut client = self.client;
        client.read_exact(&mut last)?;
        bytes.extend(last);
        let head = Head::of(bytes);
        let body = head.request_body()?;
        let request = Request {
            id,
            head,
            body,
            effect,
        };
        match &request.effect {
            Some(Effect::CutBefore) => self.close_after(&request),
            Some(Effect::Status(status, headers, text)) => {
                self.hub.answered(id, *status);
                self.answer_here(&request, *status, headers, text)
            }
            Some(Effect::CutRequest) => self.cut_request(&request),
            Some(Effect::Hold) if !self.hub.hold() => Ok(false),
            _ => self.pass(&request),
        }
    }

    /// Answers like a registry that has no TLS. An engine tries that first, and only such an answer
    /// makes it go on without.
    fn refuse_tls(&self) -> io::Result<bool> {
        let mut client = self.client;
        client.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n")?;
        client.shutdown(Shutdown::Write)?;
        io::copy(&mut client, &mut sink())?;
        Ok(false)
    }

    /// Says that nothing more will come, and takes the rest of the request, because unread bytes
    /// would reset the connection and take an answer with them.
    fn close_after(&self, request: &Request) -> io::Result<bool> {
        self.client.shutdown(Shutdown::Write)?;
        request.body.copy(self.client, sink())?;
        Ok(false)
    }

    fn answer_here(
        &self,
        request: &Request,
        status: u16,
        headers: &[(String, String)],
        text: &[u8],
    ) -> io::Result<bool> {
        // Who waits for `100 Continue` may send the body after this answer, or may not.
        let unsure = request.head.expects_continue();
        if !unsure {
            request.body.copy(self.client, sink())?;
        }
        let mut answer = format!("HTTP/1.1 {status} x\r\n");
        for (name, value) in headers {
            answer += &format!("{name}: {value}\r\n");
        }
        if !has_no_body(status) {
            answer += &format!("Content-Length: {}\r\n", text.len());
        }
        if unsure {
            answer += "Connection: close\r\n";
        }
        let mut answer = (answer + "\r\n").into_bytes();
        if request.head.word(0) != "HEAD" && !has_no_body(status) {
            answer.extend(text);
        }
        let mut client = self.client;
        client.write_all(&answer)?;
        if unsure {
            return self.close_after(request);
        }
        Ok(!request.head.closes())
    }

    /// The connection to the registry: the one from the request before, if the registry has not
    /// closed it meanwhile.
    fn registry(&mut self) -> io::Result<Arc<TcpStream>> {
        if let Some(registry) = &self.registry
            && is_open(registry)?
        {
            return Ok(Arc::clone(registry));
        }
        let registry = self.hub.track(TcpStream::connect(&self.hub.upstream)?)?;
        self.registry = Some(Arc::clone(&registry));
        Ok(registry)
    }

    fn cut_request(&mut self, request: &Request) -> io::Result<bool> {
        let registry = self.registry()?;
        let mut to = &*registry;
        if request.body.is_empty() {
            let head = &request.head.bytes;
            to.write_all(head.get(..head.len() / 2).unwrap_or_default())?;
        } else {
            to.write_all(&request.head.bytes)?;
            if request.head.expects_continue() {
                let mut client = self.client;
                client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            request.body.copy_half(self.client, to)?;
        }
        registry.shutdown(Shutdown::Write)?;
        // The client learns of it when the registry is done with its half. So a test that looks
        // into the registry then sees no half-finished work.
        Body::UntilClose.copy(to, sink())?;
        Ok(false)
    }

    /// Passes the request to the registry and the answer to the client. They run at the same time,
    /// because a registry may answer before it has the whole body.
    fn pass(&mut self, request: &Request) -> io::Result<bool> {
        let registry = self.registry()?;
        let (client, mut to) = (self.client, &*registry);
        to.write_all(&request.head.bytes)?;
        let goes_on = std::thread::scope(|scope| {
            if !request.body.is_empty() {
                scope.spawn(|| {
                    let copied = request.body.copy(client, Tolerant::new(to));
                    if copied.is_err() {
                        // The client has gone in the middle. The registry must not wait for more.
                        let _ = registry.shutdown(Shutdown::Both);
                    }
                });
            }
            let goes_on = self.answer(request, &registry);
            match &goes_on {
                Ok(true) => {}
                Ok(false) => {
                    // The client may still send its body, and reads the answer only then.
                    let _ = client.shutdown(Shutdown::Write);
                    let _ = registry.shutdown(Shutdown::Both);
                }
                Err(_) => {
                    let _ = client.shutdown(Shutdown::Both);
                    let _ = registry.shutdown(Shutdown::Both);
                }
            }
            goes_on
        })?;
        Ok(goes_on && !request.head.closes())
    }

    fn answer(&self, request: &Request, registry: &TcpStream) -> io::Result<bool> {
        let mut client = self.client;
        let mut head = loop {
            let bytes = read_up_to(registry, b"\r\n\r\n")?;
            let head = Head::of(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            if !(100..200).contains(&head.status()?) {
                break head;
            }
            client.write_all(&head.bytes)?;
        };
        self.hub.answered(request.id, head.status()?);
        head.relocate(&self.hub.upstream, &self.hub.address);
        let body = head.answer_body(request.head.word(0))?;
        match request.effect {
            Some(Effect::CutAfter) => {
                body.copy(registry, sink())?;
                return Ok(false);
            }
            Some(Effect::CutAnswer) if body.is_empty() => {
                let half = head.bytes.get(..head.bytes.len() / 2).unwrap_or_default();
                client.write_all(half)?;
                return Ok(false);
            }
            Some(Effect::CutAnswer) => {
                client.write_all(&head.bytes)?;
                body.copy_half(registry, client)?;
                return Ok(false);
            }
            Some(Effect::HoldAnswer) if !self.hub.hold() => return Ok(false),
            _ => {}
        }
        client.write_all(&head.bytes)?;
        body.copy(registry, client)?;
        Ok(!head.closes() && body != Body::UntilClose)
    }
}

/// Whether a connection without an open request has neither ended nor got stray bytes.
fn is_open(stream: &TcpStream) -> io::Result<bool> {
    stream.set_nonblocking(true)?;
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false)?;
    Ok(peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock))
}
