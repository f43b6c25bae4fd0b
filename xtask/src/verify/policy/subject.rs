//! One image of a stage, ready to be judged: who put each layer there, which user the image runs
//! as, and what that user may do.

use std::sync::Arc;

use crate::verify::finding::Origin;
use crate::verify::layers::{Layer, LayeredImage, MemberKind, Node, View};
use dockerfile::Step;

use super::content::ACCOUNTS;

/// The PATH of an image that sets none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Who made a layer, and the line of the Dockerfile that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MadeBy {
    /// Who made the layer.
    pub from: Origin,
    /// The line of the stage's own Dockerfile.
    pub line: Option<usize>,
}

/// The user that an image runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// A user with these numbers.
    Ids {
        /// The number of the user.
        uid: u32,
        /// The number of the group.
        gid: u32,
        /// The groups that list the user as a member. Engines add them if USER names no group.
        more: Vec<u32>,
    },
    /// A name that the image does not know. Its containers cannot start.
    Unknown(String),
}

/// An image with everything that rules ask about.
pub struct Subject<'i> {
    /// The image as it was read.
    pub image: &'i LayeredImage,
    /// Its file system.
    pub view: View<'i>,
    /// The maker of each layer.
    pub made: Vec<MadeBy>,
    /// The user that the image runs as.
    pub user: User,
}

impl<'i> Subject<'i> {
    /// `steps` are the instructions of the stage's own Dockerfile. `below` are the layers of the
    /// image that it stands on, each with the origin that made it.
    pub fn new(
        image: &'i LayeredImage,
        steps: Option<&[Step]>,
        below: &[(Arc<Layer>, Origin)],
    ) -> Self {
        let view = View::of(&image.layers);
        let user = user(image, &view);
        Self {
            image,
            made: made(image, steps, below),
            user,
            view,
        }
    }

    /// The folders of PATH, without leading slashes.
    pub fn path(&self) -> Vec<Vec<u8>> {
        let set = self.variable("PATH").unwrap_or(DEFAULT_PATH);
        let folders = set.split(':').filter(|folder| folder.starts_with('/'));
        folders
            .map(|folder| folder.trim_matches('/').as_bytes().to_vec())
            .collect()
    }

    /// The value of an environment variable.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let mut env = self.image.facts.env.iter().rev();
        env.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }

    /// The path, without a leading slash, of a program as a container starts it: by its path, or by
    /// its name on PATH. `None` if there is no such program.
    pub fn program(&self, name: &str) -> Option<Vec<u8>> {
        if name.contains('/') {
            let path = match name.strip_prefix('/') {
                Some(path) => path.to_owned(),
                None => {
                    let folder = self.image.facts.working_dir.trim_matches('/');
                    format!("{folder}/{name}")
                }
            };
            let real = self.view.resolve(clean(&path).as_bytes())?;
            return self.view.get(&real).map(|_| real);
        }
        self.path().into_iter().find_map(|folder| {
            let path = [&folder[..], b"/", name.as_bytes()].concat();
            let real = self.view.resolve(&path)?;
            let node = self.view.get(&real)?;
            let entry = self.view.entry(node.content.unwrap_or(node.place));
            (entry.is_file() && entry.mode & 0o111 != 0).then_some(real)
        })
    }

    /// Whether the user may do this with the entry at a path: read is 4, write 2, execute 1. The
    /// user must be able to enter every folder on the way.
    pub fn may(&self, path: &[u8], bits: u16) -> bool {
        let folders = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        folders
            .map(|(end, _)| &path[..end])
            .all(|folder| self.has_bits(folder, 1))
            && self.has_bits(path, bits)
    }

    fn has_bits(&self, path: &[u8], bits: u16) -> bool {
        let User::Ids { uid, gid, more } = &self.user else {
            return false;
        };
        // If no layer has an entry for a folder, engines make one that everybody may enter.
        let Some(node) = self.view.get(path) else {
            return true;
        };
        let entry = self.view.entry(node.content.unwrap_or(node.place));
        if matches!(entry.kind, MemberKind::Symlink { .. }) {
            return true;
        }
        if *uid == 0 {
            return bits & 1 == 0 || entry.is_folder() || entry.mode & 0o111 != 0;
        }
        let shift = if entry.uid == *uid {
            6
        } else if entry.gid == *gid || more.contains(&entry.gid) {
            3
        } else {
            0
        };
        entry.mode >> shift & bits == bits
    }

    /// Who made the entry of a path.
    pub fn made(&self, node: &Node) -> MadeBy {
        self.made[node.place.layer]
    }
}

