//! Reads the real content of images and folders, entry by entry.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::super::docker;

/// Entries by path. Paths have no slash in front.
pub type Entries = BTreeMap<String, Entry>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Folder,
    File { executable: bool, content: String },
    Link(String),
}

/// Everything in a folder, with `name` in place of the folder's path.
pub fn folder(at: &Path, name: &str) -> Entries {
    let mut entries = Entries::from([(name.to_owned(), Entry::Folder)]);
    for entry in fs::read_dir(at).unwrap().flatten() {
        let path = entry.path();
        let name = format!("{name}/{}", entry.file_name().to_str().unwrap());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            entries.extend(folder(&path, &name));
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            entries.insert(name, Entry::Link(target.to_str().unwrap().to_owned()));
        } else {
            entries.insert(name, file(&path));
        }
    }
    entries
}

pub fn file(at: &Path) -> Entry {
    Entry::File {
        executable: fs::metadata(at).unwrap().permissions().mode() & 0o111 != 0,
        content: fs::read_to_string(at).unwrap(),
    }
}

/// The images of one engine. An id always has the same content, so each image is read once.
pub struct Images {
    host: String,
    read: HashMap<String, Entries>,
}

impl Images {
    pub fn of(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            read: HashMap::new(),
        }
    }

    /// The entries of an image whose paths begin with one of these names.
    pub fn entries(&mut self, image: &str, names: &[&str]) -> &Entries {
        let host = &self.host;
        self.read
            .entry(image.to_owned())
            .or_insert_with(|| export(host, image, names))
    }
}

fn export(host: &str, image: &str, names: &[&str]) -> Entries {
    let to = tempfile::tempdir().unwrap();
    let tar = to.path().join("tar");
    let container = docker(host, &["create", image, "nothing"]);
    docker(
        host,
        &["export", "--output", tar.to_str().unwrap(), &container],
    );
    docker(host, &["rm", &container]);
    let unpacked = Command::new("tar")
        .args(["--extract", "--preserve-permissions", "--file"])
        .arg(&tar)
        .arg("--directory")
        .arg(to.path())
        .status();
    assert!(unpacked.unwrap().success());
    let mut entries = Entries::new();
    for name in names {
        let path = to.path().join(name);
        if path.is_dir() {
            entries.extend(folder(&path, name));
        } else if path.exists() {
            entries.insert((*name).to_owned(), file(&path));
        }
    }
    entries
}
