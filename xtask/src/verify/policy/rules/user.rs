//! Which user an image runs as, what that user can read, and what nobody else must be able to
//! change.

use std::collections::{BTreeMap, BTreeSet};

use super::super::subject::User;
use super::Breaches;
use crate::graphfile::spec::policy::{Policy, Rule};
use crate::report::words;
use crate::verify::finding::Origin;
use crate::verify::layers::{Node, shown};

/// Programs that distributions ship with setuid or setgid, and that a user's session needs.
const SETUID: [&str; 17] = [
    "usr/bin/chage",
    "usr/bin/chfn",
    "usr/bin/chsh",
    "usr/bin/expiry",
    "usr/bin/gpasswd",
    "usr/bin/mount",
    "usr/bin/newgrp",
    "usr/bin/passwd",
    "usr/bin/su",
    "usr/bin/umount",
    "usr/sbin/unix_chkpwd",
    "bin/mount",
    "bin/su",
    "bin/umount",
    "sbin/unix_chkpwd",
    "bin/bbsuid",
    "usr/bin/wall",
];

/// Files that only root reads on purpose, and files that no program of the image needs.
const ROOTS_OWN: [&str; 17] = [
    "etc/shadow",
    "etc/gshadow",
    "etc/.pwd.lock",
    "etc/sudoers",
    "etc/ssl/private",
    "etc/ssh",
    "var/cache",
    "var/lib/apt",
    "var/lib/dpkg",
    "var/lib/private",
    "var/log",
    "var/spool",
    "run",
    "tmp",
    "proc",
    "sys",
    "dev",
];

impl Breaches<'_, '_> {
    pub(super) fn readable(&mut self) {
        let subject = self.subject;
        let facts = &subject.image.facts;
        if let User::Unknown(name) = &subject.user {
            self.add(
                Rule::Readable,
                None,
                format!("the user `{name}` is not in the image, so no container of it starts"),
                "add the user in the Dockerfile, or write USER with a number",
            );
            return;
        }
        let name = facts.entrypoint.first().or(facts.cmd.first());
        match name.map(|name| (name, subject.program(name))) {
            None | Some((_, Some(_))) => {}
            Some((name, None)) => self.add(
                Rule::Readable,
                None,
                format!("the entry program `{name}` is not in the image"),
                "copy it, or correct ENTRYPOINT and CMD",
            ),
        }
        for path in self.programs() {
            if !subject.may(&path, 1) {
                let at = subject.view.get(&path).map(|node| node.place.layer);
                self.add(
                    Rule::Readable,
                    at.map(|layer| (layer, &path[..])),
                    format!("{} cannot run it", self.who()),
                    "give it the permission bits 0755, and the folders above it as well",
                );
            }
        }
        let folder = facts.working_dir.trim_matches('/').as_bytes().to_vec();
        if !folder.is_empty()
            && let Some(real) = subject.view.resolve(&folder)
            && subject.view.get(&real).is_some()
            && !subject.may(&real, 5)
        {
            let layer = subject.view.get(&real).map_or(0, |node| node.place.layer);
            self.add(
                Rule::Readable,
                Some((layer, &real)),
                format!("{} cannot enter the working folder", self.who()),
                "give it to the user with --chown, or to all with --chmod=0755",
            );
        }
        self.unreadable_files();
    }

    /// Files that the stage itself added and that the image's user cannot read.
    fn unreadable_files(&mut self) {
        let subject = self.subject;
        let is_own = |node: &Node| subject.made(node).from == Origin::Own;
        let mut by_layer: BTreeMap<usize, (Vec<u8>, usize)> = BTreeMap::new();
        for (path, node) in subject.view.nodes() {
            let entry = subject.view.entry(node.content.unwrap_or(node.place));
            if !is_own(node) || !entry.is_file() || is_roots_own(path) || subject.may(path, 4) {
                continue;
            }
            let first = by_layer
                .entry(node.place.layer)
                .or_insert_with(|| (path.to_vec(), 0));
            first.1 += 1;
        }
        for (layer, (path, count)) in by_layer {
            let more = match count {
                1 => String::new(),
                _ => format!(
                    ", nor {} more of this layer",
                    words::count(count - 1, "file")
                ),
            };
            let (why, remedy) = match self.closed_above(&path) {
                None => (
                    String::new(),
                    "COPY it with --chown or --chmod, or install it where everybody may read: not below /root",
                ),
                // BuildKit of Docker 28 gives folders that `COPY --chmod` makes the file's mode
                // (tried: 28.5.2).
                Some(folder) => (
                    format!(", as it may not enter the folder {folder}"),
                    "make the folder in an earlier step, with a mode of its own: if COPY --chmod makes the folder, newer releases of Docker give it the mode of the file",
                ),
            };
            self.add(
                Rule::Readable,
                Some((layer, &path)),
                format!("{} cannot read the file{more}{why}", self.who()),
                remedy,
            );
        }
    }

