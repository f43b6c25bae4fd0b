//! The probe that starts a service under a random uid with gid 0 and a read-only root, as clusters
//! start containers.
//!
//! If that fails, the folders that the running service writes to show what it needs.

use std::collections::BTreeSet;
use std::time::Instant;

use camino::Utf8Path;

use super::{Ground, ProbeVerdict, shortened};
use crate::verify::stack::trials::TrialKind;

/// How many folders and lines are shown.
const MOST: usize = 6;

impl Ground<'_> {
    pub(super) fn uid(&self, at: usize, service: &str, until: Instant) -> ProbeVerdict {
        let Some((TrialKind::Uid(uid), id)) = self.trial(at) else {
            return ProbeVerdict::not_checked("no second container was made");
        };
        let as_whom = format!("as uid {uid} with gid 0 and a read-only root");
        let why = match self.try_out(service, id, until) {
            Ok(Ok(_)) => return ProbeVerdict::passed(format!("it starts {as_whom}")),
            Ok(Err(why)) => why,
            Err(verdict) => return verdict,
        };
        let mut message = format!("`{service}` does not start {as_whom}: {why}");
        let said = self.refusals(id);
        if said.is_empty() {
            message.push_str(&self.last_lines(id));
        } else {
            message.push_str(&format!("; it says: {}", said.join(" / ")));
        }
        let written = self.written(service);
        if !written.is_empty() {
            let written: Vec<String> = written.into_iter().take(MOST).collect();
            message.push_str(&format!(
                "; when run as usual, it writes to {}: give these folders gid 0 in the image, and make them volumes or list them in `writable` of this probe",
                written.join(", ")
            ));
        }
        ProbeVerdict::failed(message)
    }

    /// Lines of a log that report a failed write.
    fn refusals(&self, id: &str) -> Vec<String> {
        const SIGNS: [&str; 5] = [
            "read-only file system",
            "permission denied",
            "operation not permitted",
            "erofs",
            "eacces",
        ];
        let container = self.container_of(id).ok();
        let log = container.and_then(|container| self.engine.log(&container, Some(200)).ok());
        let log = log.unwrap_or_default();
        let mut found = Vec::new();
        for line in log.lines() {
            let small = line.to_lowercase();
            let line = shortened(line);
            if SIGNS.iter().any(|sign| small.contains(sign)) && !found.contains(&line) {
                found.push(line);
            }
        }
        found.truncate(3);
        found
    }

    /// The folders outside its volumes that the running service has written to.
    fn written(&self, service: &str) -> BTreeSet<String> {
        let container = self.container(service).ok();
        let changes = container.and_then(|container| {
            let changes = self.engine.changes(&container.id).ok()?;
            let mounts = container.mounts.into_iter().map(|mount| mount.destination);
            Some((changes, mounts.collect::<Vec<_>>()))
        });
        let (changes, mounts) = changes.unwrap_or_default();
        folders(changes, &mounts)
    }
}

/// The folders in which something was added or changed. The engine also lists a folder because of
/// its content, and a mount point because of its mount.
fn folders(changes: Vec<(char, String)>, mounts: &[String]) -> BTreeSet<String> {
    let paths: BTreeSet<&str> = changes.iter().map(|(_, path)| path.as_str()).collect();
    let has_children = |path: &str| {
        let inner = format!("{path}/");
        paths
            .range(inner.as_str()..)
            .next()
            .is_some_and(|next| next.starts_with(&inner))
    };
    let is_of_mount = |path: &str| {
        mounts.iter().any(|mount| {
            Utf8Path::new(path).starts_with(mount) || Utf8Path::new(mount).starts_with(path)
        })
    };
    let leaves = paths
        .iter()
        .filter(|path| !has_children(path) && !is_of_mount(path));
    leaves
        .filter_map(|path| Utf8Path::new(path).parent())
        .map(ToString::to_string)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_told_by_its_folders() {
        let changes = [
            ('C', "/app"),
            ('A', "/app/logs"),
            ('A', "/app/logs/a.log"),
            ('A', "/app/logs/b.log"),
            ('C', "/run"),
            ('A', "/run/x.pid"),
            ('A', "/data"),
            ('C', "/var"),
            ('C', "/var/lib"),
            ('A', "/var/lib/db"),
        ];
        let changes = changes.map(|(kind, path)| (kind, path.to_owned())).to_vec();
        let mounts = ["/data".to_owned(), "/var/lib/db".to_owned()];
        let found: Vec<_> = folders(changes, &mounts).into_iter().collect();
        assert_eq!(found, ["/app/logs", "/run"]);
    }
}
