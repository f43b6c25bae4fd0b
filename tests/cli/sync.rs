//! `sync` with repositories of the tests' own: what is fetched, pinned, and refused.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Child;
use std::sync::Mutex;

use camino::Utf8PathBuf;
use xtask::interrupt::Interrupt;
use xtask::lock::Lock;
use xtask::spec::SourceId;
use xtask::state::State;
use xtask::sync::{Drift, Sync};

use crate::support::remote::{Remote, git};
use crate::support::{Project, Ran, interrupt};

/// A server that gives single commits, and one that gives only what has a name, as older ones do.
const SERVERS: [&str; 2] = ["", "[protocol]\nversion = 0\n"];

/// A project with one stage `a` from a source `s`.
pub struct World {
    pub project: Project,
    pub remote: Remote,
}

impl World {
    pub fn new() -> Self {
        Self::of(Remote::new(), "1.0", "")
    }

    /// A source at a revision, with further lines of its own.
    pub fn of(remote: Remote, rev: &str, lines: &str) -> Self {
        let project = Project::new();
        let settings = project.path("gitconfig").display().to_string();
        let world = Self {
            project: project
                .variable("DOCKER_HOST", "unix:///nonexistent/docker.sock")
                .variable("GIT_CONFIG_GLOBAL", &settings)
                .variable("GIT_CONFIG_NOSYSTEM", "1")
                .file("gitconfig", ""),
            remote,
        };
        world.graph(&world.remote.url(), rev, lines);
        world
    }

    pub fn graph(&self, url: &str, rev: &str, lines: &str) {
        let graph = format!(
            "version = 1\n[stage.a]\nsource = \"s\"\ncontext = \"api\"\n\
             [source.s]\ngit = \"{url}\"\nrev = \"{rev}\"\n{lines}\n"
        );
        self.project.write("build-graph.toml", graph);
    }

    pub fn sync(&self) -> Ran {
        self.project.run(&["sync"])
    }

    /// What the lock says of `s`.
    fn pinned(&self) -> Option<String> {
        let lock = fs::read_to_string(self.project.path("build-graph.lock")).ok()?;
        let line = lock.lines().find_map(|line| line.strip_prefix("commit = "));
        line.map(|commit| commit.trim_matches('"').to_owned())
    }

    /// The folder of `s` in the state.
    fn folder(&self) -> PathBuf {
        let graphs = fs::read_dir(self.project.path("state")).unwrap();
        let graph = graphs.map(|entry| entry.unwrap().path()).next().unwrap();
        graph.join("sources/s")
    }

    /// The trees that have their name, and nothing else but the objects.
    #[track_caller]
    fn trees(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.folder()).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "objects.git").collect()
    }

    fn tree(&self) -> PathBuf {
        self.folder().join(self.pinned().unwrap())
    }

    /// Forgets all that was fetched; the lock stays.
    fn on_another_machine(&self) {
        fs::remove_dir_all(self.project.path("state")).unwrap();
    }

    /// From now on, git writes down its calls, and goes through `script` before each.
    fn with_git(self, script: &str) -> Self {
        let calls = self.project.path("calls");
        let path = std::env::var("PATH").unwrap();
        let real = std::env::split_paths(&path).map(|folder| folder.join("git"));
        let real = real.into_iter().find(|file| file.is_file()).unwrap();
        let script = format!(
            "#!/bin/sh\necho \"$*\" >> {}\n{script}\nexec {} \"$@\"\n",
            calls.display(),
            real.display()
        );
        let bin = self.project.path("bin");
        let project = self.project.script("bin/git", &script).file("calls", "");
        Self {
            project: project.variable("PATH", &format!("{}:{path}", bin.display())),
            ..self
        }
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.project.path("calls")).unwrap()
    }

    /// What the server does in place of `git pack-objects`, whose arguments are in `$@`.
    fn with_server(&self, script: &str) {
        let hook = self.project.path("hook");
        self.project.write("hook", format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
        let settings = format!("[uploadpack]\npackObjectsHook = {}\n", hook.display());
        self.project.write("gitconfig", settings);
    }

    /// With a tag `large` that takes a while to be sent.
    fn large() -> Self {
        let remote = Remote::new();
        remote.write("noise", noise());
        remote.commit();
        remote.git(&["tag", "large"]);
        remote.push();
        Self::of(remote, "large", "")
    }
}

