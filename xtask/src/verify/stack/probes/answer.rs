//! Reads an HTTP answer from any stream.
//!
//! Reads as much of HTTP/1.1 as a probe needs: status, headers, and a body with a length, in
//! chunks, or up to the end.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result};

/// The most bytes of a head.
const MOST_HEAD: u64 = 64 << 10;
/// The most bytes of a body that are read.
const MOST_BODY: u64 = 4 << 20;

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HttpAnswer {
    pub status: u16,
    /// The headers, their names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl HttpAnswer {
    /// All values of a header, joined by commas.
    pub fn header(&self, name: &str) -> Option<String> {
        let all = self.headers.iter().filter(|(header, _)| header == name);
        let values: Vec<&str> = all.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// Reads an answer. `has_body` is false for an answer to CONNECT.
    pub fn read(stream: impl Read, has_body: bool) -> Result<Self> {
        let mut stream = BufReader::new(stream);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\n\n") {
            let most = MOST_HEAD.saturating_sub(head.len() as u64);
            if stream.by_ref().take(most).read_until(b'\n', &mut head)? == 0 {
                let what = match (head.is_empty(), most) {
                    (_, 0) => "the head of its answer is too long",
                    (true, _) => "it closed the connection without an answer",
                    (false, _) => "its answer breaks off",
                };
                let kind = if head.is_empty() {
                    ErrorKind::ConnectionReset
                } else {
                    ErrorKind::InvalidData
                };
                return Err(Error::new(kind, what));
            }
        }
        let mut headers = [httparse::EMPTY_HEADER; 100];
        let mut response = httparse::Response::new(&mut headers);
        response
            .parse(&head)
            .map_err(|error| broken(&format!("what it answers is not HTTP: {error}")))?;
        let status = response
            .code
            .ok_or_else(|| broken("what it answers is not HTTP"))?;
        let headers = response.headers.iter().map(|header| {
            let value = String::from_utf8_lossy(header.value).into_owned();
            (header.name.to_ascii_lowercase(), value)
        });
        let mut answer = Self {
            status,
            headers: headers.collect(),
            body: Vec::new(),
        };
        if !has_body || matches!(status, 100..=199 | 204 | 304) {
            return Ok(answer);
        }
        let coding = answer.header("transfer-encoding").unwrap_or_default();
        let length = answer.header("content-length");
        let length = length.and_then(|length| length.trim().parse::<u64>().ok());
        if coding.to_ascii_lowercase().contains("chunked") {
            answer.body = chunks(&mut stream)?;
        } else {
            let most = length.unwrap_or(MOST_BODY).min(MOST_BODY);
            stream.take(most).read_to_end(&mut answer.body)?;
            if (answer.body.len() as u64) < length.unwrap_or(0).min(MOST_BODY) {
                return Err(broken("its answer breaks off"));
            }
        }
        Ok(answer)
    }
}

fn chunks(stream: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        stream.by_ref().take(1 << 10).read_line(&mut line)?;
        let size = line.trim().split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(size, 16).map_err(|_| broken("its answer breaks off"))?;
        if size == 0 || body.len() as u64 + size > MOST_BODY {
            return Ok(body);
        }
        let before = body.len() as u64;
        stream.by_ref().take(size).read_to_end(&mut body)?;
        if body.len() as u64 - before < size {
            return Err(broken("its answer breaks off"));
        }
        line.clear();
        stream.by_ref().take(1 << 10).read_line(&mut line)?;
    }
}

fn broken(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<HttpAnswer> {
        HttpAnswer::read(text.as_bytes(), true)
    }

    #[test]
    fn a_body_ends_by_its_length_its_chunks_or_the_connection() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokmore",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\nok",
            "HTTP/1.0 200 OK\n\nok",
        ] {
            let answer = read(text).unwrap();
            assert_eq!(
                (answer.status, answer.body.as_slice()),
                (200, &b"ok"[..]),
                "{text}"
            );
        }
        let answer =
            read("HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n").unwrap();
        assert_eq!(answer.header("location").as_deref(), Some("/a"));
    }

    #[test]
    fn what_breaks_off_or_is_no_http_is_told() {
        for (text, said) in [
            ("", "without an answer"),
            ("HTTP/1.1 200 OK\r\n", "breaks off"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
                "breaks off",
            ),
            ("+PONG\r\n\r\n", "is not HTTP"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text:?}: {error}");
        }
        let long = format!("HTTP/1.1 200 OK\r\nA: {}", "a".repeat(70 << 10));
        assert!(read(&long).unwrap_err().to_string().contains("too long"));
    }
}
