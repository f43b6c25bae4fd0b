//! The content of volumes before anything starts, and the files that containers are given.
//!
//! A volume that replaces a folder of the user's gets the files that belong to the checkout: those
//! that git tracks, or would track. Data that a running stack wrote there stays where it is.

use std::io::{Error, Result, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use camino::Utf8Path;

use super::filling::{FileContent, Filling, PrivateFile};
use crate::outside::git;
use crate::outside::interrupt::Interrupt;

/// No configuration is larger than this. A larger folder is data, and its volume starts empty.
const MOST_BYTES: u64 = 64 << 20;
const MOST_FILES: usize = 20_000;

/// Writes the files of a run.
pub(super) fn write_files(files: &[PrivateFile]) -> Result<()> {
    for file in files {
        let about = |error: Error| Error::other(format!("{}: {error}", file.path));
        if let Some(folder) = file.path.parent() {
            std::fs::create_dir_all(folder).map_err(about)?;
        }
        match &file.content {
            // The copy keeps the permissions, as an entrypoint must be executable.
            FileContent::Copy(from) => {
                std::fs::copy(from, &file.path)
                    .map_err(|error| Error::other(format!("{from}: {error}")))?;
            }
            FileContent::Text(text) => {
                std::fs::write(&file.path, text).map_err(about)?;
                // Only the user may enter the folder above. In a container any user may read the
                // file.
                let permissions = std::fs::Permissions::from_mode(0o444);
                std::fs::set_permissions(&file.path, permissions).map_err(about)?;
            }
        }
    }
    Ok(())
}

/// The content of a volume as a tar archive. `None` if the volume starts empty. `is_fetched` marks
/// a tree to which only git has written.
pub(super) fn archive(
    filling: &Filling,
    is_fetched: bool,
    interrupt: &Interrupt,
) -> Result<Option<Vec<u8>>> {
    let mut tar = Tar::default();
    match filling {
        Filling::RootOwned(inner) => {
            let mut folder = PathBuf::new();
            for part in inner.components() {
                folder.push(part.as_str());
                tar.entry(&folder, &Meta::of_root(b'5', 0o755, 0), &[])?;
            }
            let file = folder.join("left-by-an-earlier-release");
            tar.entry(&file, &Meta::of_root(b'0', 0o644, 0), &[])?;
        }
        Filling::Folder { path, for_group } => {
            let own = if is_fetched {
                None
            } else {
                of_checkout(path, interrupt)
            };
            let names = match own {
                Some(names) => names,
                None => everything(path.as_std_path())?,
            };
            let Some(names) = bounded(path, names) else {
                return Ok(None);
            };
            for name in &names {
                add(&mut tar, path, name, *for_group)?;
            }
        }
    }
    Ok(tar.finish())
}

/// The files of a folder that belong to a checkout. `None` if the folder is in no checkout.
fn of_checkout(folder: &Utf8Path, interrupt: &Interrupt) -> Option<Vec<PathBuf>> {
    let mut command = git::command();
    command.current_dir(folder);
    command.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let said = git::run(command, interrupt, |_| ()).ok()?;
    let names = said
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    let mut all: Vec<PathBuf> = names
        .map(|name| PathBuf::from(std::ffi::OsStr::from_bytes(name)))
        .collect();
    all.sort();
    all.dedup();
    Some(all)
}

fn everything(root: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(folder) = open.pop() {
        for entry in root.join(&folder).read_dir()? {
            let entry = entry?;
            let name = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                open.push(name.clone());
            }
            all.push(name);
            if all.len() > MOST_FILES {
                return Ok(all);
            }
        }
    }
    all.sort();
    Ok(all)
}

/// The names, unless there are too many files or bytes to copy.
fn bounded(root: &Utf8Path, names: Vec<PathBuf>) -> Option<Vec<PathBuf>> {
    let size = |name: &PathBuf| {
        let meta = root.as_std_path().join(name).symlink_metadata();
        meta.map_or(0, |meta| meta.len())
    };
    let is_small = names.len() <= MOST_FILES && names.iter().map(size).sum::<u64>() <= MOST_BYTES;
    is_small.then_some(names)
}

fn add(tar: &mut Tar, root: &Utf8Path, name: &Path, for_group: bool) -> Result<()> {
    let path = root.as_std_path().join(name);
    // A file that git lists but that was deleted is not copied.
    let Ok(meta) = path.symlink_metadata() else {
        return Ok(());
    };
    let kind = meta.file_type();
    let mut header = Meta {
        kind: b'0',
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        time: u64::try_from(meta.mtime()).unwrap_or(0),
    };
    if for_group {
        header.gid = 0;
        header.mode |= if kind.is_dir() { 0o070 } else { 0o060 };
    }
    if kind.is_dir() {
        header.kind = b'5';
        tar.entry(name, &header, &[])
    } else if kind.is_symlink() {
        header.kind = b'2';
        let target = std::fs::read_link(&path)?;
        tar.link(name, &header, &target)
    } else if kind.is_file() {
        tar.entry(name, &header, &std::fs::read(&path)?)
    } else {
        Ok(())
    }
}

/// The fields of a tar header besides name and size.
struct Meta {
    kind: u8,
    mode: u32,
    uid: u32,
    gid: u32,
    time: u64,
}

impl Meta {
    const fn of_root(kind: u8, mode: u32, time: u64) -> Self {
        Self {
            kind,
            mode,
            uid: 0,
            gid: 0,
            time,
        }
    }
}

