//! What counts in a key, and that its format is pinned.

use super::*;

fn file(path: &str, mode: u32) -> Input {
    Input {
        path: path.into(),
        kind: EntryKind::File,
        mode,
        size: 1,
        hash: Some([7; 32]),
        attributes: None,
        layer: 0,
    }
}

fn key_of(entries: Vec<Input>) -> Key {
    let inputs = Inputs {
        entries,
        whole: None,
        bytes: 0,
    };
    Ingredients {
        inputs: vec![("", &inputs)],
        ..Ingredients::default()
    }
    .key()
}

#[test]
fn the_format_is_pinned_by_a_golden_value() {
    // A change here makes every record of every user useless: raise FORMAT with it.
    let args = BTreeMap::from([("A", Some("1")), ("B", None)]);
    let ingredients = Ingredients {
        dockerfile_path: "Dockerfile",
        args,
        ..Ingredients::default()
    };
    assert_eq!(
        ingredients.key().hex(),
        "5b839c044702546c8634303e22467d3870a7dc46d42a55c9fca2f86aa6a59874"
    );
}

#[test]
fn path_and_mode_count_and_a_folders_mode_does_not() {
    let one = key_of(vec![file("a/x", 0o644)]);
    assert_ne!(one, key_of(vec![file("b/x", 0o644)]));
    assert_ne!(one, key_of(vec![file("a/x", 0o755)]));
    let folder = |mode| Input {
        kind: EntryKind::Dir,
        hash: None,
        ..file("a", mode)
    };
    assert_eq!(key_of(vec![folder(0o755)]), key_of(vec![folder(0o700)]));
}

#[test]
fn extended_attributes_count_for_all_that_has_them() {
    let with = |kind: &EntryKind, attributes: Option<u8>| {
        key_of(vec![Input {
            kind: kind.clone(),
            attributes: attributes.map(|byte| Box::new([byte; 32])),
            ..file("x", 0o644)
        }])
    };
    let target = b"y".to_vec();
    for kind in [
        EntryKind::File,
        EntryKind::Fifo,
        EntryKind::Symlink { target },
    ] {
        let keys = [None, Some(1), Some(2)].map(|attributes| with(&kind, attributes));
        assert!(keys[0] != keys[1] && keys[1] != keys[2], "{kind:?}");
    }
}

#[test]
fn no_value_is_not_the_empty_value() {
    let key = |value| {
        Ingredients {
            args: BTreeMap::from([("A", value)]),
            ..Ingredients::default()
        }
        .key()
    };
    assert_ne!(key(None), key(Some("")));
}

#[test]
fn a_named_context_is_not_taken_for_a_folder() {
    let inputs = Inputs {
        entries: vec![file("x", 0o644)],
        whole: None,
        bytes: 0,
    };
    let key = |name| {
        Ingredients {
            inputs: vec![(name, &inputs)],
            ..Ingredients::default()
        }
        .key()
    };
    assert_ne!(key("a"), key_of(vec![file("a/x", 0o644)]));
}

#[test]
fn the_list_comes_from_the_walk_that_made_the_key() {
    let mut ingredients = Ingredients {
        dockerfile: b"FROM scratch",
        ..Ingredients::default()
    };
    let upstream = &mut ingredients.around.upstream;
    upstream.insert("api".into(), "sha256:1".into());
    assert_eq!(of_list(&ingredients.list()), ingredients.key());
}
