//! The probe for a file or folder that a service's user can write to.
//!
//! The engine is asked, not a shell, as many images have none: it gives the path as a tar archive,
//! whose head has owner and permissions. A second container tries the path on a volume that root
//! owns.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use camino::Utf8Path;

use super::{Ground, ProbeVerdict, shortened};
use crate::outside::engine::Container;
use crate::verify::stack::child::Effect;

/// The owner of a file, and its permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owned {
    uid: u32,
    gid: u32,
    mode: u32,
}

/// The user that a service runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
struct User {
    uid: u32,
    gids: Vec<u32>,
}

impl Ground<'_> {
    pub(super) fn file(
        &self,
        at: usize,
        service: &str,
        path: &str,
        until: Instant,
    ) -> ProbeVerdict {
        let verdict = self.until_it_works(until, || {
            let container = match self.container(service) {
                Ok(container) => container,
                Err(verdict) => return Ok(verdict),
            };
            match self.writable(&container, path) {
                Ok(Ok(said)) => Ok(ProbeVerdict::passed(said)),
                Ok(Err(wrong)) => Err(wrong),
                Err(verdict) => Ok(verdict),
            }
        });
        let Some((_, id)) = self.trial(at) else {
            return verdict;
        };
        if verdict.outcome != super::StackOutcome::Passed {
            return verdict;
        }
        let on_such = "on a volume that root owns, as an earlier release left it";
        let tried = match self.try_out(service, id, until) {
            Ok(tried) => tried,
            Err(verdict) => return verdict,
        };
        let wrong = match tried {
            Ok(container) => match self.writable(&container, path) {
                Ok(Ok(said)) => {
                    return ProbeVerdict::passed(format!("{said}; the same holds {on_such}"));
                }
                Ok(Err(wrong)) => wrong,
                Err(verdict) => return verdict,
            },
            Err(why) => format!("{why}{}", self.last_lines(id)),
        };
        ProbeVerdict::failed(format!("{on_such}, `{service}` fails: {wrong}"))
    }

    /// The last lines of a second container's log, for a sentence.
    pub(super) fn last_lines(&self, id: &str) -> String {
        let container = self.container_of(id);
        let log = container
            .ok()
            .and_then(|container| self.engine.log(&container, Some(3)).ok());
        match log.map(|log| shortened(&log)).filter(|log| !log.is_empty()) {
            Some(log) => format!("; it says: {log}"),
            None => String::new(),
        }
    }

    /// Whether a container's user can write to a path. Both answers are sentences.
    fn writable(
        &self,
        container: &Container,
        path: &str,
    ) -> Result<Result<String, String>, ProbeVerdict> {
        let Some(user) = self.user(container)? else {
            return Err(ProbeVerdict::not_checked(
                "the user that its program runs as is not known",
            ));
        };
        let Some(owned) = self.owned(container, path)? else {
            return Ok(Err(format!("there is no {path} in the container")));
        };
        if is_read_only(container, path) {
            return Ok(Err(format!("{path} is mounted read-only")));
        }
        Ok(judge(&user, owned, path))
    }

    /// The user of a container's first process. `None` if it is not known.
    fn user(&self, container: &Container) -> Result<Option<User>, ProbeVerdict> {
        let ids = self.engine.process_ids(container);
        match ids {
            Ok(Some((uid, gid, mut gids))) => {
                gids.push(gid);
                return Ok(Some(User { uid, gids }));
            }
            Ok(None) => {}
            Err(_) if self.live.is_over() => return Err(ProbeVerdict::halted()),
            Err(fault) => return Err(ProbeVerdict::not_checked(fault.to_string())),
        }
        // The engine's machine has no `ps`. Numbers are enough; a name would need the image's
        // accounts.
        let (uid, gid) = match container.config.user.split_once(':') {
            Some((uid, gid)) => (uid, gid),
            None => (container.config.user.as_str(), "0"),
        };
        let uid = if uid.is_empty() { "0" } else { uid };
        let parsed = uid.parse().ok().zip(gid.parse().ok());
        Ok(parsed.map(|(uid, gid)| User {
            uid,
            gids: vec![gid],
        }))
    }

    /// The owner of a path in a container. `None` if there is no such path.
    fn owned(&self, container: &Container, path: &str) -> Result<Option<Owned>, ProbeVerdict> {
        let mut docker = Command::new("docker");
        docker.args(["cp", "--follow-link"]);
        docker.arg(format!("{}:{path}", container.id)).arg("-");
        docker
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let child = self.live.spawn(&mut docker, Effect::Asks);
        let mut child = match child {
            Ok(Some(child)) => child,
            Ok(None) => return Err(ProbeVerdict::halted()),
            Err(error) => {
                return Err(ProbeVerdict::not_checked(format!(
                    "cannot run `docker`: {error}"
                )));
            }
        };
        // Only the head is needed. The content of the whole folder would follow.
        let head = child.stdout.take().and_then(head);
        self.live.end(&mut child);
        Ok(head)
    }
}

