//! Answers one connection to the registry, by its rules, its door and its content.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Asked, Door, Play, State, digest};

/// Answers one request after the other.
pub fn answer(mut stream: impl Read + Write, state: &Mutex<State>) {
    while let Some((asked, play)) = hear(&mut stream, state) {
        let (status, headers, body) = match &play {
            Some(Play::Reset | Play::Close) => return,
            Some(Play::Hang) => loop {
                std::thread::park();
            },
            Some(Play::Noise) => {
                let _ = stream.write_all(b"220 smtp.example ready\r\n\r\n");
                return;
            }
            Some(Play::Status(status, headers)) => {
                let body = json!({"errors": [{"code": "PLAYED", "message": "as played"}]});
                (*status, headers.clone(), body.to_string().into_bytes())
            }
            Some(Play::Redirect(to)) => (307, vec![("Location", to.clone())], Vec::new()),
            _ => said(&asked, &mut state.lock().unwrap()),
        };
        let mut body = body;
        let mut headers = headers;
        match &play {
            Some(Play::Truncated) => body.truncate(body.len() / 2),
            Some(Play::Other(other)) => {
                let length = body.len();
                body.clone_from(other);
                body.resize(length.max(other.len()), b' ');
            }
            Some(Play::Misnamed) => {
                headers.retain(|(name, _)| *name != "Docker-Content-Digest");
                headers.push(("Docker-Content-Digest", digest(b"another")));
            }
            _ => {}
        }
        let mut head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        if asked.line.starts_with("HEAD ") {
            body.clear();
        }
        let sent = match &play {
            Some(Play::Drip) => drip(&mut stream, &head, &body),
            Some(Play::Cut) => {
                body.truncate(body.len() / 2);
                let _ = stream.write_all(&[head.as_bytes(), &body].concat());
                return;
            }
            _ => stream.write_all(&[head.as_bytes(), &body].concat()),
        };
        if sent.is_err() {
            return;
        }
    }
}

fn drip(stream: &mut impl Write, head: &str, body: &[u8]) -> std::io::Result<()> {
    stream.write_all(head.as_bytes())?;
    for byte in body {
        stream.write_all(&[*byte])?;
        stream.flush()?;
        // Slower than any client waits for. The body still ends, as the test program must end.
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Reads a request and decides which fault is played. The last byte of its head stays unread until
/// then, because closing a socket with unread bytes resets the connection.
fn hear(stream: &mut impl Read, state: &Mutex<State>) -> Option<(Asked, Option<Play>)> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let play = {
        let mut state = state.lock().unwrap();
        let rules = &mut state.rules;
        let rule = rules
            .iter_mut()
            .find(|rule| rule.left > 0 && line.contains(&rule.part));
        rule.map(|rule| {
            rule.left -= 1;
            rule.play.clone()
        })
    };
    let mut asked = Asked {
        line,
        headers,
        body: String::new(),
    };
    if !matches!(play, Some(Play::Reset)) {
        stream.read_exact(&mut byte).ok()?;
        let length = asked.headers.get("content-length");
        let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        stream.read_exact(&mut body).ok()?;
        asked.body = String::from_utf8_lossy(&body).into_owned();
    }
    state.lock().unwrap().asked.push(asked.clone());
    Some((asked, play))
}

type Said = (u16, Vec<(&'static str, String)>, Vec<u8>);

fn said(asked: &Asked, state: &mut State) -> Said {
    let path = asked.line.split(' ').nth(1).unwrap_or_default();
    if path.starts_with("/token") {
        return token(asked, state);
    }
    if let Some(refused) = refusal(asked, state) {
        return refused;
    }
    match path
        .strip_prefix("/v2/")
        .and_then(|path| state.content.get(path))
    {
        Some((kind, bytes)) => {
            let headers = vec![
                ("Content-Type", kind.clone()),
                ("Docker-Content-Digest", digest(bytes)),
                ("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT".to_owned()),
            ];
            (200, headers, bytes.clone())
        }
        None => (404, Vec::new(), b"{}".to_vec()),
    }
}

fn refusal(asked: &Asked, state: &State) -> Option<Said> {
    let given = asked.headers.get("authorization");
    let is = |wanted: String| given == Some(&wanted);
    let challenge = match &state.door {
        Door::Open => return None,
        Door::Password(user, secret) if is(basic(user, secret)) => return None,
        Door::Password(..) => "Basic realm=\"here\"".to_owned(),
        Door::Token(_) | Door::Identity(_) if is("Bearer a-token".to_owned()) => {
            return None;
        }
        Door::Token(_) | Door::Identity(_) => {
            let (scheme, address) = (state.scheme, &state.address);
            format!("Bearer realm=\"{scheme}://{address}/token\",service=\"here\"")
        }
    };
    Some((401, vec![("WWW-Authenticate", challenge)], b"{}".to_vec()))
}

fn token(asked: &Asked, state: &State) -> Said {
    let given = asked.headers.get("authorization");
    let good = match &state.door {
        Door::Token(None) => true,
        Door::Token(Some((user, secret))) => given == Some(&basic(user, secret)),
        Door::Identity(token) => {
            asked.line.starts_with("POST ")
                && asked.body.contains(&format!("refresh_token={token}"))
        }
        Door::Open | Door::Password(..) => false,
    };
    if !good {
        return (401, Vec::new(), b"{}".to_vec());
    }
    let token: Value = json!({ "token": "a-token" });
    (200, Vec::new(), token.to_string().into_bytes())
}

fn basic(user: &str, secret: &str) -> String {
    use base64::Engine as _;
    let pair = format!("{user}:{secret}");
    let pair = base64::engine::general_purpose::STANDARD.encode(pair);
    format!("Basic {pair}")
}
