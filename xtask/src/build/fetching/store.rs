//! The folder of one source: git's objects, and beside them a tree for each commit.
//!
//! A tree gets its name only once it is whole. It has no `.git`: nothing can be committed in it by
//! mistake, and a compiler that looks for a repository writes nothing of it into its output.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use crate::graphfile::source::{self, tree};
use crate::outside::git::{self, Trouble};
use crate::outside::interrupt::Interrupt;

/// The names of unfinished trees begin with this.
const NEW: &str = ".new-";
/// A depth larger than the history of any repository, so git fetches all of it (git-fetch(1),
/// `--depth`, `--unshallow`).
const ALL: &str = "--depth=2147483647";

/// The folder of one source. Only one process at a time may have it open.
#[derive(Debug)]
pub struct SourceStore<'a> {
    folder: Utf8PathBuf,
    interrupt: &'a Interrupt,
}

impl<'a> SourceStore<'a> {
    /// Opens the folder, and removes what a killed process left unfinished.
    pub fn open(folder: Utf8PathBuf, interrupt: &'a Interrupt) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(NEW) {
                fs::remove_dir_all(entry.path())?;
            } else if name.starts_with("objects") {
                remove_unfinished(&entry.path())?;
            }
        }
        Ok(Self { folder, interrupt })
    }

    /// The tree of a commit, if it is there.
    pub fn tree(&self, commit: &str) -> Option<Utf8PathBuf> {
        source::tree_of(&self.folder, commit)
    }

    /// Whether all objects of a commit were fetched.
    pub fn has(&self, commit: &str) -> Result<bool, Trouble> {
        if !self.objects(commit).is_dir() {
            return Ok(false);
        }
        let mut command = self.git(commit);
        command.args(["rev-parse", "--verify", "--quiet"]);
        command.arg(format!("{}^{{commit}}", kept(commit)));
        match git::run(command, self.interrupt, |_| {}) {
            Ok(said) => Ok(said.trim_ascii() == commit.as_bytes()),
            Err(Trouble::Failed(_)) => Ok(false),
            Err(trouble) => Err(trouble),
        }
    }

    /// Fetches one commit without its history. Gives `false` if the repository does not have the
    /// commit.
    ///
    /// Some servers do not give single commits. Then `reference`, a name under which the repository
    /// may have the commit, is fetched. If that name has moved on, all of its history is fetched;
    /// if there is no name, all branches and tags are.
    pub fn fetch(
        &self,
        url: &str,
        commit: &str,
        reference: Option<&str>,
        watch: &dyn Fn(&str),
    ) -> Result<bool, Trouble> {
        self.init(commit)?;
        let kept = kept(commit);
        match self.fetch_one(url, commit, commit, watch) {
            Ok(()) => return self.has(commit),
            Err(Trouble::Failed(why)) if does_not_have(&why) => return Ok(false),
            Err(Trouble::Failed(why)) if gives_names_only(&why) => {}
            Err(trouble) => return Err(trouble),
        }
        if let Some(reference) = reference {
            self.fetch_one(url, commit, reference, watch)?;
            if self.has(commit)? {
                return Ok(true);
            }
        }
        let everything = match reference {
            Some(reference) => vec![format!("+{reference}:refs/xtask-tip")],
            None => ["heads", "tags"]
                .map(|kind| format!("+refs/{kind}/*:refs/xtask-{kind}/*"))
                .into(),
        };
        self.fetch_these(url, commit, ALL, &everything, watch)?;
        let mut keep = self.git(commit);
        keep.args(["update-ref", &kept, commit]);
        match git::run(keep, self.interrupt, |_| {}) {
            Ok(_) => self.has(commit),
            Err(Trouble::Failed(_)) => Ok(false),
            Err(trouble) => Err(trouble),
        }
    }

    fn fetch_one(
        &self,
        url: &str,
        commit: &str,
        what: &str,
        watch: &dyn Fn(&str),
    ) -> Result<(), Trouble> {
        let refspec = format!("+{what}:{}", kept(commit));
        self.fetch_these(url, commit, "--depth=1", &[refspec], watch)
    }

    fn fetch_these(
        &self,
        url: &str,
        commit: &str,
        depth: &str,
        refspecs: &[String],
        watch: &dyn Fn(&str),
    ) -> Result<(), Trouble> {
        let mut command = self.git(commit);
        command
            // A pack is synced to the disk as one file; unpacked, it would be thousands of files.
            .args(["-c", "fetch.unpackLimit=1"])
            .args(["fetch", "--progress", "--no-tags", "--no-write-fetch-head"])
            .args([depth, "--", url])
            .args(refspecs);
        git::run(command, self.interrupt, watch).map(drop)
    }

    /// Makes the tree of a fetched commit, whole or not at all.
    pub fn check_out(&self, commit: &str) -> Result<Utf8PathBuf, CheckOut> {
        let new = tempfile::Builder::new()
            .prefix(NEW)
            .tempdir_in(&self.folder)?;
        let home = Utf8Path::from_path(new.path()).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "the folder's name is not UTF-8",
            )
        })?;
        let inside = home.join("tree");
        fs::create_dir(&inside)?;
        let mut command = git::isolated(home);
        command
            .args(["-c", "core.autocrlf=false", "-c", "core.symlinks=true"])
            .args(["-c", "checkout.workers=0"])
            .arg(format!("--git-dir={}", self.objects(commit)))
            .arg(format!("--work-tree={inside}"))
            .args(["read-tree", "-u", "--reset", commit])
            .env("GIT_INDEX_FILE", home.join("index"))
            .current_dir(&inside);
        git::run(command, self.interrupt, |_| {})?;
        same_modes_everywhere(&inside)?;
        // After a crash of the machine the tree's name must not stand for empty files.
        rustix::fs::syncfs(fs::File::open(&inside)?).map_err(io::Error::from)?;
        let tree = self.folder.join(commit);
        // Something that is not a folder, or `tree` would have found it.
        if tree.symlink_metadata().is_ok_and(|meta| !meta.is_dir()) {
            fs::remove_file(&tree)?;
        }
        fs::rename(&inside, &tree)?;
        Ok(tree)
    }

    /// Removes all fetched objects of the commit's kind; trees stay.
    pub fn forget(&self, commit: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.objects(commit)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether `git fsck` finds no damage in the fetched objects.
    pub fn is_sound(&self, commit: &str) -> Result<bool, Trouble> {
        let mut command = self.git(commit);
        command.args(["fsck", "--no-dangling", "--no-progress"]);
        match git::run(command, self.interrupt, |_| {}) {
            Ok(_) => Ok(true),
            Err(Trouble::Failed(_)) => Ok(false),
            Err(trouble) => Err(trouble),
        }
    }

    fn objects(&self, commit: &str) -> Utf8PathBuf {
        source::objects(&self.folder, commit)
    }

    fn git(&self, commit: &str) -> Command {
        let mut command = git::command();
        command.arg(format!("--git-dir={}", self.objects(commit)));
        command
    }

    fn init(&self, commit: &str) -> Result<(), Trouble> {
        let mut command = git::command();
        // No template: a template may bring hooks and settings that are not ours.
        command.args(["init", "--quiet", "--bare", "--template="]);
        if is_sha256(commit) {
            command.arg("--object-format=sha256");
        }
        command.arg(self.objects(commit).as_str());
        git::run(command, self.interrupt, |_| {}).map(drop)
    }
}

