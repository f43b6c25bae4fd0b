//! When BuildKit could mistake a file for another one.

use super::*;
use std::time::SystemTime;

/// A folder whose files are sent, and a state folder.
struct World {
    folder: tempfile::TempDir,
    inputs: Inputs,
    sends_others: bool,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("in")).unwrap();
        Self {
            folder,
            inputs: Inputs::default(),
            sends_others: false,
        }
    }

    fn root(&self) -> &Utf8Path {
        Utf8Path::from_path(self.folder.path()).unwrap()
    }

    fn state(&self) -> State {
        State::in_folder(self.root().join("state"))
    }

    /// Writes a file with a modification time of `seconds` after 1970.
    fn write(&mut self, name: &str, content: &str, seconds: u64) {
        let path = self.root().join("in").join(name);
        std::fs::write(&path, content).unwrap();
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(time).unwrap();
        self.inputs
            .entries
            .retain(|input| input.path != name.as_bytes());
        self.inputs.entries.push(Input {
            path: name.into(),
            kind: EntryKind::File,
            mode: 0o644,
            size: content.len() as u64,
            hash: Some(*blake3::hash(content.as_bytes()).as_bytes()),
            attributes: None,
            layer: 0,
        });
    }

    fn begin(&self, anew: bool) -> Sending {
        self.begin_at(Some("engine"), "", anew)
    }

    fn begin_at(&self, engine: Option<&str>, name: &str, anew: bool) -> Sending {
        let folder = self.root().join("in");
        let tree = SentTree {
            name,
            folder: &folder,
            inputs: &self.inputs,
            sends_others: self.sends_others,
        };
        Sending::begin(&self.state(), "a", engine, &[tree], anew).unwrap()
    }

    /// Makes a whole call, and gives its name.
    fn call(&self) -> String {
        let sending = self.begin(false);
        let name = sending.ledger.head.name.clone();
        sending.ended().unwrap();
        name
    }
}

#[test]
fn the_name_is_kept_while_every_file_can_be_told_from_what_was_sent() {
    let mut world = World::new();
    world.write("x", "1", 10);
    let name = world.call();
    assert_eq!(world.call(), name);
    world.write("x", "22", 10);
    assert_eq!(world.call(), name, "another size");
    world.write("x", "33", 11);
    assert_eq!(world.call(), name, "another time");
    world.write("x", "22", 10);
    assert_eq!(world.call(), name, "the same again");
    let later = u64::try_from(now()).unwrap() / 1_000_000_000 + 60;
    world.write("new", "1", later);
    assert_eq!(world.call(), name, "a new file");
}

#[test]
fn what_could_be_mistaken_gets_another_name() {
    let mut world = World::new();
    world.write("x", "1", 10);
    let first = world.call();
    world.write("x", "2", 10);
    let second = world.call();
    assert_ne!(second, first, "the same size and time");
    // States older than the last one are remembered, too.
    world.write("x", "3", 11);
    assert_eq!(world.call(), second);
    world.write("x", "4", 10);
    assert_ne!(world.call(), second, "an older state's size and time");
}

#[test]
fn attributes_that_change_without_a_touch_get_another_name() {
    let mut world = World::new();
    world.write("x", "1", 10);
    let first = world.call();
    world.inputs.entries[0].attributes = Some(Box::new([1; 32]));
    let second = world.call();
    assert_ne!(second, first, "an attribute");
    assert_eq!(world.call(), second, "the same again");
    world.inputs.entries[0].attributes = Some(Box::new([2; 32]));
    assert_ne!(world.call(), second, "another value");
}

#[test]
fn a_link_with_attributes_is_sent_anew_each_time() {
    let mut world = World::new();
    world.write("x", "1", 10);
    let mut link = world.inputs.entries[0].clone();
    link.path = b"link".to_vec();
    link.kind = EntryKind::Symlink {
        target: b"x".to_vec(),
    };
    link.hash = None;
    world.inputs.entries.push(link);
    let plain = world.call();
    assert_eq!(world.call(), plain);
    world.inputs.entries[1].attributes = Some(Box::new([1; 32]));
    let with = world.call();
    assert_ne!(with, plain);
    // BuildKit's copy of the link may still have the attributes.
    world.inputs.entries[1].attributes = None;
    assert_ne!(world.call(), with);
}

#[test]
fn a_file_that_was_no_input_before_may_have_been_sent_unless_it_is_new() {
    let mut world = World::new();
    world.write("x", "1", 10);
    let name = world.call();
    world.write("y", "1", 10);
    assert_ne!(world.call(), name);
}