/// Bytes that cannot be compressed away.
fn noise() -> Vec<u8> {
    let mut seed = 1_u64;
    let bytes = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        seed.to_be_bytes()[0]
    });
    bytes.take(300_000).collect()
}

/// Reads until the program says something, and gives the rest of what it says.
#[track_caller]
fn until_said(child: &mut Child, text: &str) -> impl BufRead + use<> {
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while said.read_line(&mut line).unwrap() > 0 {
        if line.contains(text) {
            return said;
        }
        line.clear();
    }
    panic!("it never said {text:?}");
}

#[test]
fn an_annotated_tag_is_fetched_without_its_history_and_pinned_to_its_commit() {
    let remote = Remote::new();
    remote.write("api/src/two", "2\n");
    let commit = remote.commit();
    remote.git(&["tag", "--annotate", "--message=2.0", "2.0"]);
    remote.push();
    let world = World::of(remote, "2.0", "");
    let ran = world.sync().ends(0).says("is in the lock file now");
    assert!(ran.stdout.contains("s  fetched") && ran.stdout.contains(&commit));
    assert_eq!(world.pinned(), Some(commit.clone()));
    assert_eq!(world.trees(), BTreeSet::from([commit.clone()]));
    let objects = world.folder().join("objects.git");
    assert_eq!(git(&objects, &["rev-list", "--count", &commit]), "1");
    let content = fs::read_to_string(world.tree().join("api/src/two")).unwrap();
    assert_eq!(content, "2\n");
    assert!(!world.tree().join(".git").exists());
    let inputs = world.project.run(&["inputs", "a"]).ends(0).stdout;
    assert_eq!(inputs, "src/\nsrc/one\nsrc/two\n");
}

#[test]
fn what_is_here_is_neither_fetched_nor_asked_for_again() {
    let world = World::new().with_git("");
    world.sync().ends(0);
    let before = world.calls();
    assert!(before.contains("fetch"));
    let again = world.sync().ends(0);
    assert!(again.stdout.contains("s  here"), "{}", again.stdout);
    assert_eq!(world.calls(), before);
}

#[test]
fn a_tree_that_was_removed_is_made_again_without_asking_anybody() {
    let world = World::new();
    world.sync().ends(0);
    fs::remove_dir_all(world.tree()).unwrap();
    fs::remove_dir_all(world.remote.path()).unwrap();
    world.project.run(&["sync", "--offline"]).ends(0);
    assert!(world.tree().join("api/src/one").exists());
}

#[test]
fn a_branch_that_went_on_is_still_the_pinned_commit() {
    for server in SERVERS {
        let world = World::of(Remote::new(), "main", "");
        world.project.write("gitconfig", server);
        world.sync().ends(0);
        let commit = world.pinned();
        for content in ["2", "3"] {
            world.remote.write("api/src/one", content);
            world.remote.commit();
        }
        world.remote.push();
        world.on_another_machine();
        world.sync().ends(0);
        assert_eq!(world.pinned(), commit, "{server}");
        let content = fs::read_to_string(world.tree().join("api/src/one")).unwrap();
        assert_eq!(content, "1\n", "{server}");
        let checked = world.project.run(&["sync", "--check"]).ends(0).stdout;
        assert!(checked.contains("main went on from commit"), "{checked}");
    }
}

#[test]
fn a_commit_is_fetched_from_any_server_even_in_the_middle_of_a_branch() {
    for server in SERVERS {
        let remote = Remote::new();
        let commit = remote.git(&["rev-parse", "HEAD"]);
        for content in ["2", "3"] {
            remote.write("api/src/one", content);
            remote.commit();
        }
        remote.git(&["tag", "--delete", "1.0"]);
        remote.push();
        let world = World::of(remote, &commit, "");
        world.project.write("gitconfig", server);
        world.sync().ends(0);
        assert_eq!(world.pinned(), Some(commit), "{server}");
        let content = fs::read_to_string(world.tree().join("api/src/one")).unwrap();
        assert_eq!(content, "1\n", "{server}");
    }
}

