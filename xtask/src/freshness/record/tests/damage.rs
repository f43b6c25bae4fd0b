//! Damaged or foreign files: the stage then counts as never built, and nothing else goes wrong.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use proptest::prelude::*;

use crate::freshness::record::*;

/// A state folder with a record of `a` and one of `b`.
struct World {
    folder: tempfile::TempDir,
    store: RecordStore,
}

fn ingredients(stage: &str) -> Vec<Ingredient> {
    let one = |what, name: &str| Ingredient {
        what,
        name: name.into(),
        value: b"value".to_vec(),
    };
    vec![
        one(IngredientKind::Format, ""),
        one(IngredientKind::Input, stage),
    ]
}

fn key_of(stage: &str) -> Key {
    key::of_list(&ingredients(stage))
}

fn record(stage: &str) -> Record {
    Record {
        key: key_of(stage),
        image: format!("sha256:{stage}"),
        private: format!("private:{stage}"),
        references: vec![format!("{stage}:latest")],
        size: 1,
        duration_ms: 2,
        ended_ms: 3,
        volatile: Volatile::default(),
        manifest: None,
        parts: Vec::new(),
    }
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        let store = RecordStore::of(State::in_folder(path));
        let world = Self { folder, store };
        world.save("a").unwrap();
        world.save("b").unwrap();
        world
    }

    fn save(&self, stage: &str) -> std::io::Result<Record> {
        let miss = self.store.miss(stage, key_of(stage), ingredients(stage));
        miss.save(record(stage), false)
    }

    fn records(&self, stage: &str) -> Utf8PathBuf {
        self.store.records_file(stage)
    }

    fn made_of(&self, stage: &str) -> Utf8PathBuf {
        self.store.made_of_file(stage, key_of(stage))
    }

    fn knows(&self, stage: &str) -> bool {
        self.store.records(stage).0.of(key_of(stage)).next() == Some(&record(stage))
    }

    fn explains(&self, stage: &str) -> bool {
        self.store.made_of(stage, key_of(stage)) == Some(ingredients(stage))
    }

    /// Checks that the file of `a` cannot be used, with a warning, and that of `b` is as it was.
    #[track_caller]
    fn has_lost(&self, what: &str) {
        let (records, warning) = self.store.records("a");
        assert!(records.last().is_none(), "{what}");
        let warning = warning.unwrap_or_else(|| panic!("{what}: no warning"));
        assert!(
            warning.contains("counts as never built"),
            "{what}: {warning}"
        );
        assert!(self.knows("b"), "{what}");
    }
}

#[test]
fn every_flipped_bit_and_every_truncation_of_a_record_is_noticed() {
    let world = World::new();
    assert!(world.knows("a") && world.explains("a"));
    let good = fs::read(world.records("a")).unwrap();
    let made_of = fs::read(world.made_of("a")).unwrap();
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut flipped = good.clone();
            flipped[at] ^= 1 << bit;
            assert!(Records::read(&flipped).is_err(), "bit {bit} of byte {at}");
        }
        assert!(Records::read(&good[..at]).is_err(), "cut at {at}");
        fs::write(world.records("a"), &good[..at]).unwrap();
        world.has_lost("cut");
    }
    for at in 0..made_of.len() {
        for bit in 0..8 {
            let mut flipped = made_of.clone();
            flipped[at] ^= 1 << bit;
            assert_eq!(read_made_of(&flipped), None, "bit {bit} of byte {at}");
        }
        assert_eq!(read_made_of(&made_of[..at]), None, "cut at {at}");
        fs::write(world.made_of("a"), &made_of[..at]).unwrap();
        assert!(!world.explains("a"), "cut at {at}");
    }
}

#[test]
fn whatever_stands_in_a_records_place_is_told_and_the_next_build_mends_it() {
    let world = World::new();
    let made_of = fs::read(world.made_of("a")).unwrap();
    let newer = state::seal(RECORDS, FORMAT + 1, b"{\"list\":[]}");
    let foreign = state::seal(RECORDS, FORMAT, b"{\"list\":[{\"key\":\"x\"}]}");
    let longer = [&fs::read(world.records("a")).unwrap()[..], b"\n"].concat();
    for bytes in [
        &b""[..],
        b"garbage",
        b"\n\n",
        b"\xff\0",
        &made_of,
        &newer,
        &foreign,
        &longer,
    ] {
        fs::write(world.records("a"), bytes).unwrap();
        world.has_lost(&String::from_utf8_lossy(bytes));
        world.save("a").unwrap();
        assert!(world.knows("a"));
    }
}

#[test]
fn what_is_no_file_is_neither_read_nor_waited_for() {
    let world = World::new();
    for file in [world.records("a"), world.made_of("a")] {
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
    }
    world.has_lost("a folder");
    assert!(!world.explains("a"));
    assert!(world.save("a").is_err(), "which is told as well");
    for file in [world.records("a"), world.made_of("a")] {
        fs::remove_dir(&file).unwrap();
        let (pipe, mode) = (rustix::fs::FileType::Fifo, 0o600.into());
        rustix::fs::mknodat(rustix::fs::CWD, file.as_std_path(), pipe, mode, 0).unwrap();
    }
    world.has_lost("a pipe");
    assert!(!world.explains("a"));
    world.save("a").unwrap();
    assert!(world.knows("a") && world.explains("a"));
}