/// Why a tree could not be made.
#[derive(Debug)]
pub enum CheckOut {
    /// Git failed.
    Git(Trouble),
    /// The disk failed.
    Disk(io::Error),
}

impl From<Trouble> for CheckOut {
    fn from(trouble: Trouble) -> Self {
        Self::Git(trouble)
    }
}

impl From<io::Error> for CheckOut {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// The reference that keeps a commit. Git sets it once all objects of the commit are there.
fn kept(commit: &str) -> String {
    format!("refs/xtask/{commit}")
}

fn is_sha256(commit: &str) -> bool {
    commit.len() == 64
}

/// Whether the server looked for the commit and does not have it (git's upload-pack.c).
fn does_not_have(why: &str) -> bool {
    why.contains("not our ref")
}

/// Whether the server gives only commits that a reference points to: git's own words, and those of
/// servers in Java.
fn gives_names_only(why: &str) -> bool {
    why.contains("unadvertised object") || why.contains("not valid")
}

/// Removes what a killed git leaves: locks, which would stop the next git for ever, and parts of
/// packs.
fn remove_unfinished(objects: &Path) -> io::Result<()> {
    let mut folders = vec![objects.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if name.ends_with(".lock") || name.starts_with("tmp_") {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

/// Sets the permission bits that git would set with umask 022. They are in the key and in the
/// image, and git takes all of them but one from the umask.
fn same_modes_everywhere(root: &Utf8Path) -> io::Result<()> {
    tree::walk(root.as_std_path(), &mut |path, meta| {
        let mode = meta.permissions().mode();
        let wanted = if meta.is_dir() || mode & 0o100 != 0 {
            0o755
        } else {
            0o644
        };
        if meta.is_symlink() || mode & 0o7777 == wanted {
            return Ok(());
        }
        fs::set_permissions(path, fs::Permissions::from_mode(wanted))
    })
}
