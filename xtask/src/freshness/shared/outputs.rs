//! What a host command made, shared like a record: a signed list of its outputs, and the outputs
//! themselves as one blob.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{Error, ErrorKind, Read, Result, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::contexts::{EntryKind, Input};
use crate::outside::index::{Digester, ManifestEntry};

/// The version of the list. 1: the first.
pub const VERSION: u32 = 1;
/// The media type of the blob.
const TAR: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// How many entries are shared at most: a manifest has a limited size.
const MOST: usize = 4000;

/// What a host command made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedOutputs {
    pub(super) version: u32,
    /// The key of what it would make (`prepare::lending::question`).
    pub(super) question: String,
    /// Files and folders, by their path below the folder where the command runs.
    entries: BTreeMap<String, SharedEntry>,
    /// The outputs as a compressed archive.
    pub(super) blob: ManifestEntry,
}

/// One file or folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SharedEntry {
    /// Permission bits.
    mode: u32,
    /// A file's size in bytes, and the blake3 of its content in hexadecimal digits. A folder has
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<(u64, String)>,
}

fn bad(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, why)
}

impl SharedOutputs {
    /// Packs what a command made in `folder` into `archive`. `None` if there is anything but plain files and
    /// folders, which nobody could be given as they are.
    pub fn pack(
        question: String,
        folder: &Path,
        made: &[Input],
        archive: &Path,
    ) -> Result<Option<Self>> {
        let mut entries = BTreeMap::new();
        for input in made {
            let Ok(path) = String::from_utf8(input.path.clone()) else {
                return Ok(None);
            };
            let content = match (&input.kind, input.hash) {
                (EntryKind::Dir, _) => None,
                (EntryKind::File, Some(hash)) if input.attributes.is_none() => {
                    let hash = blake3::Hash::from_bytes(hash).to_hex().to_string();
                    Some((input.size, hash))
                }
                _ => return Ok(None),
            };
            // Inputs do not tell the mode of a folder, as it does not count.
            let mode = match input.kind {
                EntryKind::Dir => fs::symlink_metadata(folder.join(&path))?
                    .permissions()
                    .mode(),
                _ => input.mode,
            };
            let mode = mode & 0o7777;
            entries.insert(path, SharedEntry { mode, content });
        }
        if entries.is_empty() || entries.len() > MOST {
            return Ok(None);
        }
        let sink = Digester::new(File::create(archive)?);
        let gzip = flate2::write::GzEncoder::new(sink, flate2::Compression::default());
        let mut tar = tar::Builder::new(gzip);
        tar.mode(tar::HeaderMode::Deterministic);
        for (path, entry) in &entries {
            if entry.content.is_some() {
                let mut file = File::open(folder.join(path))?;
                tar.append_file(path, &mut file)?;
            }
        }
        let (digest, size) = tar.into_inner()?.finish()?.finish()?;
        Ok(Some(Self {
            version: VERSION,
            question,
            entries,
            blob: ManifestEntry {
                media_type: TAR.to_owned(),
                digest,
                size,
                platform: None,
                annotations: BTreeMap::new(),
            },
        }))
    }

    /// The key of what the command would make.
    pub fn question(&self) -> &str {
        &self.question
    }

    /// Whether every path is one of the outputs or below one, so that nothing else can be written.
    pub(super) fn fits(&self, outputs: &[PathBuf]) -> bool {
        let is_plain = |path: &Path| {
            let mut parts = path.components();
            parts.all(|part| matches!(part, Component::Normal(_)))
        };
        let is_output = |path: &Path| {
            outputs
                .iter()
                .any(|output| path.starts_with(output) || output.starts_with(path))
        };
        let all_there = outputs.iter().all(|output| {
            let text = output.to_str();
            text.is_some_and(|text| self.entries.contains_key(text))
        });
        let mut paths = self.entries.keys().map(Path::new);
        all_there && paths.all(|path| is_plain(path) && is_output(path))
    }

