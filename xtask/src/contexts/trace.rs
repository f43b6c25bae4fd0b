//! Recorded looks at trees as bytes, and the check that they give the same again.
//!
//! A trace begins with the folder that contains everything. Pieces follow, each of one folder and
//! some of its entries. `tracer` decides which looks prove anything.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rayon::prelude::*;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::meta::Meta;
use crate::outside::state;

/// From how many entries on it is cheaper to open their folder than to resolve its path for each.
const OPEN_FROM: usize = 24;

/// From how many bytes of pieces on other threads help. Waking a thread takes as long as some tens
/// of look-ups, and ten thousand stages of a few files each would wake ten thousand threads.
const SHARE_FROM: usize = 16 * 1024;

/// How many pieces a thread takes at a time.
const AT_ONCE: usize = 64;

/// All recorded looks: the folder that contains everything, then the pieces.
pub type Trace = Vec<Vec<u8>>;

/// A recorded look: how an entry must be found again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// Not there.
    Absent,
    /// Of this kind (the bits of `S_IFMT`). Its content was not looked at.
    Kind(u32),
    /// Not touched since.
    Same(Meta),
    /// A folder in this mount, see `mount`.
    Mount(MountId),
}

/// A hash over what identifies a mount.
pub(super) type MountId = [u8; 16];

/// The mount that a folder is reached by. `None` if another mount may have the same id.
pub(super) fn mount(folder: &Path) -> Option<MountId> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = rustix::fs::openat(CWD, folder, flags, Mode::empty()).ok()?;
    mount_of(&open)
}

fn mount_of(folder: impl AsFd) -> Option<MountId> {
    let told = state::mount(folder)?;
    blake3::hash(told.as_bytes())
        .as_bytes()
        .first_chunk()
        .copied()
}

/// Whether every recorded look gives the same again. Never true for bytes that are no trace.
pub fn is_current(parts: &[&[u8]]) -> bool {
    let Some((within, pieces)) = parts.split_first() else {
        return false;
    };
    // Paths are resolved from here, so that the folders above, which all share, are walked once.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(within) = rustix::fs::openat(CWD, *within, flags, Mode::empty()) else {
        return false;
    };
    let all_hold = |pieces: &[&[u8]]| pieces_hold(within.as_fd(), pieces).unwrap_or(false);
    if pieces.iter().map(|piece| piece.len()).sum::<usize>() < SHARE_FROM {
        all_hold(pieces)
    } else {
        pieces.par_chunks(AT_ONCE).all(all_hold)
    }
}

pub(super) fn begin(folder: &[u8], listed: Option<&Meta>) -> Vec<u8> {
    let mut piece = Vec::with_capacity(64 + folder.len());
    put_name(&mut piece, folder);
    piece.push(u8::from(listed.is_some()));
    if let Some(meta) = listed {
        meta.put(&mut piece);
    }
    piece
}

fn put_name(piece: &mut Vec<u8>, name: &[u8]) {
    // No path is longer than a few thousand bytes. A longer one would be cut, and found changed.
    let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
    piece.extend_from_slice(&length.to_le_bytes());
    piece.extend_from_slice(&name[..usize::from(length)]);
}

pub(super) fn put_entry(piece: &mut Vec<u8>, name: &[u8], sight: Sight) {
    put_name(piece, name);
    match sight {
        Sight::Absent => piece.push(0),
        Sight::Kind(kind) => {
            piece.push(1);
            piece.extend_from_slice(&kind.to_le_bytes());
        }
        Sight::Same(meta) => {
            piece.push(2);
            meta.put(piece);
        }
        Sight::Mount(mount) => {
            piece.push(3);
            piece.extend_from_slice(&mount);
        }
    }
}

/// Sorts pieces by folder. Folders in the same folder then stand side by side, and that folder is
/// opened once for all of them.
pub(super) fn sort(pieces: &mut [Vec<u8>]) {
    let folder = |piece: &Vec<u8>| take_name(&mut &piece[..]).map(<[u8]>::to_vec);
    pieces.sort_by_cached_key(folder);
}