/// Go's `path.Clean` of a relative path.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The makers of all layers. The history is compared with the Dockerfile from the end: the last
/// step made the last entry.
fn made(
    image: &LayeredImage,
    steps: Option<&[Step]>,
    below: &[(Arc<Layer>, Origin)],
) -> Vec<MadeBy> {
    let history = &image.facts.history;
    let steps = steps.unwrap_or_default();
    let pairs = history.iter().enumerate().rev().zip(steps.iter().rev());
    let own: Vec<(usize, usize)> = pairs
        .take_while(|((_, entry), step)| keyword(&entry.created_by) == step.keyword)
        .map(|((at, _), step)| (at, step.line))
        .collect();
    let numbers = image.facts.instructions();
    let mut all = Vec::with_capacity(image.layers.len());
    for (at, layer) in image.layers.iter().enumerate() {
        let line = numbers.get(at).copied().flatten().and_then(|number| {
            let mut own = own.iter();
            own.find(|(entry, _)| *entry == number)
                .map(|(_, line)| *line)
        });
        let of_parent = below
            .get(at)
            .filter(|(parent, _)| parent.diff_id == layer.diff_id);
        let from = match (of_parent, line) {
            (Some((_, Origin::Base)), _) => Origin::Base,
            (Some(_), _) => Origin::Parent,
            (None, Some(_)) => Origin::Own,
            // Below the stage's first own step there is only the external image. If no step is
            // known, the origin is unknown too, and the stage answers for what it ships.
            (None, None) if own.is_empty() => Origin::Own,
            (None, None) => Origin::Base,
        };
        let line = line.filter(|_| from == Origin::Own);
        all.push(MadeBy { from, line });
    }
    all
}

/// The instruction that a line of the history stands for.
fn keyword(created_by: &str) -> String {
    let line = created_by.trim_start();
    // The builder before BuildKit wrote `/bin/sh -c #(nop)  CMD […]`.
    let line = line
        .strip_prefix("/bin/sh -c #(nop)")
        .map_or(line, str::trim_start);
    let word = line.split_whitespace().next().unwrap_or_default();
    if word.starts_with("/bin/sh") || word.starts_with('|') {
        return "RUN".to_owned();
    }
    word.to_uppercase()
}

fn user(image: &LayeredImage, view: &View<'_>) -> User {
    let (name, group) = match image.facts.user.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (image.facts.user.as_str(), None),
    };
    let fields = |kind: &str, path: &[u8]| -> Vec<Vec<String>> {
        let real = view.resolve(path);
        let node = real.and_then(|real| view.get(&real));
        let place = node.and_then(|node| node.content);
        let Some(place) = place else {
            return Vec::new();
        };
        let layer = &image.layers[place.layer];
        let findings = layer.findings.iter();
        let accounts = findings.filter(|seen| seen.rule == ACCOUNTS);
        accounts
            .flat_map(|seen| &seen.found)
            .filter(|found| found.what == kind && found.entry == place.entry)
            .map(|found| found.note.split(':').map(str::to_owned).collect())
            .collect()
    };
    let users = fields("user", b"etc/passwd");
    let number = |field: Option<&String>| field.and_then(|field| field.parse::<u32>().ok());
    // As engines do: the first line with the name or the number. A field that is no number counts
    // as 0.
    let wanted = name.parse::<i64>().ok();
    let wanted = wanted.and_then(|number| u32::try_from(number).ok());
    let mut known = users.iter();
    let known =
        known.find(|user| user[0] == name || wanted.is_some() && number(user.get(2)) == wanted);
    let (uid, own_gid) = match (known, wanted) {
        _ if name.is_empty() => (0, Some(0)),
        (Some(user), _) => (
            number(user.get(2)).unwrap_or(0),
            Some(number(user.get(3)).unwrap_or(0)),
        ),
        (None, Some(uid)) => (uid, None),
        (None, None) => return User::Unknown(name.to_owned()),
    };
    let groups = fields("group", b"etc/group");
    let mut more = Vec::new();
    let gid = match group {
        None => {
            // Members are listed by the name in the first line, or by the name that was asked for.
            let own = known.map_or(name, |user| user[0].as_str());
            let has = |group: &&Vec<String>| {
                let members = group.get(3).map_or("", String::as_str);
                members.split(',').any(|member| member == own)
            };
            let all = groups.iter().filter(has);
            more.extend(all.filter_map(|group| number(group.get(2))));
            own_gid.unwrap_or(0)
        }
        Some(group) => {
            let named = groups.iter().find(|known| known[0] == group);
            let named = named.and_then(|known| number(known.get(2)));
            match named.or_else(|| group.parse().ok()) {
                Some(gid) => gid,
                None => return User::Unknown(format!("{name}:{group}")),
            }
        }
    };
    User::Ids { uid, gid, more }
}
