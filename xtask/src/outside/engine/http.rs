//! HTTP/1.1 over a unix socket, one exchange after the other: just enough of the protocol for the
//! engine's API. Requests have a body or none; answers have a length or come in chunks.

use std::io::{BufRead, BufReader, Error, Read, Result, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::body::{Length, Patient, StreamedBody, broken};
use crate::outside::interrupt;

/// The longest time without a byte from the engine. It is busy at times, but never for so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same for a stream: the classic store writes all layers to the disk before it sends any.
const PATIENCE_OF_STREAM: Duration = Duration::from_secs(20 * 60);
/// How long one wait takes. Between two waits it is checked whether the user wants to stop.
const TICK: Duration = Duration::from_millis(100);
/// The most bytes of an answer. No answer that is asked for here is so long.
const LIMIT: u64 = 512 << 20;

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
}

/// An answer whose body has not arrived yet.
#[derive(Debug)]
pub struct Streamed {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: StreamedBody,
}

/// An open connection, for one request after the other.
#[derive(Debug)]
pub struct Connection {
    path: PathBuf,
    stream: BufReader<Patient>,
    /// Whether the other side closes it after its last answer.
    is_over: bool,
}

/// What the head of an answer says.
struct Head {
    status: u16,
    /// Whether the other side closes the connection after the body.
    closes: bool,
    length: Length,
}

impl Connection {
    /// Connects to the socket at `path`.
    pub fn open(path: &Path) -> Result<Self> {
        Self::begin(path, true)
    }

    /// Connects for requests that must be sent although the user wants to stop.
    pub fn open_to_the_end(path: &Path) -> Result<Self> {
        Self::begin(path, false)
    }

    fn begin(path: &Path, yields: bool) -> Result<Self> {
        let stream = connect(path, PATIENCE, yields)?;
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            path: path.to_owned(),
            stream: BufReader::new(Patient {
                stream,
                patience: PATIENCE,
                yields,
            }),
            is_over: false,
        })
    }

    /// Sends a request without a body and reads the answer. `path` must be percent-encoded.
    pub fn ask(&mut self, method: &str, path: &str) -> Result<Response> {
        self.request(&bare(method, path))
    }

    /// The same with a body of JSON.
    pub fn send(&mut self, method: &str, path: &str, body: &str) -> Result<Response> {
        let length = body.len();
        self.request(&format!(
            "{method} {path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ))
    }

    fn request(&mut self, request: &str) -> Result<Response> {
        if self.is_over {
            *self = Self::begin(&self.path, self.stream.get_ref().yields)?;
        }
        let head = self.head(request)?;
        // An answer of unknown length ends with its connection (RFC 9112, 6.3).
        self.is_over = head.closes || head.length == Length::Unknown;
        let body = match head.length {
            Length::Chunks => self.chunks()?,
            Length::Known(length) => self.exactly(length)?,
            Length::Unknown => self.all_that_comes()?,
        };
        Ok(Response {
            status: head.status,
            body,
        })
    }

    /// Sends a request without a body and returns the answer as it arrives. `path` must be
    /// percent-encoded.
    pub fn stream(mut self, method: &str, path: &str) -> Result<Streamed> {
        self.stream.get_mut().patience = PATIENCE_OF_STREAM;
        let head = self.head(&bare(method, path))?;
        Ok(Streamed {
            status: head.status,
            body: StreamedBody::new(self.stream, head.length),
        })
    }

    /// Sends a request and reads the head of the answer.
    fn head(&mut self, request: &str) -> Result<Head> {
        self.stream.get_mut().stream.write_all(request.as_bytes())?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if self
                .stream
                .by_ref()
                .take(64 << 10)
                .read_until(b'\n', &mut head)?
                == 0
                || head.len() > 64 << 10
            {
                return Err(broken("the engine closed the connection"));
            }
        }
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        response
            .parse(&head)
            .map_err(|error| broken(&error.to_string()))?;
        let status = response.code.ok_or_else(|| broken("no status"))?;
        let header = |name: &str| {
            let header = response
                .headers
                .iter()
                .find(|header| header.name.eq_ignore_ascii_case(name));
            header.and_then(|header| std::str::from_utf8(header.value).ok())
        };
        let chunked =
            header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        let length = header("content-length").and_then(|value| value.trim().parse::<u64>().ok());
        let closes = header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let empty = status == 204 || status == 304;
        let length = match (empty, chunked, length) {
            (true, ..) => Length::Known(0),
            (_, true, _) => Length::Chunks,
            (_, _, Some(length)) => Length::Known(length),
            (_, _, None) => Length::Unknown,
        };
        Ok(Head {
            status,
            closes,
            length,
        })
    }

    fn exactly(&mut self, length: u64) -> Result<Vec<u8>> {
        if length > LIMIT {
            return Err(broken("the answer is too long"));
        }
        let mut body = Vec::new();
        self.stream.by_ref().take(length).read_to_end(&mut body)?;
        if body.len() as u64 == length {
            Ok(body)
        } else {
            Err(broken("the answer breaks off"))
        }
    }

    fn all_that_comes(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        self.stream
            .by_ref()
            .take(LIMIT + 1)
            .read_to_end(&mut body)?;
        if body.len() as u64 > LIMIT {
            return Err(broken("the answer is too long"));
        }
        Ok(body)
    }

    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.by_ref().take(1 << 10).read_line(&mut line)?;
            let size = line.trim().split(';').next().unwrap_or_default();
            let size =
                u64::from_str_radix(size, 16).map_err(|_| broken("a chunk without a size"))?;
            if size + body.len() as u64 > LIMIT {
                return Err(broken("the answer is too long"));
            }
            body.append(&mut self.exactly(size)?);
            // The line end after a chunk. After the last chunk it ends the (empty) trailer.
            self.stream.by_ref().take(1 << 10).read_line(&mut line)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
}

