//! Lines between a test and a server: slow ones that can be cut, and one to an engine's BuildKit.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use xtask::workshop::testbed::TestEngine;

/// A slow line to a server, which can be cut.
pub struct Line {
    pub port: u16,
    open: Arc<Mutex<Open>>,
}

#[derive(Default)]
struct Open {
    is_cut: bool,
    streams: Vec<TcpStream>,
}

impl Line {
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = Arc::new(Mutex::new(Open::default()));
        let shared = Arc::clone(&open);
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let near = near.unwrap();
                let mut open = shared.lock().unwrap();
                if open.is_cut {
                    continue;
                }
                let far = TcpStream::connect(("127.0.0.1", server)).unwrap();
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || carry(from, to));
                }
                open.streams.extend([near, far]);
            }
        });
        Self { port, open }
    }

    pub fn cut(&self) {
        let mut open = self.open.lock().unwrap();
        open.is_cut = true;
        for stream in &open.streams {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// A line of about 0.5 MB/s with a delay of 30 ms.
fn carry(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 << 10];
    while let Ok(got @ 1..) = from.read(&mut buffer) {
        std::thread::sleep(Duration::from_millis(30));
        if to.write_all(&buffer[..got]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// A port at which an engine's BuildKit speaks as one of its own would: the engine has it behind an
/// upgrade of a connection.
pub fn buildkit_of(engine: &TestEngine) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let socket = engine.host().replace("unix://", "");
    std::thread::spawn(move || {
        for near in listener.incoming() {
            let near = near.unwrap();
            let mut far = UnixStream::connect(&socket).unwrap();
            let upgrade =
                "POST /grpc HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
            far.write_all(upgrade.as_bytes()).unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                far.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let (mut back, mut out) = (far.try_clone().unwrap(), near.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut back, &mut out);
                let _ = out.shutdown(Shutdown::Both);
            });
            std::thread::spawn(move || {
                let mut near = near;
                let _ = std::io::copy(&mut near, &mut far);
                let _ = far.shutdown(Shutdown::Both);
            });
        }
    });
    port
}

/// A free port of the loopback.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
