//! Hostile archives end in one sentence, soon and with little memory.

use super::super::*;
use super::support::{Blob, Layout, Tar, field, gzip, header, image_of, layer, lines, seal, zstd};

fn small() -> Limits {
    Limits {
        layer: 4 << 20,
        total: 6 << 20,
        ratio: 50,
        ratio_from: 1 << 20,
        entries: 100,
        names: 4000,
        ..Limits::default()
    }
}

#[track_caller]
fn says(blob: Blob, limits: Limits, text: &str) {
    let said = image_of(&Layout::of(&[blob]).archive(), limits).unwrap_err();
    assert!(said.contains(text), "{said}");
}

#[test]
fn bombs_are_not_unpacked() {
    let zeros = Tar::default().file("zeros", vec![0; 3 << 20]).end();
    for blob in [Blob::gzip(&zeros), Blob::zstd(&zeros)] {
        says(blob, small(), "bytes for each compressed byte beyond 50");
    }
    let noise: Vec<u8> = (0..5_u32 << 20)
        .map(|at| at.wrapping_mul(0x9e37_79b9).to_be_bytes()[0])
        .collect();
    let tar = Tar::default().file("noise", &noise).end();
    says(
        Blob::plain(tar.clone()),
        small(),
        "bytes of a layer beyond 4194304",
    );
    let half = |name: &str| Blob::plain(Tar::default().file(name, &noise[..3 << 20]).end());
    let layout = Layout::of(&[half("a"), half("b")]);
    let said = image_of(&layout.archive(), small()).unwrap_err();
    assert!(
        said.contains("bytes of all layers beyond 6291456"),
        "{said}"
    );
    // An empty file of an exabyte, in a thousand bytes.
    let sparse = Tar::default()
        .pax(&[
            ("GNU.sparse.major", "0"),
            ("GNU.sparse.minor", "1"),
            ("GNU.sparse.name", "large"),
            ("GNU.sparse.size", "1152921504606846976"),
            ("GNU.sparse.numblocks", "1"),
            ("GNU.sparse.map", "0,0"),
        ])
        .file("x", "")
        .end();
    says(Blob::plain(sparse), Limits::default(), "bytes of a layer");
}

#[test]
fn gzip_of_gzip_is_no_layer() {
    let noise: Vec<u8> = (0..9999_u32)
        .map(|at| (at * at / 7).to_be_bytes()[3])
        .collect();
    let tar = Tar::default().file("a", &noise).end();
    for compress in [gzip, zstd] {
        let bytes = compress(&gzip(&tar));
        let blob = Blob {
            bytes,
            ..Blob::plain(gzip(&tar))
        };
        says(blob, Limits::default(), "wrong checksum");
    }
}

#[test]
fn absurd_names_and_numbers_of_entries_are_refused() {
    let many = (0..200).fold(Tar::default(), |tar, number| {
        tar.file(&format!("{number}"), "")
    });
    says(Blob::plain(many.end()), small(), "entries beyond 100");
    let long = |length: usize| {
        Tar::default()
            .pax(&[("path", &"x/".repeat(length / 2))])
            .file("x", "")
            .end()
    };
    says(
        Blob::plain(long(5000)),
        Limits::default(),
        "bytes of one name beyond 4096",
    );
    assert!(layer(&long(4000)).is_ok());
    let names = (0..3).fold(Tar::default(), |tar, _| {
        Tar([tar.0, long(2000)[..3072].to_vec()].concat())
    });
    says(
        Blob::plain(names.end()),
        small(),
        "bytes of names beyond 4000",
    );
    let huge = Tar::default().block(&header(b"x", b'L', 1 << 40)).end();
    says(
        Blob::plain(huge),
        Limits::default(),
        "bytes of an extended header beyond 1048576",
    );
    let link = Tar::default()
        .pax(&[("linkpath", &"y".repeat(70_000))])
        .symlink("x", "y")
        .end();
    says(Blob::plain(link), Limits::default(), "bytes of one name");
}

#[test]
fn paths_that_leave_the_image_are_refused() {
    for name in ["../etc/passwd", "a/../../b", "a/.."] {
        let said = layer(&Tar::default().file(name, "x").end()).unwrap_err();
        assert!(
            said.contains("leaves its folder by `..`") && said.contains(name),
            "{said}"
        );
    }
    let said = layer(&Tar::default().hard_link("a", "../../etc/shadow").end()).unwrap_err();
    assert!(said.contains("leaves its folder"), "{said}");
    // A symlink may lead anywhere.
    assert!(layer(&Tar::default().symlink("a", "../../etc/shadow").end()).is_ok());
    for name in [".wh.", "d/.wh..", "d/.wh..."] {
        let said = layer(&Tar::default().file(name, "").end()).unwrap_err();
        assert!(
            said.contains("deletes the folder that it lies in"),
            "{said}"
        );
    }
}