/// Connects. Waits for a place if the engine's queue is full: that of an engine that is stopped
/// stays full.
#[cfg(target_os = "linux")]
fn connect(path: &Path, patience: Duration, yields: bool) -> Result<UnixStream> {
    use rustix::io::Errno;
    use rustix::net::sockopt::Timeout;
    use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
    let start = Instant::now();
    let socket = net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    net::sockopt::set_socket_timeout(&socket, Timeout::Send, Some(TICK))?;
    let address = SocketAddrUnix::new(path)?;
    loop {
        match net::connect(&socket, &address) {
            Ok(()) => return Ok(UnixStream::from(socket)),
            Err(Errno::AGAIN | Errno::INTR) if yields && interrupt::is_wanted() => {
                return Err(Error::other("interrupted"));
            }
            Err(Errno::AGAIN | Errno::INTR) if start.elapsed() < patience => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// On other systems, a full queue refuses at once.
#[cfg(not(target_os = "linux"))]
fn connect(path: &Path, _: Duration, _: bool) -> Result<UnixStream> {
    UnixStream::connect(path)
}

/// A request without a body.
fn bare(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\n\r\n")
}

/// Percent-encodes one segment of a path or a query value. `/` stays, because the engine's routes
/// take image names with it.
pub fn encode(text: &str) -> String {
    const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~')
        .remove(b'/')
        .remove(b':')
        .remove(b'@');
    utf8_percent_encode(text, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// Gives each connection one answer, and ends it.
    fn serve(answers: &'static [&'static str]) -> (tempfile::TempDir, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = BufReader::new(stream.try_clone().unwrap()).lines();
                while request.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let connection = Connection::open(&path).unwrap();
        (folder, connection)
    }

    #[test]
    fn a_connection_that_ends_behind_its_answer_is_opened_anew() {
        let (_folder, mut connection) = serve(&[
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\none",
            "HTTP/1.1 200 OK\r\n\r\nof unknown length",
            "HTTP/1.1 404 Not Found\r\nConnection: Close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
        ]);
        for (status, body) in [(200, "one"), (200, "of unknown length"), (404, "no")] {
            let answer = connection.ask("GET", "/x").unwrap();
            assert_eq!(answer.status, status);
            assert_eq!(String::from_utf8_lossy(&answer.body), body);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_engine_that_takes_nobody_is_not_waited_for_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        // A queue with one place. Its connection is not accepted for now.
        rustix::net::listen(&listener, 0).unwrap();
        let _first = UnixStream::connect(&path).unwrap();
        assert!(connect(&path, Duration::from_millis(250), true).is_err());
        drop(listener.accept().unwrap());
        connect(&path, PATIENCE, true).unwrap();
    }

    #[test]
    fn an_answer_that_breaks_off_is_an_error() {
        let (_folder, mut connection) =
            serve(&["HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nhalf"]);
        assert!(connection.ask("GET", "/x").is_err());
    }

    #[test]
    fn a_stream_is_given_as_it_comes_and_ends_where_it_should() {
        use std::io::Read as _;
        let read = |answers: &'static [&'static str]| {
            let (_folder, connection) = serve(answers);
            let mut body = String::new();
            let mut streamed = connection.stream("GET", "/x").unwrap();
            let read = streamed.body.read_to_string(&mut body);
            read.map(|_| body)
        };
        let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n2;x\r\n, \r\n3\r\ntwo\r\n0\r\n\r\n";
        let known = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\none, two";
        let unknown = "HTTP/1.1 200 OK\r\n\r\none, two";
        let one = |answer: &'static str| Vec::leak(vec![answer]);
        for good in [chunks, known, unknown] {
            assert_eq!(read(one(good)).unwrap(), "one, two");
        }
        for broken in [
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\none",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none, two",
        ] {
            assert!(read(one(broken)).is_err(), "{broken:?}");
        }
    }
}
