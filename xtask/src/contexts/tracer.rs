//! Records what an answer about trees depends on.
//!
//! Every look at the file system that decides which entries are inputs, and what they are, is
//! recorded: a folder that was listed, an entry that was read, a name that was looked up. If every
//! look gives the same again, so would the answer. If equal looks would prove nothing, there is no
//! trace.
//!
//! The rule of `statcache` holds for folders as well: a list of names is believed only if the
//! folder's last change is older, by more than a tick, than the clock before the first look.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, RwLock};

use camino::Utf8Path;
use rustix::fs::FileType;

use super::looks::{Looks, parent};
use super::meta::Meta;
use super::snapshot::{Snapshot, Sum};
use super::stand_in::{self, AtPath, StandIns};
use super::trace::{Sight, Trace, begin, mount, put_entry, shorten, sort};
use super::worth::Worth;
use super::{Input, StatCache};
use crate::outside::state;
use crate::unpoisoned::Unpoisoned as _;

/// Entries in one piece. Pieces are compared on all cores.
const PIECE: usize = 256;

/// Records the looks at trees for an answer that may be remembered.
#[derive(Debug)]
pub struct Tracer<'a> {
    cache: &'a StatCache,
    /// Whether a trace is kept, for an answer that is asked for again.
    remembers: bool,
    /// The folder in which this program keeps the states of graphs, with links resolved.
    states: Option<PathBuf>,
    /// Whether equal looks would prove nothing.
    doubtful: AtomicBool,
    seen: Mutex<Looks>,
    /// What stands in for files that are not there yet.
    stand_ins: RwLock<StandIns>,
}

/// How an answer depends on a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noticed {
    /// Not at all.
    No,
    /// Its folder was listed. An ignore file or a pattern of a COPY may leave it out of what
    /// counts.
    AsAName,
    /// It was looked at.
    Itself,
}

impl<'a> Tracer<'a> {
    /// A tracer that keeps a trace. It reads the clock now, before the first look.
    pub fn new(cache: &'a StatCache) -> Self {
        cache.open();
        Self {
            cache,
            remembers: true,
            states: None,
            doubtful: AtomicBool::new(false),
            seen: Mutex::default(),
            stand_ins: RwLock::default(),
        }
    }

    /// A tracer that keeps no trace, for an answer that is not asked for again.
    pub fn forgetful(cache: &'a StatCache) -> Self {
        Self {
            remembers: false,
            ..Self::new(cache)
        }
    }

    /// The same tracer for a reader that must not take this program's own state, which lies in
    /// `states`, for an input.
    #[must_use]
    pub fn beside(self, states: &Path) -> Self {
        // A folder that does not exist holds no state.
        let states = states.canonicalize().ok();
        Self { states, ..self }
    }

    /// The folder in which this program keeps the states of graphs.
    pub fn states(&self) -> Option<&Path> {
        self.states.as_deref()
    }

