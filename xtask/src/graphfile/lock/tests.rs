//! Locks that were damaged or edited, and files that never were a lock.

use proptest::prelude::*;

use super::*;

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn graph(&self) -> Utf8PathBuf {
        let folder = Utf8Path::from_path(self.folder.path()).unwrap();
        folder.join("build-graph.toml")
    }

    fn file(&self) -> Utf8PathBuf {
        self.graph().with_extension("lock")
    }

    fn read(&self, bytes: impl AsRef<[u8]>) -> Result<Lock> {
        std::fs::write(self.file(), bytes).unwrap();
        Lock::beside(&self.graph())
    }
}

fn digest(digit: &str) -> String {
    format!("sha256:{}", digit.repeat(64))
}

fn base(onbuild: bool, whole: &str, platforms: &[(&str, &str)]) -> Base {
    let platforms = platforms.iter().map(|(p, d)| ((*p).to_owned(), digest(d)));
    Base::new(onbuild, digest(whole), platforms.collect())
}

/// A lock with one image that has triggers and one that has none, as bytes.
fn written(world: &World) -> Vec<u8> {
    let mut lock = Lock::beside(&world.graph()).unwrap();
    for (name, onbuild) in [("with", true), ("without", false)] {
        let name = reference::normalise(name).unwrap().canonical();
        lock.pin(BTreeMap::from([(name, base(onbuild, "a", &[]))]))
            .unwrap();
    }
    std::fs::read(world.file()).unwrap()
}

#[test]
fn what_was_pinned_is_read_again() {
    let world = World::new();
    let lock = world.read(written(&world)).unwrap();
    assert_eq!(lock.digest("with"), Some(digest("a")));
    assert_eq!(lock.has_triggers("with:latest"), Some(true));
    assert_eq!(lock.has_triggers("without"), Some(false));
    assert_eq!(lock.has_triggers("other"), None);
}

#[test]
fn only_the_platforms_that_are_built_for_count() {
    let world = World::new();
    let mut lock = Lock::beside(&world.graph()).unwrap();
    let name = "docker.io/library/x:latest".to_owned();
    let both = [("linux/amd64", "b"), ("linux/arm64", "c")];
    lock.pin(BTreeMap::from([(name, base(false, "a", &both))]))
        .unwrap();
    let digest_for = |platforms: &[&str]| {
        let platforms = platforms
            .iter()
            .map(|&platform| platform.to_owned())
            .collect();
        lock.digest_for("x", &platforms).unwrap()
    };
    assert_eq!(digest_for(&["linux/amd64"]), digest("b"));
    let several = format!("linux/amd64 {}, linux/arm64 {}", digest("b"), digest("c"));
    assert_eq!(digest_for(&["linux/arm64", "linux/amd64"]), several);
    // A platform without a manifest of its own could use any of them.
    for open in [
        &[] as &[&str],
        &["linux/arm/v7"],
        &["linux/amd64", "linux/arm/v7"],
    ] {
        assert_eq!(digest_for(open), digest("a"), "{open:?}");
    }
    assert_eq!(lock.digest_for("y", &BTreeSet::new()), None);
}

#[test]
fn a_reference_with_a_digest_is_its_own_pin_whatever_an_entry_says() {
    let world = World::new();
    let mut lock = Lock::beside(&world.graph()).unwrap();
    let own = format!("x@{}", digest("a"));
    assert_eq!(lock.digest(&own), Some(digest("a")));
    assert_eq!(lock.has_triggers(&own), None);
    let name = reference::normalise(&own).unwrap().canonical();
    let entry =
        |whole| BTreeMap::from([(name.clone(), base(true, whole, &[("linux/amd64", "b")]))]);
    let amd64 = BTreeSet::from(["linux/amd64".to_owned()]);
    lock.pin(entry("a")).unwrap();
    assert_eq!(lock.digest_for(&own, &amd64), Some(digest("b")));
    lock.pin(entry("c")).unwrap();
    assert_eq!(lock.digest_for(&own, &amd64), Some(digest("a")));
    assert_eq!(lock.has_triggers(&own), None);
}

