//! A damaged or foreign cache file: nothing in it may be believed.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use proptest::prelude::*;

use super::{World, load};
use crate::contexts::Inputs;
use crate::contexts::statcache::*;
use crate::contexts::tests::tree::whole;

/// What a run without a cache finds.
fn right(world: &World) -> Inputs {
    world.read(&StatCache::in_memory(), &whole())
}

/// A world whose cache is wrong about a file, so that it shows if the cache is believed.
fn with_a_lie() -> World {
    let world = World::new();
    world.run();
    world.falsify("b");
    assert_ne!(world.read(&world.load(), &whole()), right(&world));
    world
}

/// Checks that the file as it is gives a warning and is not believed.
#[track_caller]
fn is_forgotten(world: &World, what: &str) {
    let (cache, warning) = load(&world.file());
    assert!(warning.is_some(), "{what}");
    assert_eq!(world.read(&cache, &whole()), right(world), "{what}");
}

fn put_aside(world: &World) {
    fs::rename(world.file(), world.tree.at("state/aside")).unwrap();
}

#[test]
fn every_flipped_bit_and_every_truncation_of_a_cache_is_noticed() {
    let world = with_a_lie();
    let good = fs::read(world.file()).unwrap();
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut flipped = good.clone();
            flipped[at] ^= 1 << bit;
            assert!(StatCache::of_bytes(flipped).is_err(), "bit {bit} of {at}");
        }
        assert!(StatCache::of_bytes(good[..at].to_vec()).is_err(), "{at}");
    }
    for at in (0..good.len()).step_by(7) {
        let mut flipped = good.clone();
        flipped[at] = !flipped[at];
        fs::write(world.file(), flipped).unwrap();
        is_forgotten(&world, "flipped");
        fs::write(world.file(), &good[..at]).unwrap();
        is_forgotten(&world, "cut");
    }
    fs::write(world.file(), [&good[..], b"x"].concat()).unwrap();
    is_forgotten(&world, "longer");
}

#[test]
fn a_folder_in_place_of_the_cache_costs_time_only() {
    let world = with_a_lie();
    put_aside(&world);
    fs::create_dir(world.file()).unwrap();
    is_forgotten(&world, "a folder");
    let (cache, _) = load(&world.file());
    world.read(&cache, &whole());
    assert!(cache.save().is_err(), "which is told as well");
}

#[test]
fn a_link_to_nowhere_in_place_of_the_cache_is_replaced_by_one() {
    let world = with_a_lie();
    put_aside(&world);
    symlink("nowhere", world.file()).unwrap();
    assert_eq!(world.run(), right(&world));
    assert!(world.file().symlink_metadata().unwrap().is_file());
    assert_eq!(world.known(), 2);
}

#[test]
fn a_cache_that_may_not_be_read_is_forgotten_with_a_warning() {
    let world = World::new();
    world.run();
    fs::set_permissions(world.file(), fs::Permissions::from_mode(0o000)).unwrap();
    let (cache, warning) = load(&world.file());
    // A user who may read everything (root) can read this file as well.
    let may = fs::read(world.file()).is_ok();
    assert_eq!(warning.is_none(), may);
    assert_eq!(world.read(&cache, &whole()), right(&world));
}

#[test]
fn the_cache_of_another_tree_says_nothing_about_this_one() {
    let (world, other) = (World::new(), with_a_lie());
    let before = world.run();
    fs::copy(other.file(), world.file()).unwrap();
    assert_eq!(world.run(), before);
    assert_eq!(world.known(), 4);
}

/// A cache file with a right checksum, whatever its content.
fn sealed(content: &[u8]) -> Vec<u8> {
    let hash = blake3::hash(content);
    [&b"xtstats\n\x03\0\0\0"[..], hash.as_bytes(), content].concat()
}

#[test]
fn a_folder_that_claims_four_billion_files_is_not_believed() {
    let counts = [1u32, 0, 1].map(u32::to_le_bytes).concat();
    let folder = [0u32, 1, 0, u32::MAX].map(u32::to_le_bytes).concat();
    let content = [&[0; 8][..], &counts, &folder, b"/"].concat();
    assert_eq!(
        StatCache::of_bytes(sealed(&content)).err(),
        Some("is damaged".to_owned())
    );
    let empty = [0u32, 1, 0, 0].map(u32::to_le_bytes).concat();
    let content = [&[0; 8][..], &counts, &empty, b"/"].concat();
    assert_eq!(StatCache::of_bytes(sealed(&content)).unwrap().known(), 0);
}

/// Counts, offsets and lengths that are nearly right.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![8 => 0u32..4, 1 => any::<u32>()];
    (proptest::collection::vec(number, 0..60), ".{0,8}").prop_map(|(numbers, names)| {
        let numbers = numbers.into_iter().flat_map(u32::to_le_bytes);
        numbers.chain(names.into_bytes()).collect()
    })
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_of_caches_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        odd in content(),
    ) {
        prop_assert!(StatCache::of_bytes(bytes.clone()).is_err());
        for content in [bytes, odd] {
            if let Ok(cache) = StatCache::of_bytes(sealed(&content)) {
                prop_assert!(cache.known() <= content.len());
                cache.folder(Path::new("a")).learn(Vec::new(), |_| true);
            }
        }
    }
}
