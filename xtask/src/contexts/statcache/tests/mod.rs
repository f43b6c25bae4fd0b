//! What is remembered, and what is not.

mod damage;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};

use super::book::Book;
use super::*;
use crate::contexts::tests::tree::{TestTree, attribute, copy, one, whole};
use crate::contexts::{Ignore, Inputs, Tracer, collect};
use dockerfile::ContextNeed;

/// A cache whose file was read, and the warning about the file.
pub(super) fn load(file: &Utf8Path) -> (StatCache, Option<String>) {
    let cache = StatCache::in_file(file);
    cache.open();
    let warning = cache.warning();
    (cache, warning)
}

/// Waits until a run that begins now may remember what was written before. The clock is read in
/// `folder`.
pub fn settle(folder: &Utf8Path) {
    let written = read_clock(folder).unwrap();
    while read_clock(folder).unwrap() <= written + TICK {
        std::thread::yield_now();
    }
}

/// A context and a state folder beside it.
pub(super) struct World {
    pub(super) tree: TestTree,
}

impl World {
    /// When this returns, the files' last changes are not racy.
    pub(super) fn new() -> Self {
        let tree = TestTree::new()
            .file("in/a", "aaaa")
            .file("in/d/b", "bbbb")
            .dir("state");
        let world = Self { tree };
        world.settle();
        world
    }

    fn settle(&self) {
        settle(&self.tree.root().join("state"));
    }

    pub(super) fn file(&self) -> Utf8PathBuf {
        self.tree.root().join("state/stats")
    }

    pub(super) fn load(&self) -> StatCache {
        let (cache, warning) = load(&self.file());
        assert_eq!(warning, None);
        cache
    }

    pub(super) fn read(&self, cache: &StatCache, need: &ContextNeed) -> Inputs {
        collect(
            &one(&self.tree.root().join("in")),
            &Ignore::default(),
            need,
            &Tracer::forgetful(cache),
        )
        .unwrap()
    }

    /// A whole run.
    pub(super) fn run(&self) -> Inputs {
        let cache = self.load();
        let inputs = self.read(&cache, &whole());
        cache.save().unwrap();
        inputs
    }

    /// How many files the saved cache has.
    pub(super) fn known(&self) -> usize {
        let Ok(bytes) = fs::read(self.file()) else {
            return 0;
        };
        Book::read(bytes)
            .unwrap()
            .folders()
            .map(|(_, folder)| folder.len())
            .sum()
    }

    /// Makes the saved cache wrong about a file, so that a hit shows.
    pub(super) fn falsify(&self, name: &str) {
        let book = Book::read(fs::read(self.file()).unwrap()).unwrap();
        let folders = book.folders().map(|(path, folder)| {
            let mut files: Vec<BookEntry> = folder.files().collect();
            for file in files
                .iter_mut()
                .filter(|file| *file.name == *name.as_bytes())
            {
                file.hash = [7; 32];
            }
            (path, files)
        });
        let folders: Vec<_> = folders.collect();
        fs::write(
            self.file(),
            Book::write(book.clock(), folders.into_iter()).unwrap(),
        )
        .unwrap();
    }
}

fn hash_of(inputs: &Inputs, path: &str) -> [u8; 32] {
    let input = inputs
        .entries
        .iter()
        .find(|input| input.path == path.as_bytes())
        .unwrap();
    input.hash.unwrap()
}

#[test]
fn an_unchanged_file_is_not_read_again() {
    let world = World::new();
    world.run();
    assert_eq!(world.known(), 2);
    world.falsify("b");
    assert_eq!(hash_of(&world.run(), "d/b"), [7; 32]);
}

#[test]
fn attributes_are_remembered_with_the_hash() {
    let world = World::new();
    let attributes = |inputs: &Inputs| {
        let mut inputs = inputs.entries.iter();
        let input = inputs.find(|input| input.path == b"d/b").unwrap();
        input.attributes.clone()
    };
    let set = |value| attribute(&world.tree.at("in/d/b"), "user.note", value);
    set("1");
    world.settle();
    let first = attributes(&world.run());
    assert!(first.is_some());
    world.falsify("b");
    let inputs = world.run();
    assert_eq!(hash_of(&inputs, "d/b"), [7; 32]);
    assert_eq!(attributes(&inputs), first);
    // The modification time and the size stay the same.
    set("2");
    assert_ne!(attributes(&world.run()), first);
}

#[test]
fn a_run_that_learns_nothing_writes_nothing() {
    let world = World::new();
    world.run();
    let before = fs::metadata(world.file()).unwrap();
    world.run();
    let after = fs::metadata(world.file()).unwrap();
    assert_eq!(
        (before.ino(), before.mtime_nsec()),
        (after.ino(), after.mtime_nsec())
    );
}