#[test]
fn a_lock_with_nothing_new_is_not_written_and_another_runs_entries_are_kept() {
    let world = World::new();
    written(&world);
    let mut lock = Lock::beside(&world.graph()).unwrap();
    // Every write makes a new file.
    let inode = || std::os::unix::fs::MetadataExt::ino(&world.file().metadata().unwrap());
    let before = inode();
    assert!(!lock.replace(lock.bases().clone()).unwrap());
    assert_eq!(inode(), before);
    let mut stale = Lock::beside(&world.graph()).unwrap();
    lock.pin(BTreeMap::from([(
        "docker.io/library/more:1".to_owned(),
        base(false, "d", &[]),
    )]))
    .unwrap();
    assert_ne!(inode(), before);
    let other = "docker.io/library/other:1".to_owned();
    stale
        .pin(BTreeMap::from([(other, base(false, "e", &[]))]))
        .unwrap();
    assert_eq!(stale.bases().len(), 4);
}

#[test]
fn entries_are_written_in_the_order_of_names_and_the_same_on_every_machine() {
    let (one, other) = (World::new(), World::new());
    let names = [
        "docker.io/library/b:1",
        "docker.io/library/a:1",
        "ghcr.io/a/b:1",
    ];
    let write = |world: &World, names: &[&str]| {
        let mut lock = Lock::beside(&world.graph()).unwrap();
        for name in names {
            let base = base(false, "a", &[("linux/arm64", "c"), ("linux/amd64", "b")]);
            lock.pin(BTreeMap::from([((*name).to_owned(), base)]))
                .unwrap();
        }
        std::fs::read_to_string(world.file()).unwrap()
    };
    let text = write(&one, &names);
    let (a, b, c) = (digest("a"), digest("b"), digest("c"));
    let check = base(false, "a", &[("linux/arm64", "c"), ("linux/amd64", "b")]).check;
    let check = check.unwrap();
    let entry = |name: &str| {
        format!(
            "[base.\"{name}\"]\nonbuild = false\ndigest = \"{a}\"\ncheck = \"{check}\"\n\n[base.\"{name}\".platforms]\n\"linux/amd64\" = \"{b}\"\n\"linux/arm64\" = \"{c}\"\n"
        )
    };
    let entries = [names[1], names[0], names[2]].map(entry).join("\n");
    assert_eq!(text, format!("{HEAD}version = 1\n\n{entries}"));
    assert_eq!(write(&other, &[names[2], names[0], names[1]]), text);
}

/// Whatever happened to the file, either it is refused, or what it says of the images is true.
#[track_caller]
fn says_nothing_wrong(world: &World, bytes: &[u8], may_be_altered: bool) {
    let Ok(lock) = world.read(bytes) else { return };
    for (name, triggers) in [("with", true), ("without", false)] {
        let shown = String::from_utf8_lossy(bytes);
        assert!(
            lock.has_triggers(name).is_none_or(|t| t == triggers),
            "{shown}"
        );
        let found = lock.digest(name);
        let true_or_none = found.as_ref().is_none_or(|found| *found == digest("a"));
        // An altered digit gives another valid digest. Nobody has built with such a pin.
        assert!(true_or_none || may_be_altered, "{shown}");
    }
}

#[test]
fn no_truncation_and_no_flipped_bit_hides_triggers() {
    let world = World::new();
    let good = written(&world);
    for at in 0..good.len() {
        says_nothing_wrong(&world, &good[..at], false);
        for bit in 0..8 {
            let mut flipped = good.clone();
            flipped[at] ^= 1 << bit;
            says_nothing_wrong(&world, &flipped, true);
        }
        let mut comment = good.clone();
        comment[at] = b'#';
        says_nothing_wrong(&world, &comment, true);
    }
}

