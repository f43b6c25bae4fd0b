//! A project with a few stages, the changes that can happen to it, and the content that its images
//! must have.
//!
//! `lib` is built on `base`, and `app` on `lib`. `side` has a context overlay and a host command.
//! Everything that changes has few states, so old keys and old records come back.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use super::truth::{self, Entries, Images};
use crate::support::random::Random;
use crate::{Project, docker_says, project, unique, with_base};

const FOLDERS: usize = 4;
const FILES: usize = 25;
/// The stages that change, each in the folder of its name.
const STAGES: [&str; 3] = ["lib", "app", "side"];
/// The names at the roots of the images, without those of `base`.
const NAMES: [&str; 5] = ["lib", "made", "app", "side", "out"];

pub struct World {
    pub project: Project,
    host: String,
    prefix: String,
    images: Images,
    /// How often a stage was called fresh and really was.
    pub proven: u64,
}

impl World {
    pub fn new(host: &str) -> Self {
        let prefix = unique("kill");
        let graph = format!(
            "version = 1\n\
             [stage.base]\ncontext = \"base\"\n\
             [stage.lib]\ncontext = \"lib\"\nfrom = \"base\"\nimage = \"{prefix}/lib\"\n\
             [stage.app]\ncontext = \"app\"\nfrom = \"lib\"\nimage = \"{prefix}/app\"\n\
             [stage.side]\ncontext = \"side\"\nimage = \"{prefix}/side\"\noverlays = [\"patch\"]\n\
             [stage.side.prepare]\ndir = \"side\"\nrun = [\"sh\", \"make.sh\"]\n\
             inputs = [\"make.sh\", \"in\"]\noutputs = [\"out\"]\n"
        );
        // The host command is slow, and leaves half a file if it is killed halfway.
        let make = "{ cat in; sleep 0.05; cat in; } > out\n";
        let project = with_base(project(host))
            .file("build-graph.toml", graph)
            .file(
                "lib/Dockerfile",
                "FROM base\nCOPY src /lib\nRUN cp -a /lib /made\n",
            )
            .file("app/Dockerfile", "FROM lib\nCOPY src /app\n")
            .file(
                "side/Dockerfile",
                "FROM scratch\nCOPY src /side\nCOPY out /out\n",
            )
            .file("side/make.sh", make)
            .file("side/in", "A\n")
            .file("patch/src/d0/f0", "A patch\n");
        for stage in STAGES {
            for folder in 0..FOLDERS {
                for file in 0..FILES {
                    let path = format!("{stage}/src/d{folder}/f{file}");
                    project.write(&path, format!("{prefix} {path}\n"));
                }
            }
            project.write(&format!("{stage}/src/d0/moves"), "");
            symlink("d0", project.path(&format!("{stage}/src/link"))).unwrap();
        }
        Self {
            project,
            host: host.to_owned(),
            prefix,
            images: Images::of(host),
            proven: 0,
        }
    }

    /// Changes something, or nothing at all. Returns a description.
    pub fn change(&self, random: &mut Random) -> String {
        let stage = random.one_of(&STAGES);
        let at = |inner: &str| self.project.path(&format!("{stage}/src/{inner}"));
        match random.below(12) {
            0..=4 => {
                let path = format!("{stage}/src/d{}/f{}", random.below(2), random.below(2));
                self.flip(&path)
            }
            5 => {
                let path = at("d0/f2");
                let mode = fs::metadata(&path).unwrap().permissions().mode() ^ 0o111;
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
                format!("{stage}/src/d0/f2 has the mode {mode:o}")
            }
            6 => {
                let was = fs::read_link(at("link")).unwrap();
                let target = if was == Path::new("d0") { "d1" } else { "d0" };
                fs::remove_file(at("link")).unwrap();
                symlink(target, at("link")).unwrap();
                format!("{stage}/src/link points to {target}")
            }
            7 => {
                let moved = fs::rename(at("d0/moves"), at("d1/moves"))
                    .or_else(|_| fs::rename(at("d1/moves"), at("d0/moves")));
                moved.unwrap();
                format!("{stage}/src/d0/moves is there: {}", at("d0/moves").exists())
            }
            8 => {
                let empty = at("empty");
                let done = fs::create_dir(&empty).or_else(|_| fs::remove_dir(&empty));
                done.unwrap();
                format!("{stage}/src/empty is there: {}", empty.exists())
            }
            9 => self.flip(random.one_of(&["side/in", "patch/src/d0/f0"])),
            10 => {
                let tags = ["image", "inspect", "--format", "{{join .RepoTags \" \"}}"];
                let image = self.image(stage);
                let found = docker_says(&self.host, &[&tags[..], &[&image]].concat());
                let found = found.unwrap_or_default();
                for tag in found.split(' ').filter(|tag| !tag.is_empty()) {
                    // The call of a killed build may be moving the name at this moment.
                    let _ = docker_says(&self.host, &["image", "rm", "--force", tag]);
                }
                format!("{image} is removed")
            }
            _ => {
                let (from, to) = (self.image("side"), self.image(stage));
                let done = docker_says(&self.host, &["image", "tag", &from, &to]);
                format!("{to} is what {from} is: {}", done.is_ok())
            }
        }
    }

