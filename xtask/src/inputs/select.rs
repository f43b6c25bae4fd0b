//! Which entries of a context count.
//!
//! Knows how BuildKit resolves a COPY source: globs name by name, links in any part of a path
//! followed inside the context, folders with everything below them. Where BuildKit takes less
//! (`--exclude`, a folder known by one file in it), this takes more: that costs a build at
//! worst. Is unaware of file contents.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

use rayon::prelude::*;

use super::gopath::Glob;
use super::ignore::Inherited;
use super::layers::{Entry, Layers};
use super::{Ignore, InputsError, Kind};
use crate::dockerfile::Need;

/// How many links one path may lead through before it counts as a loop (Linux: 40).
const MOST_LINKS: usize = 255;

/// A selected entry, not yet hashed.
#[derive(Debug)]
pub struct Found {
    /// Relative to the context.
    pub path: Vec<u8>,
    /// The layer that decides.
    pub layer: u16,
    /// What it is.
    pub kind: Kind,
    /// What the file system says of it.
    pub meta: std::fs::Metadata,
}

/// Everything that is not ignored.
pub fn whole(layers: &Layers, ignore: &Ignore) -> Result<Vec<Found>, InputsError> {
    let walk = Walk { layers, ignore };
    let mut found = walk.below(&layers.all(), b"", &Inherited::default())?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// What the needs select, each entry once.
pub fn paths(layers: &Layers, ignore: &Ignore, needs: &[Need]) -> Result<Vec<Found>, InputsError> {
    let walk = Walk { layers, ignore };
    if needs.iter().any(|need| need.path.is_empty()) {
        return whole(layers, ignore);
    }
    let mut all = BTreeMap::new();
    for need in needs {
        let parts = need.path.split(|byte| *byte == b'/').map(|name| Part {
            name: name.to_vec(),
            glob: need.wildcard,
        });
        let mut found = Vec::new();
        walk.resolve(
            Vec::new(),
            layers.all(),
            parts.collect::<Vec<_>>().into_iter().rev().collect(),
            0,
            &mut found,
        )?;
        all.extend(found.into_iter().map(|found| (found.path.clone(), found)));
    }
    Ok(all.into_values().collect())
}

/// One name of a path that is still to be looked up.
#[derive(Debug, Clone)]
struct Part {
    name: Vec<u8>,
    /// Whether the name is a pattern; what a link says never is.
    glob: bool,
}

struct Walk<'a> {
    layers: &'a Layers,
    ignore: &'a Ignore,
}

