//! Reading and writing exact things, tried with a server on loopback that each test plays.

mod reading;
mod removing;
mod writing;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::{Patience, Registries, Settings};
use reference::Reference;

/// One request.
#[derive(Clone, Debug)]
struct Asked {
    /// Method and address.
    line: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What the server does.
enum Reply {
    /// It reads the whole request and answers.
    Say(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// It answers without reading the body, and closes the connection.
    Early(u16),
    /// It closes the connection without reading the body.
    Close,
    /// It promises a length, sends these bytes, and closes the connection.
    Cut(usize, Vec<u8>),
}

fn say(status: u16) -> Reply {
    Reply::Say(status, Vec::new(), Vec::new())
}

fn with(status: u16, name: &'static str, value: &str) -> Reply {
    Reply::Say(status, vec![(name, value.to_owned())], Vec::new())
}

fn told(status: u16, code: &str, message: &str) -> Reply {
    let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#);
    Reply::Say(status, Vec::new(), body.into_bytes())
}

type Asks = Arc<Mutex<Vec<Asked>>>;

struct Server {
    address: String,
    asked: Asks,
}

impl Server {
    /// `play` gets the head of a request and its number, from 0.
    fn start(play: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Asks::default();
        let (shared, play) = (Arc::clone(&asked), Arc::new(play));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (asked, play) = (Arc::clone(&shared), Arc::clone(&play));
                std::thread::spawn(move || answer(stream, &asked, &*play));
            }
        });
        Self { address, asked }
    }

    fn reference(&self) -> Reference {
        reference::normalise(&format!("{}/a/b:1", self.address)).unwrap()
    }

    fn lines(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|asked| asked.line.clone()).collect()
    }

    fn bodies(&self, method: &str) -> Vec<Vec<u8>> {
        let asked = self.asked.lock().unwrap();
        let of = asked.iter().filter(|asked| asked.line.starts_with(method));
        of.map(|asked| asked.body.clone()).collect()
    }
}

fn answer(mut stream: TcpStream, asked: &Asks, play: &dyn Fn(&Asked, usize) -> Reply) {
    loop {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_exact(&mut byte).is_err() {
                return;
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let line = lines.next().unwrap().trim_end_matches(" HTTP/1.1");
        let headers = lines.filter_map(|line| line.split_once(':'));
        let mut request = Asked {
            line: line.to_owned(),
            headers: headers
                .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
                .collect(),
            body: Vec::new(),
        };
        let number = asked.lock().unwrap().len();
        let reply = play(&request, number);
        if let Reply::Say(..) | Reply::Cut(..) = &reply {
            let length = request.header("content-length").parse().unwrap_or(0);
            request.body = vec![0; length];
            let whole = stream.read_exact(&mut request.body).is_ok();
            assert!(whole, "{line}");
        }
        let is_head = request.line.starts_with("HEAD ");
        asked.lock().unwrap().push(request);
        let (status, headers, body, length) = match reply {
            Reply::Say(status, headers, body) => (status, headers, body.clone(), body.len()),
            Reply::Cut(length, body) => (200, Vec::new(), body, length),
            Reply::Early(status) => {
                let text = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(text.as_bytes()).unwrap();
                return;
            }
            Reply::Close => return,
        };
        let mut text = format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n");
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        let sent = if is_head { &[][..] } else { &body };
        stream.write_all(&[text.as_bytes(), sent].concat()).unwrap();
        if length > body.len() {
            return;
        }
    }
}

/// Registries that wait little and know the logins in `folder`.
fn registries(folder: Option<&tempfile::TempDir>) -> Registries {
    let patience = Patience {
        exchange: Duration::from_secs(5),
        attempts: 3,
        pause: Duration::from_millis(1),
        waiting: Duration::from_secs(1),
    };
    let folder = folder.map(|folder| folder.path().to_str().unwrap().into());
    Registries::new(patience, folder, Settings::default, |_| {})
}

fn logged_in(server: &Server) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        r#"{{"auths":{{"{}":{{"username":"user","password":"hunter2"}}}}}}"#,
        server.address
    );
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    folder
}