#[test]
fn a_file_that_is_withheld_leaves_nothing_to_rely_on() {
    let mut world = World::new();
    world.write("x", "1", 10);
    let name = world.call();
    world.inputs.entries[0].kind = EntryKind::Withheld;
    let withheld = world.call();
    assert_ne!(withheld, name);
    assert_ne!(world.call(), withheld);
    assert!(!world.root().join("state/sent/a").exists());
}

#[test]
fn files_that_are_sent_without_being_inputs_leave_nothing_to_rely_on() {
    let mut world = World::new();
    world.write("x", "1", 10);
    let name = world.call();
    world.sends_others = true;
    let others = world.call();
    assert_ne!(others, name);
    assert_ne!(world.call(), others);
    world.sends_others = false;
    assert_ne!(world.call(), name);
}

#[test]
fn a_call_that_nobody_saw_end_leaves_nothing_to_rely_on() {
    let mut world = World::new();
    world.write("x", "1", 10);
    let name = world.call();
    drop(world.begin(false));
    assert!(!world.root().join("state/sent/a").exists());
    assert_ne!(world.call(), name);
}

#[test]
fn another_engine_or_one_that_cannot_be_told_was_sent_nothing() {
    let mut world = World::new();
    world.write("x", "1", 10);
    let name = world.call();
    let other = world.begin_at(Some("other"), "", false);
    assert_ne!(other.ledger.head.name, name);
    other.ended().unwrap();
    assert_ne!(world.call(), name);
    world.begin_at(None, "", false).ended().unwrap();
    assert!(!world.root().join("state/sent/a").exists());
}

#[test]
fn a_wish_for_a_new_name_is_one() {
    let mut world = World::new();
    world.write("x", "1", 10);
    let name = world.call();
    assert_ne!(world.begin(true).ledger.head.name, name);
}

#[test]
fn files_of_two_contexts_are_two_files() {
    let mut world = World::new();
    world.write("x", "1", 10);
    let name = world.call();
    let named = world.begin_at(Some("engine"), "more", false);
    assert_ne!(named.ledger.head.name, name, "its x may have been sent");
}

#[test]
fn a_ledger_that_is_damaged_is_none() {
    let mut world = World::new();
    world.write("x", "1", 10);
    let name = world.call();
    let file = world.root().join("state/sent/a");
    let whole = std::fs::read(&file).unwrap();
    let reads = |bytes: &[u8]| {
        let content = state::unseal(KIND, FORMAT, bytes).ok();
        content.and_then(Ledger::of_bytes).is_some()
    };
    assert!(reads(&whole));
    for length in 0..whole.len() {
        assert!(!reads(&whole[..length]), "{length}");
    }
    for at in 0..whole.len() {
        let mut torn = whole.clone();
        torn[at] ^= 1;
        assert!(!reads(&torn), "{at}");
    }
    std::fs::write(&file, &whole[1..]).unwrap();
    assert_ne!(world.begin(false).ledger.head.name, name);
}

/// Saves a ledger before a call with `put_by`, and puts it back after the call with `put_back`.
fn comes_back(put_by: fn(&Utf8Path, &Utf8Path), put_back: fn(&Utf8Path, &Utf8Path)) {
    let mut world = World::new();
    world.write("x", "1", 10);
    let name = world.call();
    let file = world.root().join("state/sent/a");
    let other = world.root().join("other");
    put_by(&file, &other);
    assert_eq!(world.call(), name);
    put_back(&other, &file);
    assert_ne!(world.call(), name);
}

#[test]
fn a_copy_of_a_ledger_is_none() {
    let copy = |from: &Utf8Path, to: &Utf8Path| {
        let _ = std::fs::remove_file(to);
        std::fs::copy(from, to).unwrap();
    };
    comes_back(copy, copy);
}

#[test]
fn another_name_of_a_ledger_is_none() {
    comes_back(
        |file, other| std::fs::hard_link(file, other).unwrap(),
        |other, file| std::fs::rename(other, file).unwrap(),
    );
}

#[test]
fn a_ledger_of_old_states_only_is_given_up_some_time() {
    let mut world = World::new();
    world.write("x", "1", 10);
    let name = world.call();
    let calls = 2000;
    let renamed = (11..11 + calls).find(|at| {
        world.write("x", "1", *at);
        world.call() != name
    });
    assert!(renamed.is_some_and(|at| at > 1000), "{renamed:?}");
}