/// Whether all looks of these pieces give the same again. `None` if the bytes are not what `begin`
/// and `put_entry` write.
fn pieces_hold(within: BorrowedFd<'_>, pieces: &[&[u8]]) -> Option<bool> {
    let mut open: Option<(&[u8], OwnedFd)> = None;
    let mut pieces = pieces.iter().copied().peekable();
    while let Some(mut piece) = pieces.next() {
        let folder = take_name(&mut piece)?;
        let (above, name) = split(folder);
        if open.as_ref().is_none_or(|(path, _)| *path != above) {
            let next = pieces.peek().and_then(|next| take_name(&mut &next[..]));
            let is_shared = !above.is_empty() && next.is_some_and(|next| split(next).0 == above);
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = is_shared.then(|| rustix::fs::openat(within, above, flags, Mode::empty()));
            // No reason to fail: the recorded look may be that nothing is there.
            open = opened.and_then(Result::ok).map(|opened| (above, opened));
        }
        let holds = match &open {
            Some((_, open)) => piece_holds(open.as_fd(), name, piece)?,
            None => piece_holds(within, folder, piece)?,
        };
        if !holds {
            return Some(false);
        }
    }
    Some(true)
}

/// The folder that a folder lies in, and its name there.
fn split(folder: &[u8]) -> (&[u8], &[u8]) {
    match folder.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&folder[..at], &folder[at + 1..]),
        None => (b"", folder),
    }
}

/// Whether the looks of a folder's piece, given without its path, give the same again.
fn piece_holds(within: BorrowedFd<'_>, folder: &[u8], mut piece: &[u8]) -> Option<bool> {
    let rest = &mut piece;
    let folder = if folder.is_empty() { b"." } else { folder };
    if take(rest, 1)? != [0] {
        let listed = Meta::get(take(rest, Meta::BYTES)?)?;
        if look(within, folder) != Ok(Some(listed)) {
            return Some(false);
        }
    }
    // A name that was only looked up may lie in a folder that does not exist.
    let open = if rest.len() > OPEN_FROM * Meta::BYTES {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(within, folder, flags, Mode::empty()).ok()
    } else {
        None
    };
    let mut path = [folder, b"/"].concat();
    let folder = path.len();
    while !rest.is_empty() {
        let name = take_name(rest)?;
        let found = if let Some(open) = &open {
            look(open, name)
        } else {
            path.truncate(folder);
            path.extend_from_slice(name);
            look(within, &path)
        };
        let same = match (take(rest, 1)?, found) {
            ([0], found) => found == Ok(None),
            ([1], found) => {
                let kind = u32::from_le_bytes(take(rest, 4)?.try_into().ok()?);
                found.is_ok_and(|found| found.is_some_and(|meta| meta.kind() == kind))
            }
            ([3], _) => {
                let mount: MountId = take(rest, size_of::<MountId>())?.try_into().ok()?;
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let open = rustix::fs::openat(within, &path[..], flags, Mode::empty());
                open.is_ok_and(|open| mount_of(open) == Some(mount))
            }
            (_, found) => found == Ok(Meta::get(take(rest, Meta::BYTES)?)),
        };
        if !same {
            return Some(false);
        }
    }
    Some(true)
}

/// The metadata of an entry; `None` if nothing is there.
fn look(folder: impl AsFd, name: &[u8]) -> Result<Option<Meta>, Errno> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(Meta::of(&stat))),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(why) => Err(why),
    }
}

fn take<'b>(bytes: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn take_name<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = u16::from_le_bytes(take(bytes, 2)?.try_into().ok()?);
    take(bytes, usize::from(length))
}

/// Removes this many bytes from the front of the folder's path, with which a piece begins.
pub(super) fn shorten(piece: &mut Vec<u8>, by: usize) {
    let Some(length) = piece
        .first_chunk()
        .map(|length| u16::from_le_bytes(*length))
    else {
        return;
    };
    let by = by.min(usize::from(length));
    piece.drain(2..2 + by);
    let left = usize::from(length) - by;
    piece[..2].copy_from_slice(&u16::try_from(left).unwrap_or_default().to_le_bytes());
}