#[test]
fn archives_that_readers_disagree_on_are_refused() {
    let good = Tar::default().file("a", "1");
    let hidden = [good.clone().end(), Tar::default().file("hidden", "x").end()].concat();
    assert!(
        layer(&hidden)
            .unwrap_err()
            .contains("it has data after its end")
    );
    let gap = Tar([good.clone().0, vec![0; 512], Tar::default().file("b", "").0].concat());
    assert!(
        layer(&gap.end())
            .unwrap_err()
            .contains("between two entries")
    );
    let unknown = good.clone().entry("b", b'V', "").end();
    assert!(
        layer(&unknown).unwrap_err().contains("type `V`"),
        "{unknown:?}"
    );
    let mut wrong = header(b"b", b'0', 0);
    wrong[0] = b'c';
    assert!(
        layer(&good.clone().block(&wrong).end())
            .unwrap_err()
            .contains("wrong checksum")
    );
    let mut owner = header(b"b", b'0', 0);
    field(
        &mut owner,
        108,
        8,
        "\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}",
    );
    seal(&mut owner);
    assert!(layer(&good.clone().block(&owner).end()).is_err());
    let version = good
        .pax(&[("GNU.sparse.major", "2"), ("GNU.sparse.minor", "0")])
        .file("s", "");
    assert!(
        layer(&version.end())
            .unwrap_err()
            .contains("unknown version")
    );
}

/// Archives as in RUSTSEC-2026-0068 and similar faults: the plain header contradicts the size in
/// the extended header.
#[test]
fn the_size_of_an_extended_header_counts() {
    let inner = Tar::default().file("smuggled", "x").0;
    let tar = Tar::default()
        .pax(&[("size", &inner.len().to_string())])
        .block(&header(b"a", b'0', 0));
    let tar = tar.content(&inner).file("b", "");
    assert_eq!(
        lines(&layer(&tar.end()).unwrap()),
        [format!("- a {}", inner.len()), "- b 0".to_owned()]
    );
    // For engines, links and folders have no data, whatever their size field says.
    let folder = Tar::default().block(&header(b"d", b'5', 512)).file("e", "");
    assert_eq!(lines(&layer(&folder.end()).unwrap()), ["d d", "- e 0"]);
}

#[test]
fn a_wrong_sparse_map_is_an_error() {
    let sparse = |map: &str, blocks: &str, size: &str| {
        layer(
            &Tar::default()
                .pax(&[
                    ("GNU.sparse.size", size),
                    ("GNU.sparse.numblocks", blocks),
                    ("GNU.sparse.map", map),
                ])
                .file("s", "12")
                .end(),
        )
    };
    assert_eq!(lines(&sparse("0,1,9,1", "2", "10").unwrap()), ["- s 10"]);
    for (map, blocks, size) in [
        ("0,1,9,1", "3", "10"),
        ("9,1,0,1", "2", "10"),
        ("0,2,1,0", "2", "10"),
        ("0,1,9,2", "2", "10"),
        ("0,1,9,1", "2", "9"),
        ("0,1", "1", "10"),
        ("0,x,9,1", "2", "10"),
        (
            "0,9223372036854775807,9223372036854775807,9223372036854775807",
            "2",
            "10",
        ),
    ] {
        assert!(sparse(map, blocks, size).is_err(), "{map}");
    }
}

mod random {
    use proptest::prelude::*;

    use super::super::super::*;
    use super::super::support::{Blob, Layout, Tar, image_of, layer};

    proptest! {
        #[test]
        fn random_bytes_are_survived(bytes: Vec<u8>) {
            let _ = image_of(&bytes, Limits::default());
            let _ = layer(&bytes);
        }

        #[test]
        fn damaged_archives_are_survived(at: prop::sample::Index, byte: u8, kind in 0_usize..3) {
            let tar = Tar::default()
                .pax(&[("path", "a\nb"), ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.size", "9")])
                .file("s", format!("1\n8\n1\n{:506}x", ""))
                .folder("d").hard_link("h", "s").symlink("l", "d").file("l/x", "1").file(".wh.d", "")
                .end();
            let mut damaged = tar.clone();
            *at.get_mut(&mut damaged) = byte;
            if let Ok(layer) = layer(&damaged) {
                View::of(&[layer]).shadowed();
            }
            let blob = [Blob::plain(tar.clone()), Blob::gzip(&tar), Blob::zstd(&tar)].into_iter().nth(kind).unwrap();
            let mut archive = Layout::of(&[blob]).archive();
            *at.get_mut(&mut archive) = byte;
            let _ = image_of(&archive, Limits::default());
        }
    }
}