#[test]
fn a_tag_that_moved_is_refused_with_both_commits() {
    let world = World::new();
    world.sync().ends(0);
    let before = world.pinned().unwrap();
    world.remote.write("api/src/one", "other");
    let after = world.remote.commit();
    world.remote.git(&["tag", "--force", "1.0"]);
    world.remote.push();
    // Nobody is asked for what is here.
    world.sync().ends(0);
    let refused = |ran: Ran| {
        ran.ends(2)
            .says("tag 1.0 of")
            .says("moved")
            .says(&before)
            .says(&after)
            .says("cargo xtask lock --update s")
    };
    refused(world.project.run(&["sync", "--check"]));
    world.on_another_machine();
    refused(world.sync());
    refused(world.project.run(&["build"]));
    assert_eq!(world.pinned(), Some(before));
    assert!(world.trees().is_empty());
}

#[test]
fn an_update_pins_what_the_revision_is_now_and_fetches_nothing() {
    let world = World::new();
    world.sync().ends(0);
    let before = world.pinned();
    world.remote.write("api/src/one", "other");
    let after = world.remote.commit();
    world.remote.git(&["tag", "--force", "1.0"]);
    world.remote.push();
    let graph = Utf8PathBuf::from_path_buf(world.project.path("build-graph.toml")).unwrap();
    let state = world.folder().join("../..").canonicalize().unwrap();
    let spec = xtask::spec::load(&graph, None).unwrap();
    let lock = Mutex::new(Lock::beside(&graph).unwrap());
    let (events, told) = std::sync::mpsc::channel();
    let sync = Sync {
        spec: &spec,
        state: &State::in_folder(Utf8PathBuf::from_path_buf(state).unwrap()),
        lock: &lock,
        interrupt: &Interrupt::default(),
        events: &events,
        locked: false,
        offline: false,
    };
    let drift = Drift {
        source: SourceId(0),
        is_tag: true,
        locked: before.clone(),
        now: after.clone(),
    };
    assert_eq!(sync.drifted(&[SourceId(0)]), Ok(vec![drift.clone()]));
    assert_eq!(world.pinned(), before);
    assert_eq!(sync.update(&[SourceId(0)]), Ok(vec![drift]));
    assert_eq!(world.pinned(), Some(after.clone()));
    assert_eq!(sync.update(&[SourceId(0)]), Ok(Vec::new()));
    assert_eq!(told.try_iter().count(), 1);
    assert_eq!(world.trees(), before.iter().cloned().collect());
    world.sync().ends(0);
    assert_eq!(world.trees(), BTreeSet::from([before.unwrap(), after]));
}

#[test]
fn what_the_repository_does_not_have_is_refused_with_a_remedy() {
    let commit = "0123456789".repeat(4);
    for server in SERVERS {
        for (rev, said) in [
            ("1.1", "has neither a tag nor a branch `1.1`"),
            ("0123456789", "write a commit with all its digits"),
            (&commit, "does not have commit 0123456789"),
        ] {
            let world = World::of(Remote::new(), rev, "");
            world.project.write("gitconfig", server);
            world.sync().ends(2).says(said).says("mend `rev` in");
            assert_eq!(world.pinned(), None, "{server} {rev}");
            assert!(world.trees().is_empty(), "{server} {rev}");
        }
    }
}

#[test]
fn a_pinned_commit_that_is_nowhere_any_more_is_refused_with_a_remedy() {
    for server in SERVERS {
        let world = World::of(Remote::new(), "main", "");
        world.project.write("gitconfig", server);
        world.sync().ends(0);
        let commit = world.pinned().unwrap();
        let remote = &world.remote;
        remote.git(&["tag", "--delete", "1.0"]);
        remote.git(&["checkout", "--quiet", "--orphan", "new"]);
        remote.write("api/src/one", "other");
        remote.commit();
        remote.git(&["branch", "--force", "main", "HEAD"]);
        remote.push();
        git(&remote.path(), &["gc", "--quiet", "--prune=now"]);
        world.on_another_machine();
        world
            .sync()
            .ends(2)
            .says(&format!("does not have commit {commit}"))
            .says("cargo xtask lock --update s");
    }
}

#[test]
fn mirrors_are_asked_in_their_order_before_the_repository_itself() {
    let remote = Remote::new();
    let mirror = remote.mirror();
    let lines = format!("mirrors = [\"file:///nonexistent/m\", \"{mirror}\"]");
    let world = World::of(remote, "1.0", &lines);
    fs::remove_dir_all(world.remote.path()).unwrap();
    let ran = world.sync().ends(0).says("file:///nonexistent/m: ");
    let order = [
        "fetching from file:///nonexistent/m",
        &format!("fetching from {mirror}"),
    ];
    let at = order.map(|text| ran.stderr.find(text).unwrap());
    assert!(at[0] < at[1], "{}", ran.stderr);
    ran.never_says(&format!("fetching from {}", world.remote.url()));
}

