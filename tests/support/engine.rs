//! A fake engine that holds the images that a test gives it.
//!
//! It answers the five questions that the program asks over a unix socket. It builds nothing.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Image ids by reference.
type Images = Arc<Mutex<BTreeMap<String, String>>>;

/// An engine that answers at a socket for as long as the test program runs.
pub struct Engine {
    images: Images,
    told: Arc<Mutex<String>>,
    lists: Arc<AtomicBool>,
}

impl Engine {
    pub fn at(socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let images = Images::default();
        let told = Arc::new(Mutex::new("{}".to_owned()));
        let lists = Arc::new(AtomicBool::new(false));
        let engine = Self {
            images: Arc::clone(&images),
            told: Arc::clone(&told),
            lists: Arc::clone(&lists),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (images, told) = (Arc::clone(&images), Arc::clone(&told));
                let lists = Arc::clone(&lists);
                std::thread::spawn(move || answer(stream, &images, &told, &lists));
            }
        });
        engine
    }

    /// Sets the registry settings that its `/info` shows.
    pub fn tell(&self, registry_config: &str) {
        let mut told = self.told.lock().unwrap();
        *told = format!("{{\"RegistryConfig\":{registry_config}}}");
    }

    /// From now on the engine answers the question for a list of images. The list is empty.
    pub fn list_images(&self) {
        self.lists.store(true, Ordering::SeqCst);
    }

    /// Puts an image under a reference.
    pub fn hold(&self, reference: &str, id: &str) {
        let mut images = self.images.lock().unwrap();
        images.insert(reference.to_owned(), id.to_owned());
    }
}

/// Answers one question after the other until the program closes the connection.
fn answer(stream: UnixStream, images: &Images, told: &Mutex<String>, lists: &AtomicBool) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut stream = stream;
    let mut asked = String::new();
    while let Some(Ok(line)) = lines.next() {
        if !line.is_empty() {
            if let Some(path) = line.strip_prefix("GET ") {
                path.split(' ')
                    .next()
                    .unwrap_or_default()
                    .clone_into(&mut asked);
            }
            continue;
        }
        let is_list = asked.starts_with("/images/json?") && lists.load(Ordering::SeqCst);
        let (status, body) = if is_list {
            (200, "[]".to_owned())
        } else {
            said(&asked, images, told)
        };
        let length = body.len();
        let text = format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n\r\n{body}");
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn said(asked: &str, images: &Images, told: &Mutex<String>) -> (u16, String) {
    if asked.starts_with("/system/df?") {
        return (200, r#"{"BuildCache":null}"#.to_owned());
    }
    if asked == "/info" {
        return (200, told.lock().unwrap().clone());
    }
    if asked == "/version" {
        return (200, r#"{"Os":"linux","Arch":"amd64"}"#.to_owned());
    }
    let reference = asked.strip_prefix("/images/");
    let reference = reference.and_then(|rest| rest.strip_suffix("/json"));
    let images = images.lock().unwrap();
    match reference.and_then(|reference| images.get(reference)) {
        Some(id) => (200, format!(r#"{{"Id":"{id}","Size":1,"Config":{{}}}}"#)),
        None => (404, r#"{"message":"no such image"}"#.to_owned()),
    }
}
