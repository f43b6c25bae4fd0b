//! Any bytes in any chunks give the same findings, no panic, and work that grows with the size.

use proptest::prelude::*;

use super::made;
use crate::verify::secrets::view::AHEAD;
use crate::verify::secrets::{FoundSecret, Scanner, by_path, in_environment, in_text, shapes};

/// The most bytes that are read for each byte of a file, whatever the file holds.
const MOST_WORK: u64 = 130;

fn scan(path: &str, chunks: &[&[u8]]) -> (Vec<FoundSecret>, u64) {
    let mut scanner = Scanner::new(path, 0);
    chunks.iter().for_each(|chunk| scanner.feed(chunk));
    scanner.finish_with_work()
}

/// Anchors and secrets of all shapes, in any order, between any bytes.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let anchors: Vec<Vec<u8>> = shapes()
        .flat_map(|shape| shape.anchors().iter().map(|text| text.as_bytes().to_vec()))
        .collect();
    let secrets: Vec<Vec<u8>> = made::all(50)
        .into_iter()
        .map(|(_, secret)| secret.into_bytes())
        .collect();
    let piece = prop_oneof![
        4 => prop::sample::select(anchors),
        2 => prop::sample::select(secrets),
        2 => prop::collection::vec(any::<u8>(), 0..40),
        2 => "[A-Za-z0-9_@:./\n=-]{0,60}".prop_map(String::into_bytes),
        1 => Just(b"-----BEGIN RSA PRIVATE KEY-----\n".to_vec()),
        1 => Just(b"\0".to_vec()),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_chunks_give_the_same_findings(
        bytes in soup(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        path in prop::sample::select(vec!["app/x", ".env", "a/.npmrc", ".docker/config.json"]),
        padding in prop::sample::select(vec![0usize, 7990, 255 * 1024, 320 * 1024]),
    ) {
        let bytes = [b"a line\n".repeat(padding / 7), bytes].concat();
        let whole = scan(path, &[&bytes]);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
        prop_assert_eq!(scan(path, &chunks), whole);
    }

    #[test]
    fn any_text_is_survived(bytes in soup(), name in ".{0,30}") {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        in_text(&name, &text);
        in_text("", &text);
        in_environment(&[(name.as_str(), text.as_str())]);
        by_path(&text);
        let (_, work) = scan(&text, &[&bytes]);
        prop_assert!(work <= MOST_WORK * bytes.len() as u64 + 4096, "{work} for {}", bytes.len());
    }
}

#[test]
fn a_secret_is_found_byte_by_byte() {
    for (shape, secret) in made::all(51) {
        let bytes: Vec<&[u8]> = secret.as_bytes().chunks(1).collect();
        let (found, _) = scan("app/x", &bytes);
        assert!(found.iter().any(|found| found.shape == shape), "{shape}");
    }
}

#[test]
fn work_grows_with_the_size_whatever_a_file_repeats() {
    let size = 3 * AHEAD;
    let secrets: Vec<String> = made::all(52)
        .into_iter()
        // A secret without its end, repeated: nothing is found, and nothing is skipped.
        .map(|(_, secret)| secret[..secret.len() - 2].to_owned())
        .collect();
    let mut patterns: Vec<Vec<u8>> = secrets.into_iter().map(String::into_bytes).collect();
    for shape in shapes() {
        for anchor in shape.anchors() {
            patterns.push(anchor.as_bytes().to_vec());
            for filler in ["A", "a1", " ", "\n", "-", "AKIA", "\\n"] {
                patterns.push([anchor, filler].concat().into_bytes());
            }
        }
    }
    patterns.push(b"-----BEGIN PRIVATE KEY-----\n".to_vec());
    patterns.push(b"-----BEGIN PRIVATE KEY-----\nA: b\n".to_vec());
    patterns.push(
        b"PuTTY-User-Key-File-2: x\nEncryption: none\nComment: \nPublic-Lines: 99\n".to_vec(),
    );
    for pattern in patterns {
        let bytes = pattern.repeat(size / pattern.len() + 1);
        let (_, work) = scan("app/x", &[&bytes]);
        assert!(
            work <= MOST_WORK * bytes.len() as u64,
            "{} times the size for {:?}",
            work / bytes.len() as u64,
            String::from_utf8_lossy(&pattern)
        );
        // One anchor, followed by endless bytes that its shape would read.
        let filler = b"aA1b".repeat(size / 4);
        let bytes = [&pattern[..], &filler].concat();
        let (_, work) = scan("app/x", &[&bytes]);
        assert!(work <= MOST_WORK * bytes.len() as u64);
    }
}