impl Walk<'_> {
    /// Follows `rest` (its next part last) from the folder `at`, which is merged from `folders`.
    fn resolve(
        &self,
        at: Vec<u8>,
        folders: Vec<u16>,
        mut rest: Vec<Part>,
        links: usize,
        found: &mut Vec<Found>,
    ) -> Result<(), InputsError> {
        let Some(part) = rest.pop() else {
            return self.take_folder(&at, &folders, found);
        };
        match part.name.as_slice() {
            b"" | b"." => return self.resolve(at, folders, rest, links, found),
            // The root's parent is the root.
            b".." => {
                let cut = at.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                let parent = at[..cut].to_vec();
                let folders = self.folders_of(&parent)?;
                return self.resolve(parent, folders, rest, links, found);
            }
            _ => {}
        }
        let is_glob = part.glob && part.name.iter().any(|byte| b"*?[\\".contains(byte));
        if !is_glob {
            let path = join(&at, &part.name);
            let entry = self.layers.look(&folders, &path)?;
            return entry.map_or(Ok(()), |entry| self.enter(path, entry, rest, links, found));
        }
        // A pattern that Go refuses matches nothing; the build will say so.
        let Some(glob) = Glob::parse(&part.name) else {
            return Ok(());
        };
        for (name, entry) in self.layers.list(&folders, &at)? {
            if glob.matches(&name) {
                self.enter(join(&at, &name), entry, rest.clone(), links, found)?;
            }
        }
        Ok(())
    }

    fn folders_of(&self, path: &[u8]) -> Result<Vec<u16>, InputsError> {
        if path.is_empty() {
            return Ok(self.layers.all());
        }
        Ok(self
            .layers
            .look(&self.layers.all(), path)?
            .map(|entry| entry.layers)
            .unwrap_or_default())
    }

    /// Goes on through one entry that a part named.
    fn enter(
        &self,
        path: Vec<u8>,
        entry: Entry,
        mut rest: Vec<Part>,
        links: usize,
        found: &mut Vec<Found>,
    ) -> Result<(), InputsError> {
        let kind = kind_of(self.layers, &path, &entry)?;
        if let Kind::Symlink { target } = &kind {
            // A link that is not sent leads nowhere in the builder.
            if self.ignore.excludes(&path) || links == MOST_LINKS {
                return Ok(());
            }
            let target = target.clone();
            let layer = entry.layer();
            found.push(Found {
                path: path.clone(),
                layer,
                kind,
                meta: entry.meta,
            });
            rest.extend(target.rsplit(|byte| *byte == b'/').map(|name| Part {
                name: name.to_vec(),
                glob: false,
            }));
            let from = if target.first() == Some(&b'/') {
                Vec::new()
            } else {
                path[..path.iter().rposition(|byte| *byte == b'/').unwrap_or(0)].to_vec()
            };
            let folders = self.folders_of(&from)?;
            return self.resolve(from, folders, rest, links + 1, found);
        }
        if kind == Kind::Dir {
            return self.resolve(path, entry.layers, rest, links, found);
        }
        // A file has nothing below it.
        if rest
            .iter()
            .all(|part| matches!(part.name.as_slice(), b"" | b"."))
            && !self.ignore.excludes(&path)
        {
            found.push(Found {
                path,
                layer: entry.layer(),
                kind,
                meta: entry.meta,
            });
        }
        Ok(())
    }

    /// A folder that a need names: itself, and everything below it.
    fn take_folder(
        &self,
        path: &[u8],
        folders: &[u16],
        found: &mut Vec<Found>,
    ) -> Result<(), InputsError> {
        let mut inherited = Inherited::default();
        let mut excluded = false;
        for end in path
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(at, _)| at)
            .chain([path.len()])
        {
            if end > 0 {
                (excluded, inherited) = self.ignore.below(&path[..end], &inherited);
            }
        }
        if excluded && !self.ignore.may_reach_below(path) {
            return Ok(());
        }
        let below = self.below(folders, path, &inherited)?;
        if !path.is_empty() && (!excluded || !below.is_empty()) {
            if let Some(entry) = self.layers.look(folders, path)? {
                found.push(Found {
                    path: path.to_vec(),
                    layer: entry.layer(),
                    kind: Kind::Dir,
                    meta: entry.meta,
                });
            }
        }
        found.extend(below);
        Ok(())
    }

    /// Everything below a folder that is not ignored. A folder that is ignored itself counts
    /// when something below it is taken in again.
    fn below(
        &self,
        folders: &[u16],
        path: &[u8],
        above: &Inherited,
    ) -> Result<Vec<Found>, InputsError> {
        let entries: Vec<_> = self.layers.list(folders, path)?.into_iter().collect();
        let one = |(name, entry): (Vec<u8>, Entry)| -> Result<Vec<Found>, InputsError> {
            let path = join(path, &name);
            let (excluded, inherited) = self.ignore.below(&path, above);
            let is_dir = entry.meta.is_dir();
            if excluded && !(is_dir && self.ignore.may_reach_below(&path)) {
                return Ok(Vec::new());
            }
            let mut found = if is_dir {
                self.below(&entry.layers, &path, &inherited)?
            } else {
                Vec::new()
            };
            if !excluded || !found.is_empty() {
                let kind = kind_of(self.layers, &path, &entry)?;
                found.push(Found {
                    layer: entry.layer(),
                    path,
                    kind,
                    meta: entry.meta,
                });
            }
            Ok(found)
        };
        // Splitting pays only where there are folders to descend into.
        if entries.iter().any(|(_, entry)| entry.meta.is_dir()) {
            let parts: Vec<Vec<Found>> =
                entries.into_par_iter().map(one).collect::<Result<_, _>>()?;
            return Ok(parts.into_iter().flatten().collect());
        }
        let mut all = Vec::with_capacity(entries.len());
        for entry in entries {
            all.extend(one(entry)?);
        }
        Ok(all)
    }
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() {
        name.to_vec()
    } else {
        [folder, b"/", name].concat()
    }
}

fn kind_of(layers: &Layers, path: &[u8], entry: &Entry) -> Result<Kind, InputsError> {
    let file_type = entry.meta.file_type();
    Ok(match () {
        () if file_type.is_file() => Kind::File,
        () if file_type.is_dir() => Kind::Dir,
        () if file_type.is_symlink() => {
            let place = layers.place(entry.layer(), path);
            let target = std::fs::read_link(&place)
                .map_err(|error| InputsError::Unreadable(place, error))?;
            Kind::Symlink {
                target: target.into_os_string().into_vec(),
            }
        }
        () if file_type.is_fifo() => Kind::Fifo,
        () if file_type.is_socket() => Kind::Socket,
        () => Kind::Device,
    })
}

/// The permission bits that count as `Input::mode`.
pub fn mode(meta: &std::fs::Metadata) -> u32 {
    meta.mode() & 0o7777
}