    /// The stat cache.
    pub fn cache(&self) -> &'a StatCache {
        self.cache
    }

    /// Adds a root: everything below it is reached through it. If a folder is moved away and
    /// another is put in its place, the content of neither shows it, only the folder's own times.
    /// The folders above a root are not looked at, as others write beside a checkout all the time.
    pub fn rooted(&self, root: &Path) {
        let root = root.as_os_str().as_bytes();
        let root = root.strip_suffix(b"/").unwrap_or(root);
        self.seen().roots.insert(root.to_vec());
    }

    /// Lets entries stand in for what is at or below `tops`, paths below `folder`. No look can prove
    /// such an answer later.
    pub fn stand_in(&self, folder: &Path, tops: &[PathBuf], entries: &[Input]) {
        self.doubt();
        let mut stand_ins = self.stand_ins.write().unpoisoned();
        stand_ins.add(folder, tops, entries);
    }

    /// Whether anything was looked at, by its path alone, for which something stands in: the answer
    /// then has what is really there, and not what stands in.
    pub fn has_looked_behind_stand_ins(&self) -> bool {
        let stand_ins = self.stand_ins.read().unpoisoned();
        let seen = self.seen();
        let mut tops = stand_ins.tops();
        tops.any(|top| seen.has_within(top.as_os_str().as_bytes()))
    }

    /// What counts at a path.
    pub(super) fn at(&self, path: &Path) -> AtPath {
        let stand_ins = self.stand_ins.read().unpoisoned();
        if stand_ins.is_empty() {
            return AtPath::Real;
        }
        stand_ins.at(path)
    }

    /// The names of what stands in right below a folder.
    pub(super) fn stand_ins_below(&self, folder: &Path) -> Vec<(CString, FileType)> {
        let stand_ins = self.stand_ins.read().unpoisoned();
        if stand_ins.is_empty() {
            return Vec::new();
        }
        stand_ins.below(folder)
    }

    /// Whether anything stands in anywhere.
    pub(super) fn has_stand_ins(&self) -> bool {
        !self.stand_ins.read().unpoisoned().is_empty()
    }

    /// The kind of what stands in at a path.
    pub(super) fn kind_of_stand_in(entry: &Input) -> FileType {
        stand_in::kind(entry)
    }

    /// Notes that something was decided that no recorded look can stand for.
    pub fn doubt(&self) {
        self.doubtful.store(true, Ordering::Relaxed);
    }

    /// Records that a name was looked up and that only the kind of its entry decided anything.
    pub fn looked_up(&self, path: &Path, kind: Option<FileType>) {
        let kind = kind.map(FileType::as_raw_mode);
        let path = path.as_os_str().as_bytes().to_vec();
        let before = self.seen().kinds.insert(path, kind);
        if before.is_some_and(|before| before != kind) {
            self.doubt();
        }
    }

    /// Records that a link was followed. It may come to lead elsewhere without a change to the
    /// entry that it led to.
    pub fn followed(&self, link: &Path) {
        self.doubt();
        if let Ok(stat) = rustix::fs::lstat(link) {
            let mut piece = begin(link.as_os_str().as_bytes(), None);
            put_entry(&mut piece, b"", Sight::Same(Meta::of(&stat)));
            let mut seen = self.seen();
            seen.sum.add(&piece);
            let link = link.as_os_str().as_bytes();
            seen.partly.insert(parent(link).to_vec());
            seen.alone.insert(link.to_vec());
        }
    }

    /// Records that these entries of a folder were read. `listed` is what the folder was before its
    /// names were read, if all of them were.
    pub fn read<'e>(
        &self,
        folder: &Path,
        listed: Option<&Meta>,
        entries: impl ExactSizeIterator<Item = (&'e [u8], Meta)>,
    ) {
        if listed.is_none() && entries.len() == 0 {
            return;
        }
        let mut doubtful = listed.is_some_and(|meta| !self.cache.may_remember(meta));
        let mut devices: BTreeMap<u64, &[u8]> = BTreeMap::new();
        if let Some(meta) = listed {
            devices.insert(meta.device, b"");
        }
        let mut sum = Sum::default();
        let mut pieces = Vec::with_capacity(1 + entries.len() / PIECE);
        let mut piece = begin(folder.as_os_str().as_bytes(), listed);
        for (at, (name, meta)) in entries.enumerate() {
            doubtful |= !self.cache.may_remember(&meta);
            devices.entry(meta.device).or_insert(name);
            if at > 0 && at % PIECE == 0 {
                let next = begin(folder.as_os_str().as_bytes(), None);
                sum.add(&piece);
                let full = std::mem::replace(&mut piece, next);
                pieces.extend(self.remembers.then_some(full));
            }
            put_entry(&mut piece, name, Sight::Same(meta));
        }
        sum.add(&piece);
        pieces.push(piece);
        let mounts = self.remembers.then(|| self.provable(folder, devices));
        if doubtful || mounts.as_ref().is_some_and(Option::is_none) {
            self.doubt();
        }
        let mut seen = self.seen();
        for device in mounts.flatten().into_iter().flatten() {
            let folder = || folder.as_os_str().as_bytes().to_vec();
            seen.mounts.entry(device).or_insert_with(folder);
        }
        seen.sum.join(sum);
        let folder = folder.as_os_str().as_bytes();
        let of_its_kind = match listed {
            Some(_) => &mut seen.listed,
            None => &mut seen.partly,
        };
        of_its_kind.insert(folder.to_vec());
        if self.remembers {
            seen.widen(folder);
            seen.pieces.append(&mut pieces);
        }
    }

    /// Records that another reader is about to list a folder: all its names count, as they are now.
    pub fn lists(&self, folder: &Path) {
        match rustix::fs::stat(folder) {
            Ok(stat) => self.read(folder, Some(&Meta::of(&stat)), std::iter::empty()),
            Err(_) => self.doubt(),
        }
    }

    /// A file of this program's own state was read without its folder. Nothing of a tree is reached
    /// through that folder, and other stages of the same run write to it meanwhile.
    fn read_own_file(&self, path: &Path, meta: Meta) {
        let folder = parent(path.as_os_str().as_bytes()).to_vec();
        let was_read = self.seen().partly.contains(&folder);
        self.read_file(path, meta);
        if !was_read {
            self.seen().partly.remove(&folder);
        }
    }

    /// Records that one file was read without its folder, in the state that `meta` gives.
    pub fn read_file(&self, path: &Path, meta: Meta) {
        match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) => {
                self.read(folder, None, std::iter::once((name.as_bytes(), meta)));
                let path = path.as_os_str().as_bytes();
                self.seen().alone.insert(path.to_vec());
            }
            _ => self.doubt(),
        }
    }

    /// Of the devices of a folder and of names in it, those whose times prove nothing in another
    /// mount. `None` if the times of one device prove nothing at all.
    fn provable(&self, folder: &Path, devices: BTreeMap<u64, &[u8]>) -> Option<Vec<u64>> {
        let mut of_mounts = Vec::new();
        for (device, name) in devices {
            let path = || folder.join(OsStr::from_bytes(name)).into();
            match self.cache.worth(device, path) {
                Worth::Nothing => return None,
                Worth::Proof => {}
                Worth::ProofInMount => of_mounts.push(device),
            }
        }
        Some(of_mounts)
    }

    /// How the answer may depend on what is at `path` or below it, or on whether anything is there.
    /// The path must be absolute, and no folder of it a link.
    pub fn notices(&self, path: &Path) -> Noticed {
        let seen = self.seen();
        let bytes = path.as_os_str().as_bytes();
        // Creating something there creates the missing folders above it, too.
        let missing = path.ancestors().skip(1);
        let missing = missing.take_while(|folder| !folder.is_dir());
        let missing: Vec<_> = missing
            .map(|folder| folder.as_os_str().as_bytes())
            .collect();
        let mut ways = missing.iter().chain([&bytes]);
        if seen.has_within(bytes) || missing.iter().any(|way| seen.kinds.contains_key(*way)) {
            Noticed::Itself
        } else if ways.any(|way| seen.listed.contains(parent(way))) {
            Noticed::AsAName
        } else {
            Noticed::No
        }
    }

    /// All looks so far.
    pub fn snapshot(&self) -> Snapshot {
        let seen = self.seen();
        let mut sum = seen.sum;
        for (path, kind) in &seen.kinds {
            let mut piece = begin(path, None);
            put_entry(&mut piece, b"", kind.map_or(Sight::Absent, Sight::Kind));
            sum.add(&piece);
        }
        Snapshot::new(sum, seen.above())
    }

    /// All looks, in parts for `is_current`; `None` if they would prove nothing.
    pub fn into_trace(self) -> Option<Trace> {
        if !self.remembers || self.doubtful.into_inner() {
            return None;
        }
        let seen = self.seen.into_inner().unpoisoned();
        let mut seen = seen;
        let mut kinds = std::mem::take(&mut seen.kinds);
        // If a listed folder has not changed, neither has the kind of any entry in it.
        kinds.retain(|path, _| !seen.listed.contains(parent(path)));
        for path in kinds.keys() {
            seen.widen(parent(path));
        }
        let Looks {
            mut pieces,
            within,
            mounts,
            ..
        } = seen;
        let mut last: Option<(&[u8], Vec<u8>)> = None;
        for (path, kind) in &kinds {
            let folder = parent(path);
            let name = path[folder.len()..].strip_prefix(b"/").unwrap_or(path);
            let sight = kind.map_or(Sight::Absent, Sight::Kind);
            match &mut last {
                Some((of, piece)) if *of == folder => put_entry(piece, name, sight),
                _ => {
                    let mut piece = begin(folder, None);
                    put_entry(&mut piece, name, sight);
                    pieces.extend(last.replace((folder, piece)).map(|(_, piece)| piece));
                }
            }
        }
        pieces.extend(last.map(|(_, piece)| piece));
        for folder in mounts.values() {
            let mount = mount(Path::new(OsStr::from_bytes(folder)))?;
            let mut piece = begin(folder, None);
            put_entry(&mut piece, b"", Sight::Mount(mount));
            pieces.push(piece);
        }
        let within = within?;
        for piece in &mut pieces {
            shorten(piece, within.len());
        }
        sort(&mut pieces);
        pieces.insert(0, within);
        Some(pieces)
    }

    fn seen(&self) -> MutexGuard<'_, Looks> {
        self.seen.lock().unpoisoned()
    }
}

/// Reads a whole file and records its metadata with the tracer.
pub fn read_file(path: &Utf8Path, tracer: &Tracer<'_>) -> io::Result<Vec<u8>> {
    read_and(path, tracer, Tracer::read_file)
}

/// The same of a file of this program's own state.
pub fn read_own_file(path: &Utf8Path, tracer: &Tracer<'_>) -> io::Result<Vec<u8>> {
    read_and(path, tracer, Tracer::read_own_file)
}

fn read_and<'t>(
    path: &Utf8Path,
    tracer: &Tracer<'t>,
    record: impl FnOnce(&Tracer<'t>, &Path, Meta),
) -> io::Result<Vec<u8>> {
    let mut file = state::open(path)?;
    let before = Meta::of(&rustix::fs::fstat(&file)?);
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    if before == Meta::of(&rustix::fs::fstat(&file)?) {
        record(tracer, path.as_std_path(), before);
    } else {
        tracer.doubt();
    }
    Ok(bytes)
}
