//! Facts, findings, and layers that were read before.

use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::*;
use super::support::{Blob, Layout, Tar, image_of};

/// Finds a word, wherever the pieces end.
struct Word {
    seen: Vec<u8>,
    looks: Arc<AtomicUsize>,
}

impl ContentRule for Word {
    fn name(&self) -> &'static str {
        "word"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn start(&mut self, entry: &Entry<'_>, findings: &mut Vec<ContentFinding>) -> Wish {
        self.looks.fetch_add(1, Ordering::Relaxed);
        if entry.path.ends_with(b".git") {
            findings.push(ContentFinding::at(entry, "git", "a repository"));
        }
        if entry.path.ends_with(b".bin") {
            Wish::Nothing
        } else {
            Wish::Content
        }
    }

    fn chunk(&mut self, bytes: &[u8]) {
        self.seen.extend_from_slice(bytes);
    }

    fn end(&mut self, entry: &Entry<'_>, findings: &mut Vec<ContentFinding>) {
        assert_eq!(self.seen.len() as u64, entry.size);
        assert_eq!(entry.hash, Some(blake3::hash(&self.seen).as_bytes()));
        if let Some(at) = self.seen.windows(6).position(|part| part == b"secret") {
            let found = ContentFinding::at(entry, "word", "the word");
            findings.push(ContentFinding {
                at: Some(at as u64),
                ..found
            });
        }
        self.seen.clear();
    }

    fn reset(&mut self) {
        self.seen.clear();
    }
}

fn rules(looks: &Arc<AtomicUsize>) -> Vec<Box<dyn ContentRule>> {
    vec![Box::new(Word {
        seen: Vec::new(),
        looks: Arc::clone(looks),
    })]
}

#[test]
fn rules_see_every_entry_and_the_content_that_they_ask_for() {
    let long = [vec![b'x'; 600_000], b"secret".to_vec()].concat();
    let tar = Tar::default()
        .folder(".git")
        .file("long", &long)
        .file("a.bin", "secret")
        .file("twice", "secret")
        .file("twice", "nothing")
        .end();
    let layout = Layout::of(&[Blob::gzip(&tar)]).archive();
    let looks = Arc::default();
    let mut rules = rules(&looks);
    let reading = Reading {
        limits: Limits::default(),
        rules: &mut rules,
        known: &|_| None,
    };
    let found = reading.archive(Cursor::new(layout), &["a:1".to_owned()]);
    let image = found[0].images().next().unwrap();
    let findings = &image.layers[0].findings;
    let said: Vec<(String, u32, Option<u64>)> = findings[0]
        .found
        .iter()
        .map(|finding| (finding.path.clone(), finding.entry, finding.at))
        .collect();
    let expected = [
        (".git".to_owned(), 0, None),
        ("long".to_owned(), 1, Some(600_000)),
        ("twice".to_owned(), 3, Some(0)),
    ];
    assert_eq!(said, expected);
    assert_eq!(looks.load(Ordering::Relaxed), 5);
    // The saved form gives back the same layer, and a damaged one gives none.
    let layer = &*image.layers[0];
    let kept = layer.to_bytes().unwrap();
    assert_eq!(Layer::of_bytes(&kept).as_ref(), Some(layer));
    for end in 0..kept.len() {
        assert_eq!(Layer::of_bytes(&kept[..end]), None);
    }
    assert!(image.layers[0].was_seen_by(&rules));
}

