//! Binds of the user's files and folders into containers.
//!
//! A container must never write to a folder of the user's, and a missing folder must not be made.
//! So a bind that may be written to becomes a volume, or a copy of a file. A bind that is only read
//! stays. Services that share a folder share its volume.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileTypeExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Map, Value, json};

use super::config::{flag, text};
use super::filling::{FileContent, Fill, Filling, PrivateFile};

/// What the source of a bind is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Folder,
    File,
    Nothing,
    /// A socket or a device.
    Special,
}

fn look(path: &Utf8Path) -> Found {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Found::Folder,
        Ok(meta) if meta.is_file() => Found::File,
        Ok(meta) => {
            let kind = meta.file_type();
            debug_assert!(
                kind.is_socket()
                    || kind.is_fifo()
                    || kind.is_block_device()
                    || kind.is_char_device()
            );
            Found::Special
        }
        Err(_) => Found::Nothing,
    }
}

/// All binds of a compose file, and what replaces them.
pub(super) struct Binds<'b> {
    folder: &'b Utf8Path,
    private: &'b Utf8Path,
    /// The volumes, by the folder that they replace.
    volumes: BTreeMap<Utf8PathBuf, String>,
    names: BTreeSet<String>,
    pub(super) fills: Vec<Fill>,
    pub(super) files: Vec<PrivateFile>,
}

impl<'b> Binds<'b> {
    pub(super) fn new(folder: &'b Utf8Path, private: &'b Utf8Path) -> Self {
        Self {
            folder,
            private,
            volumes: BTreeMap::new(),
            names: BTreeSet::new(),
            fills: Vec::new(),
            files: Vec::new(),
        }
    }

    /// The volumes that replace folders.
    pub(super) fn volumes(&self) -> Vec<String> {
        self.volumes.values().cloned().collect()
    }

    /// A name that no other bind has.
    fn name(&mut self, source: &Utf8Path) -> String {
        let shown = self.shown(source);
        let base = format!("bind-{}", plain(&shown));
        let mut name = base.clone();
        let mut next = 2;
        while !self.names.insert(name.clone()) {
            name = format!("{base}-{next}");
            next += 1;
        }
        name
    }

    fn shown(&self, source: &Utf8Path) -> String {
        let inner = source.strip_prefix(self.folder);
        inner.map_or_else(|_| source.to_string(), ToString::to_string)
    }

    /// The volume that replaces a folder.
    fn volume(&mut self, service: &str, source: &Utf8Path, target: &str, found: Found) -> String {
        if let Some(name) = self.volumes.get(source) {
            return name.clone();
        }
        let name = self.name(source);
        self.volumes.insert(source.to_owned(), name.clone());
        if found == Found::Folder {
            self.fills.push(Fill {
                volume: name.clone(),
                service: service.to_owned(),
                target: target.to_owned(),
                with: Filling::Folder {
                    path: source.to_owned(),
                    for_group: false,
                },
            });
        }
        name
    }

    /// The copy that replaces a file.
    fn copy(&mut self, source: &Utf8Path) -> Utf8PathBuf {
        let is_it = |file: &&PrivateFile| file.content == FileContent::Copy(source.to_owned());
        if let Some(file) = self.files.iter().find(is_it) {
            return file.path.clone();
        }
        let path = self.private.join(self.name(source));
        self.files.push(PrivateFile {
            path: path.clone(),
            content: FileContent::Copy(source.to_owned()),
        });
        path
    }
}

/// A name with a hyphen for all but letters and digits, for the name of a volume or a file.
pub(super) fn plain(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let text: String = name.chars().map(plain).collect();
    text.trim_matches('-').chars().take(60).collect()
}

/// Replaces a service's binds by volumes and copies.
pub(super) fn rewrite(
    name: &str,
    service: &mut Map<String, Value>,
    binds: &mut Binds<'_>,
    say: &mut impl FnMut(&str),
) {
    let Some(Value::Array(mounts)) = service.get_mut("volumes") else {
        return;
    };
    for mount in mounts {
        if text(mount, "type") != "bind" {
            continue;
        }
        let source = Utf8PathBuf::from(text(mount, "source"));
        let target = text(mount, "target").to_owned();
        let read_only = flag(mount, "read_only");
        let shown = binds.shown(&source);
        match (look(&source), read_only) {
            (Found::Folder | Found::File, true) | (Found::Special, _) => {
                // The engine must not make the source if it disappears meanwhile.
                if let Some(Value::Object(bind)) = mount.get_mut("bind") {
                    bind.insert("create_host_path".into(), false.into());
                }
            }
            (found @ (Found::Folder | Found::Nothing), _) => {
                let volume = binds.volume(name, &source, &target, found);
                say(&format!(
                    "{target} is a volume of its own, not the folder {shown}"
                ));
                // A bind hides what the image has at the target, and so must this volume.
                *mount = json!({
                    "type": "volume", "source": volume, "target": target,
                    "read_only": read_only, "volume": {"nocopy": true},
                });
            }
            (Found::File, false) => {
                let copy = binds.copy(&source);
                say(&format!("{target} is a copy of the file {shown}"));
                *mount = json!({
                    "type": "bind", "source": copy.as_str(), "target": target,
                    "bind": {"create_host_path": false},
                });
            }
        }
    }
}