    /// The entries as inputs, for a stage that is judged before the files are there.
    pub fn inputs(&self) -> Option<Vec<Input>> {
        let entries = self.entries.iter();
        let inputs = entries.map(|(path, entry)| {
            let (kind, mode, size, hash) = match &entry.content {
                None => (EntryKind::Dir, 0o755, 0, None),
                Some((size, hash)) => {
                    let hash = blake3::Hash::from_hex(hash).ok()?;
                    (EntryKind::File, entry.mode, *size, Some(*hash.as_bytes()))
                }
            };
            Some(Input {
                path: path.as_bytes().to_vec(),
                kind,
                mode,
                size,
                hash,
                attributes: None,
                layer: 0,
            })
        });
        inputs.collect()
    }

    /// Puts the outputs into the folder where the command would have made them, in place of what is
    /// there. `archive` is the blob. Each file is checked, in `scratch`, before anything gets its
    /// name. Nothing else is ever written into the folder, which is a part of a checkout.
    pub fn unpack(
        &self,
        archive: impl Read,
        scratch: &Path,
        folder: &Path,
        outputs: &[PathBuf],
    ) -> Result<()> {
        if !self.fits(outputs) {
            return Err(bad("it names files that are not outputs of the command"));
        }
        fs::create_dir_all(scratch)?;
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(archive));
        let mut left: BTreeMap<&str, &(u64, String)> = BTreeMap::new();
        for (path, entry) in &self.entries {
            match &entry.content {
                Some(content) => _ = left.insert(path, content),
                None => fs::create_dir_all(scratch.join(path))?,
            }
        }
        for member in tar.entries()? {
            let member = member?;
            let path = member.path()?.into_owned();
            let path = path.to_str().ok_or_else(|| bad("a path is not UTF-8"))?;
            let (size, hash) = left
                .remove(path)
                .ok_or_else(|| bad("the archive has a file that is not in the list"))?;
            let target = scratch.join(path);
            if let Some(above) = target.parent() {
                fs::create_dir_all(above)?;
            }
            let mut file = File::create(&target)?;
            let mut hasher = blake3::Hasher::new();
            let mut source = member.take(*size + 1);
            let mut buffer = vec![0; 64 << 10];
            loop {
                let read = source.read(&mut buffer)?;
                if read == 0 {
                    break;
                }
                hasher.update(&buffer[..read]);
                file.write_all(&buffer[..read])?;
            }
            if hasher.finalize().to_hex().as_str() != hash {
                return Err(bad("a file does not have the content that the list names"));
            }
        }
        if !left.is_empty() {
            return Err(bad("the archive lacks a file of the list"));
        }
        for output in outputs {
            put(&scratch.join(output), folder, output)?;
        }
        // A folder that cannot be written into would refuse its entries, so modes come last, and
        // those of what is deeper first.
        for (path, entry) in self.entries.iter().rev() {
            let permissions = Permissions::from_mode(entry.mode);
            fs::set_permissions(folder.join(path), permissions)?;
        }
        Ok(())
    }
}