/// The first entry of an archive.
fn head(mut archive: impl std::io::Read) -> Option<Owned> {
    loop {
        let mut block = [0; 512];
        archive.read_exact(&mut block).ok()?;
        let number = |at: usize, length: usize| -> Option<u64> {
            let text = &block[at..at + length];
            if text[0] & 0x80 != 0 {
                // GNU's form for large numbers.
                let tail = text.last_chunk::<8>()?;
                return Some(u64::from_be_bytes(*tail) & !(1 << 63));
            }
            let text = std::str::from_utf8(text).ok()?;
            let text = text.trim_matches(['\0', ' ']);
            u64::from_str_radix(if text.is_empty() { "0" } else { text }, 8).ok()
        };
        let size = number(124, 12)?;
        // Entries that describe the next entry, as PAX and GNU write them.
        if matches!(block[156], b'x' | b'g' | b'L' | b'K') {
            let length = size.div_ceil(512) * 512;
            let skipped = std::io::copy(&mut archive.by_ref().take(length), &mut std::io::sink());
            if skipped.ok()? < length {
                return None;
            }
            continue;
        }
        return Some(Owned {
            uid: u32::try_from(number(108, 8)?).ok()?,
            gid: u32::try_from(number(116, 8)?).ok()?,
            mode: u32::try_from(number(100, 8)?).ok()? & 0o7777,
        });
    }
}

fn is_read_only(container: &Container, path: &str) -> bool {
    let path = Utf8Path::new(path);
    let above = container
        .mounts
        .iter()
        .filter(|mount| path.starts_with(&mount.destination));
    match above.max_by_key(|mount| mount.destination.len()) {
        Some(mount) => !mount.writable,
        None => container.host_config.readonly_rootfs,
    }
}

fn judge(user: &User, owned: Owned, path: &str) -> Result<String, String> {
    let Owned { uid, gid, mode } = owned;
    let runs = user.uid;
    if runs == 0 {
        return Ok(format!("{path} is written to by root"));
    }
    let in_group = user.gids.contains(&gid);
    let whose = format!("{path} belongs to {uid}:{gid} with mode {mode:04o}");
    let who = format!("the service runs as uid {runs}");
    let bit = if uid == runs {
        0o200
    } else if in_group {
        0o020
    } else {
        0o002
    };
    if mode & bit == 0 {
        return Err(format!("{whose}, and {who}, which may not write there"));
    }
    if uid != runs && !in_group {
        return Err(format!(
            "{whose}, and {who}, which may write there only as everybody may"
        ));
    }
    Ok(format!("{whose}, and {who}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_write_is_told_from_owner_group_and_mode() {
        let user = User {
            uid: 1001,
            gids: vec![1001, 0],
        };
        let of = |uid, gid, mode| judge(&user, Owned { uid, gid, mode }, "/data");
        assert!(of(1001, 1001, 0o755).is_ok());
        assert!(of(0, 0, 0o775).is_ok());
        let wrong = of(0, 0, 0o755).unwrap_err();
        assert!(wrong.contains("belongs to 0:0 with mode 0755"), "{wrong}");
        assert!(wrong.contains("uid 1001"), "{wrong}");
        assert!(of(1001, 5, 0o555).is_err());
        assert!(
            of(5, 5, 0o777)
                .unwrap_err()
                .contains("only as everybody may")
        );
        let root = User {
            uid: 0,
            gids: vec![0],
        };
        assert!(
            judge(
                &root,
                Owned {
                    uid: 5,
                    gid: 5,
                    mode: 0
                },
                "/data"
            )
            .is_ok()
        );
    }

    #[test]
    fn the_head_of_an_archive_says_who_owns_it() {
        let mut tar = Command::new("tar")
            .args([
                "-c",
                "--owner=:1234",
                "--group=:99",
                "--mode=0750",
                "--format=pax",
            ])
            .args([
                "--pax-option=comment:=x",
                "-C",
                "/",
                "--no-recursion",
                "-f",
                "-",
                "tmp",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let owned = head(tar.stdout.take().unwrap()).unwrap();
        tar.wait().unwrap();
        assert_eq!((owned.uid, owned.gid, owned.mode), (1234, 99, 0o750));
        assert_eq!(head(&b""[..]), None);
    }
}