#[test]
fn a_link_to_nowhere_is_no_record_and_is_replaced_by_one() {
    let world = World::new();
    for file in [world.records("a"), world.made_of("a")] {
        fs::remove_file(&file).unwrap();
        symlink("nowhere", &file).unwrap();
    }
    assert!(!world.knows("a") && !world.explains("a"));
    world.save("a").unwrap();
    assert!(world.knows("a") && world.explains("a"));
    assert!(!world.folder.path().join("records/nowhere").exists());
}

#[test]
fn a_record_that_may_not_be_read_is_told() {
    let world = World::new();
    for file in [world.records("a"), world.made_of("a")] {
        fs::set_permissions(file, fs::Permissions::from_mode(0o000)).unwrap();
    }
    // A user who may read everything (root) can read this file as well.
    if fs::read(world.records("a")).is_ok() {
        assert!(world.knows("a") && world.explains("a"));
    } else {
        world.has_lost("forbidden");
        assert!(!world.explains("a"));
    }
}

#[test]
fn a_file_in_place_of_a_folder_is_told() {
    let world = World::new();
    fs::remove_dir_all(world.folder.path().join("records")).unwrap();
    fs::write(world.folder.path().join("records"), "").unwrap();
    let (records, warning) = world.store.records("a");
    assert!(records.last().is_none() && warning.is_some());
    assert!(world.save("a").is_err());
}

#[test]
fn the_files_of_another_stage_or_key_say_nothing_about_this_one() {
    let world = World::new();
    fs::copy(world.records("b"), world.records("a")).unwrap();
    let (records, warning) = world.store.records("a");
    assert!(records.of(key_of("a")).next().is_none() && warning.is_none());
    assert!(!records.made("sha256:a"));
    fs::copy(world.made_of("b"), world.made_of("a")).unwrap();
    assert_eq!(world.store.made_of("a", key_of("a")), None);
    assert!(world.explains("b"));
}

#[test]
fn a_record_that_means_harm_is_read_or_refused() {
    let read = |content: &str| Records::read(&state::seal(RECORDS, FORMAT, content.as_bytes()));
    let one = serde_json::to_string(&record("a")).unwrap();
    let many = read(&format!(
        "{{\"list\":[{}{one}]}}",
        format!("{one},").repeat(100_000)
    ));
    assert!(many.unwrap().made("sha256:a"));
    let long = one.replace("sha256:a", &"x".repeat(1 << 20));
    assert!(
        read(&format!("{{\"list\":[{long}]}}"))
            .unwrap()
            .made(&"x".repeat(1 << 20))
    );
    for (open, close) in [("[", "]"), ("{\"list\":", "}")] {
        let deep = [&open.repeat(1 << 18), "1", &close.repeat(1 << 18)].concat();
        assert!(read(&deep).is_err());
        assert!(
            read(&format!("{{\"list\":[],\"other\":{deep}}}")).is_ok(),
            "nobody asks for it"
        );
    }
    assert!(Records::read(&b"x".repeat(1 << 20)).is_err());
    assert!(Records::read(&b" ".repeat(1 << 20)).is_err());
    assert!(Records::read(&b"\n".repeat(1 << 20)).is_err());
    let list: Vec<Ingredient> = (0..100_000)
        .flat_map(|n| ingredients(&n.to_string()))
        .collect();
    let sealed = state::seal(MADE_OF, FORMAT, &encode(&list));
    assert_eq!(read_made_of(&sealed).unwrap(), list);
    let lies = [
        &[IngredientKind::Input as u8][..],
        &u32::MAX.to_le_bytes(),
        b"short",
    ]
    .concat();
    assert_eq!(read_made_of(&state::seal(MADE_OF, FORMAT, &lies)), None);
}

/// Kinds, lengths and bytes that are nearly right.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        (0u8..17).prop_map(|kind| vec![kind]),
        (0u32..5).prop_map(|length| length.to_le_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..5),
    ];
    proptest::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_bytes_make_the_readers_of_records_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
        nearly in nearly(),
        json in r#"(\{|\}|\[|\]|,|"list":|"key":|"(00){32}"|"image":"x"|"size":|-?1e?9?|null){0,20}"#,
    ) {
        for bytes in [&bytes[..], &nearly, json.as_bytes()] {
            prop_assert!(Records::read(bytes).is_err());
            prop_assert!(read_made_of(bytes).is_none());
            let _ = Records::read(&state::seal(RECORDS, FORMAT, bytes));
            if let Some(list) = read_made_of(&state::seal(MADE_OF, FORMAT, bytes)) {
                prop_assert_eq!(encode(&list), bytes);
            }
        }
    }
}