#[test]
fn layers_that_are_known_or_shared_are_not_read_again() {
    let shared = Tar::default().file("a", "secret").end();
    let own = Tar::default().file("b", "secret").end();
    let layout = Layout::of(&[Blob::gzip(&shared), Blob::plain(own), Blob::gzip(&shared)]);
    let looks = Arc::default();
    let mut rules = rules(&looks);
    let folder = layout.folder();
    let path = camino::Utf8Path::from_path(folder.path()).unwrap();
    let read = |rules: &mut [Box<dyn ContentRule>], known: Known<'_>| {
        let reading = Reading {
            limits: Limits::default(),
            rules,
            known,
        };
        let mut found = reading.folder(path, &["a:1".to_owned()]);
        assert_eq!(found[0].faults().count(), 0, "{found:?}");
        found.remove(0).images().next().unwrap().clone()
    };
    let image = read(&mut rules, &|_| None);
    assert_eq!(looks.load(Ordering::Relaxed), 2);
    let kept = image.clone();
    let of = |digest: &Digest| {
        kept.layers
            .iter()
            .find(|layer| layer.digest == *digest)
            .cloned()
    };
    // A known layer is not even opened.
    for layer in &image.layers[..2] {
        std::fs::remove_file(path.join("blobs/sha256").join(layer.digest.hex())).unwrap();
    }
    assert_eq!(read(&mut rules, &of), image);
    assert_eq!(looks.load(Ordering::Relaxed), 2);
    let reading = Reading {
        limits: Limits::default(),
        rules: &mut rules,
        known: &of,
    };
    let found = reading.archive(Cursor::new(layout.archive()), &[]);
    assert_eq!(found[0].images().next(), Some(&image));
    assert_eq!(looks.load(Ordering::Relaxed), 2);
}

#[test]
fn bytes_under_the_name_of_a_known_layer_are_not_taken_for_it() {
    let good = Tar::default().file("a", "1").end();
    let layout = Layout::of(&[Blob::plain(good)]);
    let image = image_of(&layout.archive(), Limits::default()).unwrap();
    let mut wrong = layout.clone();
    wrong.files[0].1 = Tar::default().file("a", "2").end();
    let known =
        |digest: &Digest| (*digest == image.layers[0].digest).then(|| Arc::clone(&image.layers[0]));
    let reading = Reading {
        limits: Limits::default(),
        rules: &mut [],
        known: &known,
    };
    let found = reading.archive(Cursor::new(wrong.archive()), &[]);
    let said = found[0].faults().next().unwrap().to_string();
    assert!(said.contains("holds other bytes"), "{said}");
}

#[test]
fn facts_and_the_instruction_of_each_layer_are_told() {
    let layout = Layout::of(&[
        Blob::gzip(&Tar::default().file("a", "1").end()),
        Blob::zstd(&Tar::default().file("b", "2").end()),
    ]);
    let image = image_of(&layout.archive(), Limits::default()).unwrap();
    let facts = &image.facts;
    assert_eq!(facts.platform(), "linux/amd64");
    assert_eq!(image.listed_platform.as_deref(), Some("linux/amd64"));
    assert_eq!(
        (facts.user.as_str(), facts.working_dir.as_str()),
        ("1001", "/w")
    );
    assert_eq!(
        (facts.entrypoint.as_slice(), facts.cmd.len()),
        (&["/e".to_owned()][..], 0)
    );
    assert_eq!(facts.exposed_ports, ["5001/tcp"]);
    assert_eq!(facts.healthcheck.as_deref().unwrap(), ["CMD", "/h"]);
    assert_eq!(
        (facts.env[0].as_str(), facts.labels["l"].as_str()),
        ("A=b", "m")
    );
    assert_eq!(image.instruction(1).unwrap().created_by, "RUN step 1");
    assert_eq!(facts.instructions(), [Some(0), Some(2)]);
    let digests: Vec<Digest> = layout
        .files
        .iter()
        .map(|(_, bytes)| Digest::of(bytes))
        .collect();
    assert_eq!(image.config, digests[2]);
    assert_eq!(image.manifest, Some(digests[3]));
    assert_eq!(image.layers[1].compression, Compression::Zstd);
}

#[test]
fn a_configuration_that_says_one_thing_twice_is_not_judged() {
    let blobs = [Blob::plain(Tar::default().file("a", "1").end())];
    let layout = Layout::with(&blobs, r#"{"User":"1001","user":"0"}"#);
    let said = image_of(&layout.archive(), Limits::default()).unwrap_err();
    assert!(said.contains("it spells `User` as `user`"), "{said}");
}