#[test]
fn where_all_repositories_fail_every_reason_is_told() {
    let lines = "mirrors = [\"file:///nonexistent/m\", \"/nonexistent/n\"]";
    let world = World::of(Remote::new(), "1.0", lines);
    fs::remove_dir_all(world.remote.path()).unwrap();
    let reason =
        |url: &str, path: &str| format!("{url}: '{path}' does not appear to be a git repository");
    let path = world.remote.path();
    let ran = world.sync().ends(3).says("XTASK_SOURCE_S");
    let last = ran.stderr.lines().last().unwrap();
    for told in [
        reason("file:///nonexistent/m", "/nonexistent/m"),
        reason("/nonexistent/n", "/nonexistent/n"),
        reason(&world.remote.url(), path.to_str().unwrap()),
    ] {
        assert!(last.contains(&told), "{told}: {last}");
    }
}

#[test]
fn a_mirror_that_lacks_the_tag_is_passed_over() {
    let remote = Remote::new();
    let mirror = remote.mirror();
    remote.git(&["tag", "1.1"]);
    remote.push();
    let world = World::of(remote, "1.1", &format!("mirrors = [\"{mirror}\"]"));
    world
        .sync()
        .ends(0)
        .says("has neither a tag nor a branch `1.1`");
    assert!(world.pinned().is_some());
}

#[test]
fn a_transfer_that_breaks_is_tried_again() {
    let world = World::large();
    let broken = world.project.path("broken").display().to_string();
    world.with_server(&format!(
        "if [ -e {broken} ]; then exec \"$@\"; fi\ntouch {broken}\n\"$@\" | head -c 100000"
    ));
    world.sync().ends(0);
    assert!(world.tree().join("noise").exists());
    assert!(PathBuf::from(broken).exists(), "the first transfer broke");
}

#[test]
fn a_git_that_was_killed_in_the_middle_leaves_nothing_that_counts_or_hinders() {
    let world = World::large();
    // Everything in git's process group dies at once, with a part of the pack on the disk.
    let part = world
        .project
        .path("state/*/sources/s/objects.git/objects/pack/tmp_pack_*");
    world.with_server(&format!(
        "\"$@\" | head -c 100000\nuntil ls {} >/dev/null 2>&1; do :; done\nkill -KILL 0",
        part.display()
    ));
    world.sync().ends(3).says("SIGKILL");
    assert_eq!(world.pinned(), None);
    assert!(world.trees().is_empty());
    let left = fs::read_dir(world.folder().join("objects.git/objects/pack")).unwrap();
    assert!(left.count() > 0, "nothing was left half done");
    world.project.write("gitconfig", "");
    world.sync().ends(0);
    assert_eq!(world.trees(), world.pinned().into_iter().collect());
    assert!(world.tree().join("noise").exists());
}

#[test]
fn leftovers_of_a_killed_process_are_removed() {
    let world = World::new();
    world.sync().ends(0);
    let folder = world.folder();
    let tree = world.tree();
    fs::create_dir_all(folder.join(".new-killed/tree/api")).unwrap();
    let objects = folder.join("objects.git");
    for left in [
        "shallow.lock",
        "config.lock",
        "objects/pack/tmp_pack_1",
        "refs/xtask/a.lock",
    ] {
        fs::write(objects.join(left), "").unwrap();
    }
    world.remote.write("api/src/one", "2");
    world.remote.commit();
    world.remote.git(&["tag", "2.0"]);
    world.remote.push();
    world.graph(&world.remote.url(), "2.0", "");
    world.sync().ends(0);
    assert!(world.tree() != tree && tree.exists());
    assert_eq!(world.trees().len(), 2);
    assert!(!objects.join("objects/pack/tmp_pack_1").exists());
}

#[test]
fn damaged_objects_are_fetched_again() {
    let world = World::large();
    world.sync().ends(0);
    fs::remove_dir_all(world.tree()).unwrap();
    let packs = fs::read_dir(world.folder().join("objects.git/objects/pack")).unwrap();
    let mut packs = packs.map(|entry| entry.unwrap().path());
    let pack = packs
        .find(|path| path.extension().is_some_and(|end| end == "pack"))
        .unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 1000].fill(0);
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, bytes).unwrap();
    world.sync().ends(0);
    assert!(fs::read(world.tree().join("noise")).unwrap() == noise());
}

