//! Small file trees for tests, made by a chain of calls.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use camino::{Utf8Path, Utf8PathBuf};

use crate::contexts::{Ignore, Inputs, InputsError, Layers, StatCache, Tracer, collect};
use dockerfile::{ContextNeed, Need};

/// A folder that is removed when the test ends.
pub struct TestTree {
    folder: tempfile::TempDir,
}

impl TestTree {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn root(&self) -> &Utf8Path {
        Utf8Path::from_path(self.folder.path()).unwrap()
    }

    pub fn at(&self, path: impl AsRef<OsStr>) -> PathBuf {
        self.folder.path().join(path.as_ref())
    }

    pub fn file(self, path: impl AsRef<OsStr>, text: &str) -> Self {
        self.write(path, text);
        self
    }

    pub fn files(self, paths: &[&str]) -> Self {
        paths.iter().fold(self, |tree, path| tree.file(path, path))
    }

    pub fn write(&self, path: impl AsRef<OsStr>, text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn raw_file(self, path: &[u8], text: &str) -> Self {
        self.file(OsStr::from_bytes(path), text)
    }

    pub fn dir(self, path: &str) -> Self {
        fs::create_dir_all(self.at(path)).unwrap();
        self
    }

    pub fn link(self, path: &str, target: &str) -> Self {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
        self
    }

    pub fn mode(self, path: &str, mode: u32) -> Self {
        chmod(&self.at(path), mode);
        self
    }

    pub fn layers(&self, names: &[&str]) -> Layers {
        Layers {
            folders: names.iter().map(|name| self.root().join(name)).collect(),
        }
    }
}

pub fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub fn attribute(path: &Path, name: &str, value: &str) {
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::lsetxattr(path, name, value.as_bytes(), flags).unwrap();
}

pub fn one(root: &Utf8Path) -> Layers {
    Layers {
        folders: vec![Utf8PathBuf::from(root)],
    }
}

pub fn whole() -> ContextNeed {
    ContextNeed::Whole {
        because: "a test wants it".to_owned(),
    }
}

/// What `COPY` of these sources needs.
pub fn copy(sources: &[&str]) -> ContextNeed {
    let need = |source: &&str| Need {
        path: source.as_bytes().to_vec(),
        wildcard: true,
        exclude: Vec::new(),
        line: 1,
    };
    ContextNeed::Paths(sources.iter().map(need).collect())
}

pub fn read(tree: &TestTree, need: &ContextNeed) -> Inputs {
    try_read(tree, "", need).unwrap()
}

pub fn try_read(tree: &TestTree, ignore: &str, need: &ContextNeed) -> Result<Inputs, InputsError> {
    let ignore = Ignore::parse(ignore.as_bytes()).unwrap();
    read_anew(&one(tree.root()), &ignore, need)
}

/// The paths, folders with a trailing slash.
pub fn paths(inputs: &Inputs) -> Vec<String> {
    let shown = |input: &crate::contexts::Input| {
        let path = String::from_utf8_lossy(&input.path).into_owned();
        if input.kind == crate::contexts::EntryKind::Dir {
            path + "/"
        } else {
            path
        }
    };
    inputs.entries.iter().map(shown).collect()
}

/// The paths that a need takes under an ignore file.
pub fn listed(tree: &TestTree, ignore: &str, need: &ContextNeed) -> Vec<String> {
    paths(&try_read(tree, ignore, need).unwrap())
}

/// Reads with nothing remembered.
pub fn read_anew(
    layers: &Layers,
    ignore: &Ignore,
    need: &ContextNeed,
) -> Result<Inputs, InputsError> {
    let cache = StatCache::in_memory();
    collect(layers, ignore, need, &Tracer::forgetful(&cache))
}