    /// The first folder above a path that the user may not enter.
    fn closed_above(&self, path: &[u8]) -> Option<String> {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let mut folders = slashes.map(|(end, _)| &path[..end]);
        let closed = folders.find(|folder| !self.subject.may(folder, 1))?;
        Some(format!("/{}", shown(closed)))
    }

    fn who(&self) -> String {
        let name = &self.subject.image.facts.user;
        match self.subject.user {
            User::Ids { uid, gid, .. } if name.is_empty() => format!("the user {uid}:{gid}"),
            User::Ids { uid, gid, .. } => format!("the user `{name}` ({uid}:{gid})"),
            User::Unknown(_) => format!("the user `{name}`"),
        }
    }

    pub(super) fn root(&mut self) {
        if !matches!(self.subject.user, User::Ids { uid: 0, .. }) {
            return;
        }
        let user = &self.subject.image.facts.user;
        let how = if user.is_empty() {
            "no USER is set".to_owned()
        } else {
            format!("USER is `{user}`")
        };
        self.add(
            Rule::Root,
            None,
            format!("its containers run as root: {how}"),
            "end the Dockerfile with USER and a number other than 0",
        );
    }

    pub(super) fn writable_path(&mut self) {
        let subject = self.subject;
        let mut seen = BTreeSet::new();
        for folder in subject.path() {
            let Some(real) = subject.view.resolve(&folder) else {
                continue;
            };
            self.writable_folder(
                &real,
                0,
                "everybody may write into this folder of PATH",
                &mut seen,
            );
            // A user who may write there can replace the folder on PATH. With the sticky bit set,
            // only the folder's owner can.
            let above = real.iter().enumerate().filter(|(_, byte)| **byte == b'/');
            let above: Vec<&[u8]> = above.map(|(end, _)| &real[..end]).collect();
            for folder in above {
                let message =
                    "everybody may write into this folder, which contains a folder of PATH";
                self.writable_folder(folder, 0o1000, message, &mut seen);
            }
        }
    }

    /// Reports a folder that everybody may write into, unless it has one of these bits.
    fn writable_folder(
        &mut self,
        path: &[u8],
        without: u16,
        message: &str,
        seen: &mut BTreeSet<Vec<u8>>,
    ) {
        let subject = self.subject;
        let Some(node) = subject.view.get(path) else {
            return;
        };
        let entry = subject.view.entry(node.place);
        let is_open = entry.mode & 0o002 != 0 && entry.mode & without == 0;
        if entry.is_folder() && is_open && seen.insert(path.to_vec()) {
            self.add(
                Rule::WritablePath,
                Some((node.place.layer, path)),
                message,
                "take the bit away with chmod o-w, or the folder from PATH",
            );
        }
    }

    pub(super) fn setuid(&mut self, policy: &Policy) {
        let subject = self.subject;
        let allowed: BTreeSet<&[u8]> = SETUID
            .iter()
            .map(|path| path.as_bytes())
            .chain(policy.setuid.iter().flatten().map(String::as_bytes))
            .collect();
        for (path, node) in subject.view.nodes() {
            let entry = subject.view.entry(node.content.unwrap_or(node.place));
            if entry.is_file() && entry.mode & 0o6000 != 0 && !allowed.contains(path) {
                let bit = if entry.mode & 0o4000 != 0 {
                    "setuid"
                } else {
                    "setgid"
                };
                self.add(
                    Rule::Setuid,
                    Some((node.place.layer, path)),
                    format!("the file has the {bit} bit ({:04o})", entry.mode),
                    "take the bit away with chmod, or list the file in `setuid` of the policy",
                );
            }
        }
    }
}

fn is_roots_own(path: &[u8]) -> bool {
    let is_below = |folder: &str| {
        path.strip_prefix(folder.as_bytes())
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'/' | b'-')))
    };
    // Files that a shell or a tool keeps for root alone: `.cache`, `.bashrc`, `.npm`.
    let is_roots_dot = path.strip_prefix(b"root/.").is_some_and(|rest| {
        let name = rest.split(|byte| *byte == b'/').next().unwrap_or_default();
        name != b"local" && name != b"venv"
    });
    is_roots_dot || ROOTS_OWN.iter().any(|folder| is_below(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_root_reads_on_purpose_is_no_breach_and_packages_below_root_are() {
        for path in [
            "etc/shadow",
            "etc/shadow-",
            "root/.cache/x",
            "var/log/x",
            "root/.bashrc",
        ] {
            assert!(is_roots_own(path.as_bytes()), "{path}");
        }
        for path in ["root/.local/lib/x", "root/app/x", "etc/shadowed", "app/x"] {
            assert!(!is_roots_own(path.as_bytes()), "{path}");
        }
    }
}