#[test]
fn a_file_replaced_with_size_and_time_kept_is_noticed() {
    let world = World::new();
    let before = world.run();
    let modified = fs::metadata(world.tree.at("in/a"))
        .unwrap()
        .modified()
        .unwrap();
    world.tree.write("in/new", "AAAA");
    fs::File::open(world.tree.at("in/new"))
        .unwrap()
        .set_modified(modified)
        .unwrap();
    fs::rename(world.tree.at("in/new"), world.tree.at("in/a")).unwrap();
    let after = world.run();
    assert_ne!(hash_of(&before, "a"), hash_of(&after, "a"));
}

#[test]
fn a_file_rewritten_in_place_with_size_and_time_kept_is_noticed() {
    let world = World::new();
    let before = world.run();
    let modified = fs::metadata(world.tree.at("in/a"))
        .unwrap()
        .modified()
        .unwrap();
    world.tree.write("in/a", "AAAA");
    fs::File::open(world.tree.at("in/a"))
        .unwrap()
        .set_modified(modified)
        .unwrap();
    assert_ne!(hash_of(&before, "a"), hash_of(&world.run(), "a"));
}

#[test]
fn a_file_written_within_the_last_tick_is_not_remembered() {
    let world = World::new();
    world.tree.write("in/a", "new!");
    world.run();
    assert_eq!(world.known(), 1);
    world.settle();
    world.run();
    assert_eq!(world.known(), 2);
}

#[test]
fn a_file_from_the_future_is_not_remembered() {
    let world = World::new();
    let tomorrow = SystemTime::now() + Duration::from_hours(24);
    fs::File::open(world.tree.at("in/a"))
        .unwrap()
        .set_modified(tomorrow)
        .unwrap();
    world.settle();
    world.run();
    assert_eq!(world.known(), 1);
}

#[test]
fn a_cache_from_the_future_is_forgotten_since_the_clock_was_set_back() {
    let world = World::new();
    world.run();
    let book = Book::read(fs::read(world.file()).unwrap()).unwrap();
    let later = book.clock() + 3_600_000_000_000;
    let folders: Vec<_> = book
        .folders()
        .map(|(path, folder)| (path, folder.files().collect()))
        .collect();
    fs::write(
        world.file(),
        Book::write(later, folders.into_iter()).unwrap(),
    )
    .unwrap();
    let (cache, warning) = load(&world.file());
    assert!(warning.unwrap().contains("future"));
    world.read(&cache, &whole());
    cache.save().unwrap();
    assert_eq!(world.known(), 2);
    world.load();
}

#[test]
fn files_and_folders_that_are_gone_are_dropped() {
    let world = World::new();
    world.run();
    fs::remove_file(world.tree.at("in/a")).unwrap();
    world.run();
    assert_eq!(world.known(), 1);
    fs::remove_dir_all(world.tree.at("in/d")).unwrap();
    world.tree.write("in/c", "cccc");
    world.settle();
    world.run();
    assert_eq!(world.known(), 1);
}

#[test]
fn a_narrower_look_keeps_what_it_did_not_look_at() {
    let world = World::new();
    world.tree.write("in/d/c", "cccc");
    world.settle();
    world.run();
    let cache = world.load();
    world.tree.write("in/d/c", "CCCC");
    world.read(&cache, &copy(&["d/c", "a"]));
    cache.save().unwrap();
    assert_eq!(world.known(), 3);
}

#[test]
fn another_context_in_the_same_run_profits() {
    let world = World::new();
    world.run();
    world.falsify("b");
    let cache = world.load();
    world.tree.write("in/d/new", "n");
    assert_eq!(
        hash_of(&world.read(&cache, &copy(&["d/b"])), "d/b"),
        [7; 32]
    );
    assert_eq!(hash_of(&world.read(&cache, &whole()), "d/b"), [7; 32]);
}

#[test]
fn a_cache_that_is_torn_foreign_or_newer_is_empty_with_a_warning() {
    let world = World::new();
    world.run();
    let good = fs::read(world.file()).unwrap();
    let mut newer = good.clone();
    newer[8] = 99;
    let mut flipped = good.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    let cases: [(&[u8], &str); 6] = [
        (b"", "program"),
        (b"#!/bin/sh", "program"),
        (&good[..good.len() - 1], "damaged"),
        (&good[..20], "damaged"),
        (&flipped, "damaged"),
        (&newer, "format 99"),
    ];
    for (bytes, says) in cases {
        fs::write(world.file(), bytes).unwrap();
        let (cache, warning) = load(&world.file());
        let warning = warning.unwrap();
        assert!(warning.contains(says), "{warning}");
        assert_eq!(world.read(&cache, &whole()).entries.len(), 3);
    }
}

#[test]
fn a_state_folder_that_is_not_there_yet_is_made() {
    let world = World::new();
    let file = world.tree.root().join("state/deep/er/stats");
    let (cache, warning) = load(&file);
    assert_eq!(warning, None);
    world.read(&cache, &whole());
    cache.save().unwrap();
    assert!(file.exists());
}

#[test]
fn a_cache_in_memory_remembers_nothing() {
    let world = World::new();
    let cache = StatCache::in_memory();
    let before = world.read(&cache, &whole());
    assert_eq!(before, world.read(&cache, &whole()));
    assert!(cache.learnt().is_empty());
    cache.save().unwrap();
}