    /// Gives a file the other of its two contents. Both have the same length, so only times show
    /// the change.
    fn flip(&self, path: &str) -> String {
        let was = fs::read_to_string(self.project.path(path)).unwrap();
        let now = if was.starts_with('A') { 'B' } else { 'A' };
        let prefix = &self.prefix;
        self.project.write(path, format!("{now} of {prefix}\n"));
        format!("{path} is {now}")
    }

    fn image(&self, stage: &str) -> String {
        format!("{}/{stage}:latest", self.prefix)
    }

    /// Gives every stage a new content.
    pub fn change_everything(&self) {
        for stage in STAGES {
            self.project
                .write(&format!("{stage}/src/d0/f1"), unique("last"));
        }
        self.project.write("side/in", unique("last"));
    }

    /// The entries that the image of a stage must have.
    fn wanted(&self, stage: &str) -> Entries {
        let of = |inner: &str, name| truth::folder(&self.project.path(inner), name);
        match stage {
            "lib" => {
                let mut entries = of("lib/src", "lib");
                entries.extend(of("lib/src", "made"));
                entries
            }
            "app" => {
                let mut entries = self.wanted("lib");
                entries.extend(of("app/src", "app"));
                entries
            }
            "side" => {
                let mut entries = of("side/src", "side");
                entries.extend(of("patch/src", "side"));
                let made = fs::read_to_string(self.project.path("side/in"))
                    .unwrap()
                    .repeat(2);
                let out = truth::Entry::File {
                    executable: false,
                    content: made,
                };
                entries.insert("out".to_owned(), out);
                entries
            }
            _ => Entries::new(),
        }
    }

    /// Runs `plan`, which must succeed without a message. The stages that it calls fresh must be
    /// fresh. Returns the verdicts.
    pub fn look(&mut self) -> BTreeMap<String, String> {
        let ran = self.project.run(&["plan", "--json"]).ends(0);
        assert_eq!(ran.stderr, "", "plan complains of the state");
        let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
        let mut verdicts = BTreeMap::new();
        for told in plan["stages"].as_array().unwrap() {
            let (stage, verdict) = (told["stage"].as_str().unwrap(), told["verdict"].as_str());
            verdicts.insert(stage.to_owned(), verdict.unwrap().to_owned());
            if verdict == Some("fresh") {
                let wanted = self.wanted(stage);
                let image = told["image"].as_str().unwrap();
                let held = self.images.entries(image, &NAMES);
                assert_same(stage, &wanted, held);
                self.proven += 1;
            }
        }
        verdicts
    }

    /// The files of the state, as they are now.
    pub fn state(&self) -> Vec<StateFile> {
        let mut files = Vec::new();
        below(&self.project.path("state"), &mut files);
        files
    }

    /// The number of unfinished files.
    pub fn halfway(&self) -> usize {
        let unfinished = self.unfinished();
        let names = unfinished.iter().filter_map(|path| path.file_name());
        names
            .filter(|name| name.as_encoded_bytes().starts_with(b"."))
            .count()
    }

    /// The unfinished files, and the folders of calls that never ended.
    pub fn unfinished(&self) -> Vec<PathBuf> {
        let beside = fs::read_dir(self.project.path("")).unwrap().flatten();
        let beside = beside.map(|entry| entry.path());
        let state = self.state().into_iter().map(|file| file.path);
        beside
            .chain(state)
            .filter(|path| is_unfinished(path))
            .collect()
    }
}

/// A file of the state, with the properties that change when it is written.
#[derive(Debug, PartialEq, Eq)]
pub struct StateFile {
    path: PathBuf,
    size: u64,
    modified: SystemTime,
    inode: u64,
}

/// Whether a path is unfinished. The folder of a call and a context that is being merged are
/// unfinished as long as they exist. `.gitignore` exists from the start.
fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    let of_a_call = path
        .parent()
        .is_some_and(|folder| folder.ends_with("calls"));
    name.starts_with('.') && name != ".gitignore" || of_a_call
}

/// All files below a folder. Logs and merged contexts are left out, as no verdict depends on them.
fn below(folder: &Path, files: &mut Vec<StateFile>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        // A file that is gone meanwhile was finished.
        let Ok(meta) = fs::symlink_metadata(&path) else {
            continue;
        };
        if meta.is_dir() && !is_unfinished(&path) {
            if name != "logs" && !path.ends_with("merged/side") {
                below(&path, files);
            }
        } else if name != "build.lock" {
            files.push(StateFile {
                size: meta.len(),
                modified: meta.modified().unwrap(),
                inode: meta.ino(),
                path,
            });
        }
    }
}

#[track_caller]
fn assert_same(stage: &str, wanted: &Entries, held: &Entries) {
    for (path, entry) in wanted {
        assert_eq!(
            Some(entry),
            held.get(path),
            "FALSE SKIP: {path} in the image of `{stage}`"
        );
    }
    for path in held.keys() {
        assert!(
            wanted.contains_key(path),
            "FALSE SKIP: {path} is in the image of `{stage}`"
        );
    }
}
