//! The layouts that engines and tools write.

use super::super::*;
use super::support::{Blob, Layout, Tar, gzip, image_of, lines, read_with};

const MANY: [&str; 2] = ["a:1", "docker.io/library/a:1"];

#[test]
fn blobs_may_come_in_any_order() {
    let tar = Tar::default().file("a", "1").end();
    let mut layout = Layout::of(&[Blob::gzip(&tar)]);
    let image = image_of(&layout.archive(), Limits::default()).unwrap();
    for _ in 0..layout.files.len() {
        layout.files.rotate_left(1);
        assert_eq!(
            image_of(&layout.archive(), Limits::default()).unwrap(),
            image
        );
    }
    layout.files.push(("oci-layout".to_owned(), b"{}".to_vec()));
    layout
        .files
        .insert(0, ("blobs/sha256/x".to_owned(), b"something".to_vec()));
    for name in MANY {
        let found = read_with(&layout.archive(), &[name], Limits::default());
        assert_eq!(found[0].images().next(), Some(&image), "{name}");
    }
    for digest in [image.config, image.manifest.unwrap()] {
        let found = read_with(&layout.archive(), &[&digest.to_string()], Limits::default());
        assert_eq!(found[0].images().next(), Some(&image));
    }
}

#[test]
fn an_image_that_is_not_there_is_not_read() {
    let layout = Layout::of(&[]);
    let found = read_with(&layout.archive(), &["a:1", "b:1"], Limits::default());
    assert_eq!(found[0].images().count(), 1);
    let said = found[1].faults().next().unwrap().to_string();
    let expected = "cannot read the image b:1 whole: there is no such image; build or pull it, then verify again";
    assert_eq!(said, expected);
}

/// As Docker 23 and 24 write it, with a layer that two images share.
#[test]
fn the_layout_of_older_engines_is_read() {
    let shared = Tar::default().file("shared", "1").end();
    let own = Tar::default().file("own", "2").end();
    let config = |layers: &[&Vec<u8>]| {
        let ids: Vec<String> = layers
            .iter()
            .map(|layer| format!("\"{}\"", Digest::of(layer)))
            .collect();
        let ids = ids.join(",");
        format!(
            r#"{{"architecture":"arm64","variant":"v8","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":[{ids}]}}}}"#
        )
    };
    let (one, other) = (config(&[&shared]), config(&[&shared, &own]));
    let name = |config: &str| format!("{}.json", Digest::of(config.as_bytes()).hex());
    let list = format!(
        r#"[{{"Config":"{}","RepoTags":["a:1","a:2"],"Layers":["11/layer.tar"]}},{{"Config":"{}","RepoTags":null,"Layers":["22/layer.tar","33/layer.tar"]}}]"#,
        name(&one),
        name(&other)
    );
    let archive = Tar::default()
        .folder("11/")
        .file("11/VERSION", "1.0")
        .file("11/json", "{\"id\":\"11\"}")
        .file("11/layer.tar", &shared)
        .symlink("22/layer.tar", "../11/layer.tar")
        .file("33/layer.tar", &own)
        .file(&name(&one), &one)
        .file(&name(&other), &other)
        .file("manifest.json", list)
        .file("repositories", "{\"a\":{\"1\":\"11\"}}")
        .end();
    let id = Digest::of(other.as_bytes()).to_string();
    let found = read_with(&archive, &["a:2", &id, "a:3"], Limits::default());
    let (first, second) = (
        found[0].images().next().unwrap(),
        found[1].images().next().unwrap(),
    );
    assert_eq!(first.layers[0], second.layers[0]);
    assert_eq!(lines(&second.layers[1]), ["- own 1"]);
    assert_eq!(second.facts.platform(), "linux/arm64/v8");
    assert_eq!(
        (second.manifest, second.layers[1].diff_id),
        (None, Digest::of(&own))
    );
    assert_eq!(found[2].faults().next().unwrap().cause, Cause::NoImage);
}

#[test]
fn every_platform_of_an_index_is_read_and_attestations_are_none() {
    let here = Layout::of(&[Blob::plain(Tar::default().file("a", "1").end())]);
    let manifest = here.files[2]
        .0
        .trim_start_matches("blobs/sha256/")
        .to_owned();
    let absent = "0".repeat(64);
    let inner = format!(
        r#"{{"manifests":[{{"digest":"sha256:{manifest}","platform":{{"os":"linux","architecture":"amd64"}}}},{{"digest":"sha256:{absent}","platform":{{"os":"linux","architecture":"arm64","variant":"v8"}}}},{{"digest":"sha256:{absent}","platform":{{"os":"unknown","architecture":"unknown"}},"annotations":{{"vnd.docker.reference.type":"attestation-manifest"}}}}]}}"#
    );
    let outer = format!(
        r#"{{"manifests":[{{"digest":"{}","annotations":{{"org.opencontainers.image.ref.name":"1"}}}}]}}"#,
        Digest::of(inner.as_bytes())
    );
    let mut layout = here;
    layout.files.pop();
    let name = format!("blobs/sha256/{}", Digest::of(inner.as_bytes()).hex());
    layout.files.insert(0, (name, inner.into_bytes()));
    layout
        .files
        .insert(0, ("index.json".to_owned(), outer.into_bytes()));
    let folder = layout.folder();
    let path = camino::Utf8Path::from_path(folder.path()).unwrap();
    let reading = Reading {
        limits: Limits::default(),
        rules: &mut [],
        known: &|_| None,
    };
    let from_folder = reading.folder(path, &["1".to_owned()]);
    let found = read_with(&layout.archive(), &["1"], Limits::default());
    assert_eq!(found, from_folder);
    assert_eq!(found[0].parts.len(), 2);
    assert_eq!(found[0].images().count(), 1);
    let PlatformPart::Absent { platform, .. } = &found[0].parts[1] else {
        panic!("{found:?}")
    };
    assert_eq!(platform, "linux/arm64/v8");
}