#[test]
fn a_file_in_place_of_a_tree_is_replaced() {
    let world = World::new();
    world.sync().ends(0);
    let tree = world.tree();
    fs::remove_dir_all(&tree).unwrap();
    std::os::unix::fs::symlink("/etc", &tree).unwrap();
    world
        .project
        .run(&["inputs", "a"])
        .ends(3)
        .says("cargo xtask sync");
    world.sync().ends(0);
    assert!(tree.join("api/src/one").exists());
}

#[test]
fn an_interrupt_ends_git_and_keeps_nothing_half_done() {
    let world = World::new();
    let pid = world.project.path("pid");
    let script = format!(
        "case \"$*\" in *fetch*) echo $$ > {}; echo 'fatal: now' >&2; exec sleep 600;; esac",
        pid.display()
    );
    let world = world.with_git(&script);
    let mut child = world.project.start(&["sync"]);
    let _said = until_said(&mut child, "fetching from");
    while !fs::read_to_string(&pid).is_ok_and(|pid| pid.ends_with('\n')) {
        std::thread::yield_now();
    }
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let pid = fs::read_to_string(pid).unwrap();
    let process = PathBuf::from("/proc").join(pid.trim()).join("stat");
    let state = fs::read_to_string(process).unwrap_or_default();
    assert!(
        state.is_empty() || state.contains(") Z "),
        "git runs on: {state}"
    );
    assert_eq!(world.pinned(), None);
    assert!(world.trees().is_empty());
}

#[test]
fn of_two_at_once_one_waits_and_a_killed_one_is_not_waited_for() {
    let world = World::new();
    let go = world.project.path("go").display().to_string();
    let script = format!("while [ ! -e {go} ]; do :; done");
    let world = world.with_git(&script);
    let mut killed = world.project.start(&["sync"]);
    let _said = until_said(&mut killed, "fetching from");
    let mut waits = world.project.start(&["sync"]);
    let said = until_said(&mut waits, "waiting for another sync of this graph");
    killed.kill().unwrap();
    killed.wait().unwrap();
    fs::write(&go, "").unwrap();
    let rest: Vec<String> = said.lines().map(Result::unwrap).collect();
    assert_eq!(waits.wait().unwrap().code(), Some(0), "{rest:?}");
    assert_eq!(world.trees(), world.pinned().into_iter().collect());
}

#[test]
fn of_many_at_once_one_fetches_for_all() {
    let world = World::new().with_git("");
    let started: Vec<Child> = (0..4).map(|_| world.project.start(&["sync"])).collect();
    for child in started {
        Project::finish(child).ends(0);
    }
    assert_eq!(world.trees(), world.pinned().into_iter().collect());
    for asked in ["ls-remote", "fetch --progress", "read-tree"] {
        assert_eq!(world.calls().matches(asked).count(), 1, "{asked}");
    }
}

#[test]
fn several_sources_are_fetched_and_each_failure_is_told() {
    let world = World::new();
    let graph = fs::read_to_string(world.project.path("build-graph.toml")).unwrap();
    let more = "[source.t]\ngit = \"file:///nonexistent/t\"\nrev = \"1\"\n\
        [source.u]\ngit = \"file:///nonexistent/u\"\nrev = \"1\"\n";
    world
        .project
        .write("build-graph.toml", format!("{graph}{more}"));
    let ran = world.sync().ends(3);
    for name in ["t", "u"] {
        let told = format!("error: source `{name}` cannot be fetched");
        assert!(ran.stderr.contains(&told), "{}", ran.stderr);
    }
    assert!(world.pinned().is_some());
    world.project.run(&["sync", "s"]).ends(0);
    world
        .project
        .run(&["sync", "tt"])
        .ends(2)
        .says("did you mean `t`?");
}

#[test]
fn locked_and_offline_take_only_what_is_pinned_and_here() {
    let world = World::new();
    world
        .project
        .run(&["sync", "--locked"])
        .ends(2)
        .says("source `s` at 1.0")
        .says("no entry in the lock file");
    world
        .project
        .run(&["build", "--offline"])
        .ends(3)
        .says("source `s` is not on this machine, and `--offline` was given");
    assert_eq!(world.pinned(), None);
    world.sync().ends(0);
    world.on_another_machine();
    world.project.run(&["sync", "--locked"]).ends(0);
    world.project.run(&["sync", "--offline"]).ends(0);
    // Another revision is another question, for which the pin is no answer.
    world.graph(&world.remote.url(), "main", "");
    world.project.run(&["sync", "--locked"]).ends(2);
    world.sync().ends(0).says("main is commit");
}