/// An archive in the ustar format, with GNU's entries for long names.
#[derive(Default)]
struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    fn entry(&mut self, name: &Path, meta: &Meta, content: &[u8]) -> Result<()> {
        self.put(name.as_os_str().as_bytes(), meta, b"", content)
    }

    fn link(&mut self, name: &Path, meta: &Meta, target: &Path) -> Result<()> {
        let target = target.as_os_str().as_bytes();
        self.put(name.as_os_str().as_bytes(), meta, target, &[])
    }

    fn put(&mut self, name: &[u8], meta: &Meta, target: &[u8], content: &[u8]) -> Result<()> {
        for (kind, long) in [(b'L', name), (b'K', target)] {
            if long.len() > 100 {
                let long = [long, b"\0"].concat();
                let meta = Meta::of_root(kind, 0o644, 0);
                self.header(b"././@LongLink", &meta, b"", long.len())?;
                self.content(&long)?;
            }
        }
        self.header(name, meta, target, content.len())?;
        self.content(content)
    }

    fn header(&mut self, name: &[u8], meta: &Meta, target: &[u8], size: usize) -> Result<()> {
        let mut block = [0; 512];
        let mut put = |at: usize, length: usize, text: &[u8]| {
            let length = length.min(text.len());
            block[at..at + length].copy_from_slice(&text[..length]);
        };
        put(0, 100, name);
        put(100, 8, format!("{:07o}", meta.mode).as_bytes());
        put(108, 8, format!("{:07o}", meta.uid & 0o7_777_777).as_bytes());
        put(116, 8, format!("{:07o}", meta.gid & 0o7_777_777).as_bytes());
        put(124, 12, format!("{size:011o}").as_bytes());
        put(136, 12, format!("{:011o}", meta.time).as_bytes());
        put(148, 8, b"        ");
        put(156, 1, &[meta.kind]);
        put(157, 100, target);
        put(257, 8, b"ustar  \0");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        let sum = format!("{sum:06o}\0 ");
        block[148..156].copy_from_slice(sum.as_bytes());
        self.bytes.write_all(&block)
    }

    fn content(&mut self, content: &[u8]) -> Result<()> {
        self.bytes.write_all(content)?;
        let rest = content.len() % 512;
        if rest > 0 {
            self.bytes.write_all(&[0; 512][rest..])?;
        }
        Ok(())
    }

    fn finish(mut self) -> Option<Vec<u8>> {
        if self.bytes.is_empty() {
            return None;
        }
        self.bytes.extend_from_slice(&[0; 1024]);
        Some(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn listed(archive: &[u8]) -> String {
        let mut tar = Command::new("tar")
            .args(["-t", "-v", "--numeric-owner", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        tar.stdin.take().unwrap().write_all(archive).unwrap();
        let output = tar.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    }

    fn folder() -> (tempfile::TempDir, camino::Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().to_owned();
        (folder, path)
    }

    fn of(path: &Utf8Path, is_fetched: bool, for_group: bool) -> Option<String> {
        let path = path.to_owned();
        let filling = Filling::Folder { path, for_group };
        let archive = archive(&filling, is_fetched, &Interrupt::default()).unwrap();
        archive.map(|archive| listed(&archive))
    }

    #[test]
    fn a_folder_is_copied_with_long_names_links_and_permissions() {
        let (_kept, root) = folder();
        let long = format!("d/{}", "n".repeat(150));
        std::fs::create_dir(root.join("d")).unwrap();
        std::fs::write(root.join(&long), vec![b'x'; 700]).unwrap();
        std::fs::write(root.join("run.sh"), "").unwrap();
        let permissions = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(root.join("run.sh"), permissions).unwrap();
        std::os::unix::fs::symlink("t".repeat(120), root.join("link")).unwrap();
        let listed = of(&root, true, false).unwrap();
        assert!(
            listed.contains(&long) && listed.contains(" 700 "),
            "{listed}"
        );
        assert!(
            listed.contains(&format!("link -> {}", "t".repeat(120))),
            "{listed}"
        );
        assert!(
            listed
                .lines()
                .any(|line| line.starts_with("-rwxr-xr-x") && line.ends_with("run.sh"))
        );
        let for_group = of(&root, true, true).unwrap();
        assert!(
            for_group
                .lines()
                .any(|line| line.starts_with("drwxrwxr-x") && line.contains("/0 ")),
            "{for_group}"
        );
    }

    #[test]
    fn of_a_checkout_only_what_git_would_track_is_copied() {
        let (_kept, root) = folder();
        let git = |arguments: &[&str]| {
            let status = git::command().current_dir(&root).args(arguments).status();
            assert!(status.unwrap().success());
        };
        git(&["init", "--quiet"]);
        for (name, text) in [(".gitignore", "data\n"), ("conf", "1"), ("new", "2")] {
            std::fs::write(root.join(name), text).unwrap();
        }
        std::fs::create_dir(root.join("data")).unwrap();
        std::fs::write(root.join("data/rows"), "a user's").unwrap();
        git(&["add", "conf"]);
        let listed = of(&root, false, false).unwrap();
        assert!(
            listed.contains("conf") && listed.contains("new"),
            "{listed}"
        );
        assert!(!listed.contains("data/rows"), "{listed}");
        assert_eq!(of(&root.join("data"), false, false), None);
        // A fetched tree contains nothing of the user's.
        assert!(
            of(&root.join("data"), true, false)
                .unwrap()
                .contains("rows")
        );
    }

    #[test]
    fn what_an_earlier_release_left_belongs_to_root() {
        let filling = Filling::RootOwned("a/b".into());
        let archive = archive(&filling, false, &Interrupt::default()).unwrap();
        let listed = listed(&archive.unwrap());
        assert!(
            listed.lines().all(|line| line.contains(" 0/0 ")),
            "{listed}"
        );
        assert!(
            listed.contains("a/b/left-by-an-earlier-release"),
            "{listed}"
        );
    }
}