/// The error for an image with one wrong layer beside a good one.
fn said(blob: Blob) -> String {
    let digest = Digest::of(&blob.bytes).to_string();
    let good = Blob::plain(Tar::default().file("good", "1").end());
    let said = image_of(&Layout::of(&[good, blob]).archive(), Limits::default()).unwrap_err();
    assert!(
        said.starts_with(&format!("cannot read the image a:1 whole: layer {digest} ")),
        "{said}"
    );
    assert!(said.contains("; ") && !said.contains('\n'), "{said}");
    said
}

#[test]
fn layers_that_cannot_be_read_are_named_with_their_cause() {
    let tar = || Tar::default().file("a", "1").end();
    let absent = |media_type: &str, more: &str| Blob {
        is_there: false,
        media_type: media_type.to_owned(),
        more: more.to_owned(),
        ..Blob::plain(tar())
    };
    let plain = "application/vnd.oci.image.layer.v1.tar";
    assert!(said(absent(plain, "")).contains(" is absent; "));
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let urls = r#","urls":["https://example.com/l"]"#;
    assert!(
        said(absent(foreign, urls))
            .contains("is foreign: its bytes are only at https://example.com/l;")
    );
    assert!(said(absent(foreign, "")).contains("is foreign"));
    let of_type = |media_type: &str| Blob {
        media_type: media_type.to_owned(),
        ..Blob::plain(tar())
    };
    let encrypted = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted";
    assert!(said(of_type(encrypted)).contains("is encrypted"));
    assert!(
        said(of_type("application/vnd.wasm")).contains("unknown media type `application/vnd.wasm`")
    );
    let random = Blob {
        bytes: b"no archive at all".repeat(100),
        ..Blob::plain(tar())
    };
    assert!(said(random).contains("neither a tar archive nor a compressed one"));
    let other = Blob {
        bytes: gzip(&Tar::default().file("b", "1").end()),
        ..Blob::plain(tar())
    };
    assert!(said(other).contains("and the configuration says"));
    let mut broken = Blob::gzip(&Tar::default().file("a", vec![7; 100_000]).end());
    let middle = broken.bytes.len() / 2;
    broken.bytes[middle] ^= 0xff;
    assert!(said(broken).contains("cannot be decompressed"));
    let mut short = tar();
    short.truncate(700);
    assert!(said(Blob::plain(short)).contains("ends in the middle of an entry"));
}

#[test]
fn a_blob_with_other_bytes_than_its_name_says_is_found_out() {
    for kind in [Blob::plain, |tar: Vec<u8>| Blob::gzip(&tar)] {
        let mut layout = Layout::of(&[kind(Tar::default().file("a", "1").end())]);
        layout.files[0].1 = kind(Tar::default().file("a", "2").end()).bytes;
        let said = image_of(&layout.archive(), Limits::default()).unwrap_err();
        assert!(
            said.contains("holds other bytes: their digest is sha256:"),
            "{said}"
        );
    }
    let mut layout = Layout::of(&[]);
    layout.files[0].1.push(b' ');
    let said = image_of(&layout.archive(), Limits::default()).unwrap_err();
    assert!(
        said.contains("has other bytes than its digest says"),
        "{said}"
    );
}

#[test]
fn a_foreign_layer_whose_bytes_are_there_is_read() {
    let mut blob = Blob::gzip(&Tar::default().file("a", "1").end());
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip".clone_into(&mut blob.media_type);
    image_of(&Layout::of(&[blob]).archive(), Limits::default()).unwrap();
}

#[test]
fn a_stream_that_breaks_off_is_no_image() {
    let archive = Layout::of(&[Blob::gzip(&Tar::default().file("a", "1").end())]).archive();
    for length in (0..archive.len() - 1024).step_by(97) {
        let said = image_of(&archive[..length], Limits::default()).unwrap_err();
        assert!(
            said.contains("breaks off") || said.contains("index.json is absent"),
            "{length}: {said}"
        );
    }
}