#[test]
fn a_plan_says_what_fetches_a_missing_source() {
    let world = World::new();
    world
        .project
        .run(&["inputs", "a"])
        .ends(3)
        .says("source `s` is not on this machine")
        .says("cargo xtask sync")
        .says("XTASK_SOURCE_S");
}

#[test]
fn a_build_fetches_the_sources_of_the_wanted_stages_only() {
    let world = World::new();
    let graph = fs::read_to_string(world.project.path("build-graph.toml")).unwrap();
    let more = "[source.t]\ngit = \"file:///nonexistent/t\"\nrev = \"1\"\n\
        [stage.b]\nsource = \"t\"\ncontext = \"b\"\n";
    world
        .project
        .write("build-graph.toml", format!("{graph}{more}"));
    // It ends where the engine would be asked.
    let ran = world
        .project
        .run(&["build", "a"])
        .ends(3)
        .says("Docker engine");
    ran.says("s: fetching from").never_says("t: fetching from");
    assert!(world.tree().join("api/src/one").exists());
    world
        .project
        .run(&["build"])
        .ends(3)
        .says("source `t` cannot be fetched");
}

#[test]
fn the_answer_in_json_names_every_source() {
    let world = World::new();
    let ran = world.project.run(&["sync", "--json"]).ends(0);
    let said: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let source = &said["sources"][0];
    assert_eq!(source["source"], "s");
    assert_eq!(source["state"], "fetched");
    assert_eq!(source["commit"].as_str(), world.pinned().as_deref());
    assert!(
        source["path"]
            .as_str()
            .unwrap()
            .ends_with(&world.pinned().unwrap())
    );
}

#[test]
fn the_settings_and_hooks_of_the_machine_do_not_reach_the_tree() {
    let remote = Remote::new();
    remote.write(".gitattributes", "*.bin filter=lfs\n*.big filter=own\n");
    remote.write("api/src/a.bin", "kept");
    remote.write("api/src/b.big", "kept");
    remote.write("api/src/lines", "a\nb\n");
    remote.commit();
    remote.git(&["tag", "2.0"]);
    remote.push();
    let world = World::of(remote, "2.0", "");
    let ran = world.project.path("ran").display().to_string();
    world.project.write(
        "gitconfig",
        format!(
            "[core]\nautocrlf = true\nsymlinks = false\nhooksPath = {0}\nfsmonitor = \"touch {1}\"\n\
             [filter \"lfs\"]\nsmudge = \"touch {1}; cat\"\nrequired = true\n[filter \"own\"]\nsmudge = \"touch {1}; tr k K\"\n\
             [init]\ntemplateDir = {0}\n",
            world.project.path("template").display(),
            ran
        ),
    );
    let filter = format!("[filter \"own\"]\nsmudge = \"touch {ran}; cat\"\n");
    let mut project = world.project.file("template/config", filter);
    for hook in [
        "post-checkout",
        "reference-transaction",
        "hooks/reference-transaction",
        "hooks/post-checkout",
    ] {
        let script = format!("#!/bin/sh\ntouch {ran}\n");
        project = project.script(&format!("template/{hook}"), &script);
    }
    let world = World { project, ..world };
    world.sync().ends(0);
    assert!(
        !PathBuf::from(ran).exists(),
        "something of the machine's was run"
    );
    for (file, content) in [("a.bin", "kept"), ("b.big", "kept"), ("lines", "a\nb\n")] {
        let path = world.tree().join("api/src").join(file);
        assert_eq!(fs::read_to_string(path).unwrap(), content, "{file}");
    }
}

#[test]
fn a_repository_in_the_environment_is_not_taken_for_the_sources_own() {
    let world = World::new();
    let other = Remote::new();
    let path = other.path().display().to_string();
    let project = world
        .project
        .variable("GIT_DIR", &path)
        .variable("GIT_INDEX_FILE", "/dev/null");
    let world = World { project, ..world };
    let before = git(&other.path(), &["for-each-ref"]);
    world.sync().ends(0);
    assert!(world.tree().join("api/src/one").exists());
    assert_eq!(git(&other.path(), &["for-each-ref"]), before);
}
