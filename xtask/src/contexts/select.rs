//! Which parts of a context an instruction takes, as BuildKit resolves it.
//!
//! A source may have wildcards, and any of its folders may be a link. BuildKit follows links
//! without ever leaving the context. `walk` reads the parts.

use std::collections::{BTreeMap, HashSet, VecDeque};

use rayon::prelude::*;
use rustix::fs::{CWD, FileType};

use super::InputsError;
use super::tree::{Pile, TreeEntry};
use super::walk::{Sieve, Walk, join};
use dockerfile::Need;
use dockerignore::Glob;
use dockerignore::{Above, Ignore};

/// BuildKit gives up after this many links.
const MOST_LINKS: usize = 255;

/// One name of a source's path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Part {
    Name(Vec<u8>),
    /// A pattern, with its text if BuildKit may take that for a name.
    Glob(Glob, Option<Vec<u8>>),
    /// Everything from here on is taken, since the text does not decide it name by name.
    All,
}

/// A source that is being resolved, from the root to what it names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Way {
    /// The place that it has reached, without links.
    at: Vec<u8>,
    rest: VecDeque<Part>,
    links: usize,
}

/// Reads what the needs select, and the links on the way there. Returns why the whole context
/// counts, if a need that names a part of it takes all of it.
pub fn take(walk: &Walk<'_>, needs: &[Need]) -> Result<Option<String>, InputsError> {
    let mut because = None;
    let mut places: BTreeMap<Vec<u8>, Vec<Option<usize>>> = BTreeMap::new();
    let mut excludes = Vec::new();
    for need in needs {
        let exclude = if need.exclude.is_empty() {
            None
        } else {
            let refused = |why| InputsError::Exclude {
                line: need.line,
                why,
            };
            excludes.push(Ignore::of_patterns(&need.exclude).map_err(refused)?);
            Some(excludes.len() - 1)
        };
        let widens = parts(need).contains(&Part::All);
        for place in resolve(walk, need)? {
            if widens && place.is_empty() && because.is_none() {
                because = Some(format!(
                    "the pattern `{}` of line {} may take files across folders",
                    String::from_utf8_lossy(&need.path).escape_debug(),
                    need.line
                ));
            }
            let of = places.entry(place).or_default();
            if !of.contains(&exclude) {
                of.push(exclude);
            }
        }
    }
    let whole: HashSet<&[u8]> = places
        .iter()
        .filter(|(_, excludes)| excludes.contains(&None))
        .map(|(place, _)| &place[..])
        .collect();
    let taken: Vec<_> = places
        .par_iter()
        // A place inside one that is taken whole comes with it.
        .filter(|(place, _)| !folders_above(place).any(|outer| whole.contains(outer)))
        .map(|(place, of)| take_place(walk, place, of, &excludes))
        .collect();
    taken.into_iter().collect::<Result<(), InputsError>>()?;
    Ok(because)
}

/// Reads what lies at a place, once for each list of `--exclude` patterns that it is taken with.
fn take_place(
    walk: &Walk<'_>,
    place: &[u8],
    of: &[Option<usize>],
    excludes: &[Ignore],
) -> Result<(), InputsError> {
    let Some((found, above)) = descend(walk, place)? else {
        return Ok(());
    };
    let of = if of.contains(&None) { &[None] } else { of };
    for exclude in of {
        let exclude = exclude.map(|at| {
            let from = if place.is_empty() { 0 } else { place.len() + 1 };
            (&excludes[at], from, Above::default())
        });
        walk.take(
            place,
            &found,
            &Sieve {
                ignore: above.clone(),
                exclude,
            },
        )?;
    }
    Ok(())
}

/// The places that a need names, with links followed. The links themselves are taken on the way.
fn resolve(walk: &Walk<'_>, need: &Need) -> Result<Vec<Vec<u8>>, InputsError> {
    let start = |rest| Way {
        at: Vec::new(),
        rest,
        links: 0,
    };
    let written = parts(need);
    let mut ways = vec![start(collapsed(&written)), start(written)];
    let mut seen: HashSet<Way> = ways.iter().cloned().collect();
    let mut places = Vec::new();
    while let Some(way) = ways.pop() {
        let mut go = |next: Way| {
            if seen.insert(next.clone()) {
                ways.push(next);
            }
        };
        step(walk, way, &mut places, &mut go)?;
    }
    places.sort();
    places.dedup();
    Ok(places)
}