/// Moves an output to its place.
fn put(new: &Path, folder: &Path, output: &Path) -> Result<()> {
    let mut place = folder.to_owned();
    let mut parts = output.components().peekable();
    while let Some(part) = parts.next() {
        place.push(part);
        if parts.peek().is_none() {
            break;
        }
        match place.symlink_metadata() {
            Ok(meta) if meta.is_dir() => {}
            // A link would lead out of the folder.
            Ok(_) => return Err(bad("a folder of an output is something else here")),
            Err(error) if error.kind() == ErrorKind::NotFound => fs::create_dir(&place)?,
            Err(error) => return Err(error),
        }
    }
    match place.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(&place)?,
        Ok(_) => fs::remove_file(&place)?,
        Err(_) => {}
    }
    match fs::rename(new, &place) {
        // The state may be on another file system. Until all is there, nothing says that it is.
        Err(error) if error.kind() == ErrorKind::CrossesDevices => copy(new, &place),
        moved => moved,
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.symlink_metadata()?.is_dir() {
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir(to)?;
    for entry in from.read_dir()? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(folder: &Path) -> Vec<Input> {
        fs::create_dir_all(folder.join("out/deep")).unwrap();
        fs::set_permissions(folder.join("out/deep"), Permissions::from_mode(0o700)).unwrap();
        for (path, mode) in [("main", 0o755), ("out/deep/x", 0o644)] {
            fs::write(folder.join(path), path).unwrap();
            fs::set_permissions(folder.join(path), Permissions::from_mode(mode)).unwrap();
        }
        let entry = |path: &str, content: Option<&str>, mode| Input {
            path: path.as_bytes().to_vec(),
            kind: content.map_or(EntryKind::Dir, |_| EntryKind::File),
            mode,
            size: content.map_or(0, |content| content.len() as u64),
            hash: content.map(|content| *blake3::hash(content.as_bytes()).as_bytes()),
            attributes: None,
            layer: 0,
        };
        vec![
            entry("main", Some("main"), 0o755),
            entry("out", None, 0o755),
            entry("out/deep", None, 0o755),
            entry("out/deep/x", Some("out/deep/x"), 0o644),
        ]
    }

    #[test]
    fn outputs_come_out_as_they_were_made_and_nothing_else_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(&from).unwrap();
        fs::create_dir_all(to.join("out/old")).unwrap();
        let made = made(&from);
        let outputs: Vec<PathBuf> = vec!["main".into(), "out".into()];
        let archive = folder.path().join("a.tgz");
        let packed = SharedOutputs::pack("q".to_owned(), &from, &made, &archive).unwrap();
        let packed = packed.unwrap();
        let open = || File::open(&archive).unwrap();
        let number = std::cell::Cell::new(0);
        let scratch = || {
            number.set(number.get() + 1);
            folder.path().join(format!("scratch-{}", number.get()))
        };
        packed.unpack(open(), &scratch(), &to, &outputs).unwrap();
        assert_eq!(fs::read(to.join("out/deep/x")).unwrap(), b"out/deep/x");
        let mode = fs::metadata(to.join("main")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
        assert!(!to.join("out/old").exists());
        let mode = |path: &str| fs::metadata(to.join(path)).unwrap().permissions().mode();
        assert_eq!(mode("out/deep") & 0o7777, 0o700);
        assert_eq!(packed.inputs().unwrap(), made);
        let left: Vec<_> = fs::read_dir(&to).unwrap().collect();
        assert_eq!(left.len(), 2, "{left:?}");

        // A list that names another place is refused before anything is written.
        for outputs in [vec!["main".into()], vec!["out".into()], Vec::new()] {
            assert!(packed.unpack(open(), &scratch(), &to, &outputs).is_err());
        }
        let mut outside = packed.clone();
        let entry = outside.entries["main"].clone();
        outside.entries.insert("../main".to_owned(), entry);
        assert!(outside.unpack(open(), &scratch(), &to, &outputs).is_err());
        // A folder of an output that is a link here leads out of the folder.
        fs::remove_dir_all(to.join("out")).unwrap();
        fs::create_dir(folder.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), to.join("out")).unwrap();
        let deep: Vec<PathBuf> = vec!["main".into(), "out/deep".into()];
        assert!(packed.unpack(open(), &scratch(), &to, &deep).is_err());
        let left = fs::read_dir(folder.path().join("elsewhere")).unwrap();
        assert_eq!(left.count(), 0);
        // In place of a link at its own name it is put.
        packed.unpack(open(), &scratch(), &to, &outputs).unwrap();
        // So is a list whose files have other content.
        let mut other = packed;
        if let Some(entry) = other.entries.get_mut("main") {
            entry.content = Some((4, blake3::hash(b"evil").to_hex().to_string()));
        }
        fs::write(to.join("main"), "own").unwrap();
        assert!(other.unpack(open(), &scratch(), &to, &outputs).is_err());
        assert_eq!(fs::read(to.join("main")).unwrap(), b"own");
    }
}
