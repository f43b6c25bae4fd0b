//! A bare program that looks at paths, asks for images, and does nothing else. No program that
//! proves the same can take less time, so a no-op is held against its time.
//!
//! The bench runs itself for this, in a process of its own. It gets a file with entries that each
//! end with a NUL: a socket, the images, an empty entry, and the paths.

use std::ffi::OsStr;
use std::io::{Error, Read as _, Result, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use camino::Utf8Path;
use rustix::fs::{AtFlags, CWD};

/// How much time a no-op may take, as a part of the bare program's.
pub(super) const OF_BARE: f64 = 1.1;

pub(super) const BARE: &str = "a bare program, which looks and asks";

/// Writes the file with what to look at and what to ask.
pub fn write(file: &Utf8Path, socket: &str, images: &[String], paths: &[String]) -> Result<()> {
    let head = std::iter::once(socket).chain(images.iter().map(String::as_str));
    let all = head.chain([""]).chain(paths.iter().map(String::as_str));
    let text: String = all.flat_map(|entry| [entry, "\0"]).collect();
    std::fs::write(file, text)
}

/// Runs the bare program: looks at the paths on two threads and asks for the images on two more.
pub fn run(file: &Utf8Path) -> Result<()> {
    let text = std::fs::read(file)?;
    let mut entries = text.split(|byte| *byte == 0);
    let socket = Path::new(OsStr::from_bytes(entries.next().unwrap_or_default()));
    let images: Vec<&[u8]> = entries.by_ref().take_while(|it| !it.is_empty()).collect();
    let paths: Vec<&[u8]> = entries.filter(|path| !path.is_empty()).collect();
    let look = |paths: &[&[u8]]| {
        let mut each = paths.iter();
        each.try_for_each(|path| {
            let looked = rustix::fs::statat(CWD, *path, AtFlags::SYMLINK_NOFOLLOW);
            looked.map(drop).map_err(Error::from)
        })
    };
    let ask = |images: &[&[u8]]| images.iter().try_for_each(|image| ask(socket, image));
    let (first, second) = paths.split_at(paths.len() / 2);
    let (one, other) = images.split_at(images.len() / 2);
    std::thread::scope(|scope| {
        let threads = [
            scope.spawn(move || look(first)),
            scope.spawn(move || look(second)),
            scope.spawn(move || ask(one)),
            scope.spawn(move || ask(other)),
        ];
        let mut ended = threads.into_iter().map(|thread| {
            let ended = thread.join();
            ended.unwrap_or_else(|_| Err(Error::other("a thread failed")))
        });
        ended.try_for_each(|ended| ended)
    })
}

/// Inspects an image, on a connection of its own.
fn ask(socket: &Path, image: &[u8]) -> Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    let request = [b"GET /images/", image, b"/json HTTP/1.0\r\n\r\n"].concat();
    stream.write_all(&request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let status = answer.split(|byte| *byte == b' ').nth(1);
    if status == Some(b"200") {
        return Ok(());
    }
    let image = String::from_utf8_lossy(image).into_owned();
    Err(Error::other(format!("the engine does not have {image}")))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn it_ends_well_only_where_every_path_and_every_image_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let socket = folder.join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                let is_there = line.starts_with("GET /images/there:1/json ");
                let status = if is_there { "200 OK" } else { "404 No" };
                let mut stream = stream;
                let _ = write!(stream, "HTTP/1.0 {status}\r\n\r\n{{}}");
            }
        });
        let list = folder.join("list");
        let ends_well = |images: &[&str], paths: &[&str]| {
            let owned = |all: &[&str]| all.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
            write(&list, socket.as_str(), &owned(images), &owned(paths)).unwrap();
            run(&list).is_ok()
        };
        let (there, none) = (list.as_str(), folder.join("none"));
        assert!(ends_well(&["there:1", "there:1"], &[there, there, there]));
        assert!(ends_well(&[], &[]));
        assert!(!ends_well(&["there:1", "none:1"], &[there]));
        assert!(!ends_well(&["there:1"], &[there, none.as_str()]));
    }
}