fn step(
    walk: &Walk<'_>,
    mut way: Way,
    places: &mut Vec<Vec<u8>>,
    go: &mut impl FnMut(Way),
) -> Result<(), InputsError> {
    let names = match way.rest.pop_front() {
        None | Some(Part::All) => {
            places.push(way.at);
            return Ok(());
        }
        Some(Part::Name(name)) if name == b".." => {
            way.at.truncate(super::walk::parent(&way.at).len());
            go(way);
            return Ok(());
        }
        Some(Part::Name(name)) => vec![name],
        Some(Part::Glob(glob, text)) => {
            let Some((TreeEntry::Folder(pile), _)) = descend(walk, &way.at)? else {
                return Ok(());
            };
            let listing = walk.tree.list(&way.at, &pile)?;
            for listed in &listing.folders {
                let nothing = std::iter::empty();
                let tracer = walk.tree.tracer();
                tracer.read(&listed.disk, Some(&listed.meta), nothing);
            }
            let names = listing.entries.iter().map(|(name, _)| name.to_bytes());
            names
                .filter(|name| glob.matches(name) || text.as_deref() == Some(*name))
                .map(<[u8]>::to_vec)
                .collect()
        }
    };
    for name in names {
        let path = join(&way.at, &name);
        let rest = way.rest.clone();
        match descend(walk, &path)? {
            Some((TreeEntry::Leaf(layer, FileType::Symlink), above)) => {
                let disk = walk.tree.on_disk(layer, &path);
                let target = rustix::fs::readlinkat(CWD, &disk, Vec::new())
                    .map_err(|why| InputsError::reading(&disk, why))?;
                let sieve = Sieve {
                    ignore: above,
                    exclude: None,
                };
                walk.take(&path, &TreeEntry::Leaf(layer, FileType::Symlink), &sieve)?;
                if way.links < MOST_LINKS {
                    let on = followed(&way.at, target.to_bytes(), rest, way.links + 1);
                    go(Way {
                        rest: collapsed(&on.rest),
                        ..on.clone()
                    });
                    go(on);
                }
            }
            Some((TreeEntry::Folder(_), _)) => go(Way {
                at: path,
                rest,
                links: way.links,
            }),
            Some((TreeEntry::Leaf(..), _)) if rest.is_empty() => places.push(path),
            Some((TreeEntry::Leaf(..), _)) | None => {}
        }
    }
    Ok(())
}

/// The same parts without `name/..`, whatever the name is. BuildKit cleans a link's text before it
/// looks, so it finds `a/../b` even if `a` is a file. If `a` is a link, the two ways differ, and
/// both are followed.
fn collapsed(parts: &VecDeque<Part>) -> VecDeque<Part> {
    let is_up = |part: &Part| matches!(part, Part::Name(name) if name == b"..");
    let mut left: VecDeque<Part> = VecDeque::new();
    for part in parts {
        let is_paired = is_up(part)
            && left
                .back()
                .is_some_and(|last| !is_up(last) && *last != Part::All);
        if is_paired {
            left.pop_back();
        } else {
            left.push_back(part.clone());
        }
    }
    left
}

/// The way on from a link in folder `at`.
fn followed(at: &[u8], target: &[u8], rest: VecDeque<Part>, links: usize) -> Way {
    let rooted = target.starts_with(b"/");
    let names = target
        .split(|byte| *byte == b'/')
        .filter(|name| !matches!(*name, b"" | b"."));
    let mut on: VecDeque<Part> = names.map(|name| Part::Name(name.to_vec())).collect();
    on.extend(rest);
    Way {
        at: if rooted { Vec::new() } else { at.to_vec() },
        rest: on,
        links,
    }
}

/// The parts of a need's path.
fn parts(need: &Need) -> VecDeque<Part> {
    let mut parts = VecDeque::new();
    for name in need
        .path
        .split(|byte| *byte == b'/')
        .filter(|name| !matches!(*name, b"" | b"."))
    {
        let special = need.wildcard && name.iter().any(|byte| b"*?[\\".contains(byte));
        if !special {
            parts.push_back(Part::Name(name.to_vec()));
            continue;
        }
        match Glob::parse(name) {
            Some(glob) if !glob.may_cross_folders() => {
                let text = (!has_wildcard(name)).then(|| name.to_vec());
                parts.push_back(Part::Glob(glob, text));
            }
            _ => {
                parts.push_back(Part::All);
                break;
            }
        }
    }
    parts
}

/// Whether BuildKit takes a name for a pattern (tonistiigi/fsutil `copy.containsWildcards`). To
/// BuildKit a name with nothing special but a backslash is a plain name, backslash and all, unless
/// a pattern stands before it.
fn has_wildcard(name: &[u8]) -> bool {
    let mut bytes = name.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => _ = bytes.next(),
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}

/// The entry at a path, and what the ignore file says of its folder. `None` if nothing is there, or
/// it is not sent.
fn descend(walk: &Walk<'_>, path: &[u8]) -> Result<Option<(TreeEntry, Above)>, InputsError> {
    let mut pile: Pile = walk.tree.root();
    let mut above = Above::default();
    if path.is_empty() {
        return Ok(Some((TreeEntry::Folder(pile), above)));
    }
    let ends = path
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'/')
        .map(|(at, _)| at);
    for end in ends {
        let folder = &path[..end];
        let (out, below) = walk.ignore.judge(folder, &above)?;
        if out.by_both() && !walk.ignore.may_reach_below(folder) {
            return Ok(None);
        }
        match walk.tree.find(folder, &pile)? {
            Some(TreeEntry::Folder(within)) => pile = within,
            _ => return Ok(None),
        }
        above = below;
    }
    let Some(found) = walk.tree.find(path, &pile)? else {
        return Ok(None);
    };
    let sent = match found {
        // An ignored folder may be sent for what is below it. The walk decides that.
        TreeEntry::Folder(_) => true,
        TreeEntry::Leaf(_, kind) => {
            let judged = walk.ignore.judge(path, &above)?.0;
            !judged.by_walk || kind == FileType::RegularFile && !judged.by_both()
        }
    };
    Ok(sent.then_some((found, above)))
}

/// All folders that contain the path, including the context's root. A place is looked up by these,
/// not compared with all others: there may be as many places as a Dockerfile has lines.
fn folders_above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let root = (!path.is_empty()).then_some(&path[..0]);
    root.into_iter().chain(slashes.map(|(end, _)| &path[..end]))
}