#[test]
fn what_is_no_lock_is_refused_with_a_remedy() {
    let world = World::new();
    let entry = |digest: &str| {
        format!("version = 1\n[base.\"x\"]\nonbuild = false\ndigest = \"{digest}\"\n")
    };
    assert!(world.read(entry(&digest("0"))).is_ok());
    let without = entry(&digest("0")).replace("onbuild = false\n", "");
    let newer = entry(&digest("0")).replace("version = 1", "version = 2");
    for wrong in [
        "",
        "garbage",
        "\0",
        "version = 1\nbase = 1\n",
        "<<<<<<< HEAD\n",
        &without,
    ] {
        let fault = world.read(wrong).unwrap_err();
        assert!(fault.message.contains("or remove it"), "{}", fault.message);
    }
    for wrong in [
        "",
        "sha256:",
        "latest",
        &digest("A"),
        &digest("a,"),
        &digest("aa"),
    ] {
        let fault = world.read(entry(wrong)).unwrap_err();
        assert!(
            fault.message.contains("is not a digest"),
            "{}",
            fault.message
        );
    }
    assert!(world.read(newer).unwrap_err().message.contains("version 2"));
    assert!(
        world
            .read(b"\xff")
            .unwrap_err()
            .message
            .contains("cannot read")
    );
}

#[test]
fn a_folder_in_place_of_the_lock_is_told_and_a_link_to_nowhere_is_none() {
    let world = World::new();
    std::os::unix::fs::symlink("nowhere", world.file()).unwrap();
    let lock = Lock::beside(&world.graph()).unwrap();
    assert_eq!(lock.has_triggers("with"), None);
    std::fs::remove_file(world.file()).unwrap();
    std::fs::create_dir(world.file()).unwrap();
    let fault = Lock::beside(&world.graph()).unwrap_err();
    assert!(fault.message.contains("cannot read"), "{}", fault.message);
}

#[test]
fn a_lock_that_means_harm_is_read_or_refused() {
    let world = World::new();
    let image = |n| {
        let digest = digest("0");
        format!("[base.\"docker.io/library/i{n}:latest\"]\nonbuild = true\ndigest = \"{digest}\"\n")
    };
    let many: String = (0..100_000).map(image).collect();
    let lock = world.read(format!("version = 1\n{many}")).unwrap();
    assert_eq!(lock.has_triggers("i99999"), Some(true));
    for (open, close) in [("[", "]"), ("{a=", "}"), ("a.", "a = 1"), ("x", "")] {
        let text = [open.repeat(1 << 18), close.repeat(1 << 18)].concat();
        assert!(world.read(format!("version = 1\nbase = {text}\n")).is_err());
        assert!(world.read(format!("version = 1\n{text}\n")).is_err());
    }
    let long = "x".repeat(1 << 20);
    let text = format!("version = 1\n[base.x]\nonbuild = true\ndigest = \"{long}\"\n");
    assert!(world.read(text).unwrap_err().message.len() < 1_000);
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_of_locks_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
        odd in r#"(version = 1\n|\[base\."?x"?\]\n|onbuild = true\n|digest = "(sha256:)?[0a]{0,3}"\n|[\[\]{}=".é\n]){0,8}"#,
    ) {
        let world = World::new();
        let _ = world.read(bytes);
        let _ = world.read(odd);
    }
}

#[test]
fn of_an_entry_that_was_edited_by_hand_the_digest_counts_that_is_built_on() {
    let amd64 = BTreeSet::from(["linux/amd64".to_owned()]);
    let world = World::new();
    let mut lock = Lock::beside(&world.graph()).unwrap();
    let name = "docker.io/library/x:1".to_owned();
    let whole = base(false, "a", &[("linux/amd64", "b")]);
    lock.pin(BTreeMap::from([(name, whole)])).unwrap();
    assert_eq!(lock.digest_for("x:1", &amd64), Some(digest("b")));
    let text = std::fs::read_to_string(world.file()).unwrap();
    let edited = text.replace(&digest("a"), &digest("c"));
    std::fs::write(world.file(), &edited).unwrap();
    let lock = Lock::beside(&world.graph()).unwrap();
    assert_eq!(lock.digest_for("x:1", &amd64), Some(digest("c")));
    assert!(lock.base("x:1").unwrap().is_edited());
    // An entry without a check is not believed either.
    let check = edited
        .lines()
        .find(|line| line.starts_with("check"))
        .unwrap();
    std::fs::write(world.file(), edited.replace(check, "")).unwrap();
    let lock = Lock::beside(&world.graph()).unwrap();
    assert_eq!(lock.digest_for("x:1", &amd64), Some(digest("c")));
    assert!(!lock.base("x:1").unwrap().is_edited());
}
