//! Reads manifests and blobs.

use super::{Reply, Server, registries, say, told, with};
use crate::{Effort, Trouble, hash};

const TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

#[test]
fn a_manifest_is_one_request_and_comes_with_type_and_digest() {
    let server = Server::start(|asked, _| {
        assert!(asked.header("accept").contains("manifest.list.v2"));
        let headers = vec![("Content-Type", format!("{TYPE}; charset=utf-8"))];
        Reply::Say(200, headers, b"{}".to_vec())
    });
    let registries = registries(None);
    let digest = hash::of(b"{}");
    for which in ["1", &digest] {
        let manifest = registries
            .manifest(&server.reference(), which, Effort::Full)
            .unwrap()
            .unwrap();
        assert_eq!(manifest.bytes, b"{}");
        assert_eq!(manifest.media_type, TYPE);
        assert_eq!(manifest.digest, digest);
    }
    assert_eq!(registries.requests(), 2);
    assert_eq!(server.lines()[0], "GET /v2/a/b/manifests/1");
}

#[test]
fn what_has_another_digest_is_refused() {
    let wanted = hash::of(b"wanted");
    let server = Server::start({
        let wanted = wanted.clone();
        move |_, _| {
            let headers = vec![("Docker-Content-Digest", wanted.clone())];
            Reply::Say(200, headers, b"other!".to_vec())
        }
    });
    let registries = registries(None);
    let image = server.reference();
    let errors = [
        registries.manifest(&image, &wanted, Effort::Brief).err(),
        registries.manifest(&image, "1", Effort::Brief).err(),
        registries.blob(&image, &wanted, 100, Effort::Brief).err(),
        registries.read_blob(&image, &wanted, &mut Vec::new()).err(),
    ];
    for error in errors {
        let error = error.unwrap();
        assert!(matches!(error.trouble, Trouble::Wrong(_)), "{error}");
    }
    // A digest that came to its end is not fetched again.
    assert_eq!(registries.requests(), 4);
    // Neither is a name asked for that would be another address.
    for wrong in ["../x", "", "sha256:aa", "a b"] {
        assert!(registries.manifest(&image, wrong, Effort::Full).is_err());
        assert!(registries.has_blob(&image, wrong, Effort::Full).is_err());
    }
    assert_eq!(registries.requests(), 4);
}

#[test]
fn what_is_not_there_is_no_error() {
    let server = Server::start(|_, _| told(404, "UNKNOWN", "there is no such thing"));
    let registries = registries(None);
    let (image, digest) = (server.reference(), hash::of(b""));
    let full = Effort::Full;
    assert_eq!(registries.manifest(&image, "1", full), Ok(None));
    assert_eq!(registries.has_manifest(&image, &digest, full), Ok(None));
    assert_eq!(registries.has_blob(&image, &digest, full), Ok(false));
    assert_eq!(registries.blob(&image, &digest, 1, full), Ok(None));
    assert_eq!(registries.requests(), 4);
    let error = registries
        .read_blob(&image, &digest, &mut Vec::new())
        .unwrap_err();
    assert_eq!(error.trouble, Trouble::NoBlob(digest));
}

#[test]
fn whether_something_is_there_is_one_head() {
    let digest = hash::of(b"{}");
    let server = Server::start({
        let digest = digest.clone();
        move |_, _| with(200, "Docker-Content-Digest", &digest)
    });
    let registries = registries(None);
    let image = server.reference();
    let full = Effort::Full;
    assert_eq!(registries.has_blob(&image, &digest, full), Ok(true));
    assert_eq!(registries.requests(), 1);
    for which in ["1", &digest] {
        let has = registries.has_manifest(&image, which, full);
        assert_eq!(has, Ok(Some(digest.clone())));
    }
    assert_eq!(registries.requests(), 3);
    let other = hash::of(b"other");
    assert!(registries.has_manifest(&image, &other, full).is_err());
    assert!(server.lines().iter().all(|line| line.starts_with("HEAD ")));
}

#[test]
fn a_server_without_head_is_asked_with_get() {
    let server = Server::start(|asked, _| {
        if asked.line.starts_with("HEAD") {
            say(405)
        } else {
            Reply::Say(200, Vec::new(), b"{}".to_vec())
        }
    });
    let has = registries(None).has_manifest(&server.reference(), "1", Effort::Full);
    assert_eq!(has, Ok(Some(hash::of(b"{}"))));
}

#[test]
fn a_blob_that_breaks_off_goes_on_where_it_was() {
    let whole: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    for ranges in [true, false] {
        let body = whole.clone();
        let server = Server::start(move |asked, number| {
            if number == 0 {
                return Reply::Cut(body.len(), body[..200_000].to_vec());
            }
            let from = asked.header("range").trim_start_matches("bytes=");
            let from: usize = from.trim_end_matches('-').parse().unwrap();
            assert!(from > 0 && from <= 200_000, "{from}");
            if ranges {
                Reply::Say(206, Vec::new(), body[from..].to_vec())
            } else {
                Reply::Say(200, Vec::new(), body.clone())
            }
        });
        let mut got = Vec::new();
        let size = registries(None).read_blob(&server.reference(), &hash::of(&whole), &mut got);
        assert_eq!(size, Ok(300_000));
        assert!(got == whole, "{ranges}");
    }
}

#[test]
fn a_full_disk_here_is_no_fault_of_the_registry() {
    let server = Server::start(|_, _| Reply::Say(200, Vec::new(), b"abc".to_vec()));
    let registries = registries(None);
    let mut full = &mut [0; 1][..];
    let error = registries
        .read_blob(&server.reference(), &hash::of(b"abc"), &mut full)
        .unwrap_err();
    assert!(matches!(error.trouble, Trouble::Sink(_)), "{error}");
    assert_eq!(registries.requests(), 1);
}

#[test]
fn a_large_body_is_no_small_blob() {
    let server = Server::start(|_, _| Reply::Say(200, Vec::new(), b"abcd".to_vec()));
    let registries = registries(None);
    let image = server.reference();
    let digest = hash::of(b"abcd");
    let blob = |limit| registries.blob(&image, &digest, limit, Effort::Full);
    assert_eq!(blob(4), Ok(Some(b"abcd".to_vec())));
    assert!(matches!(blob(3).unwrap_err().trouble, Trouble::Useless(_)));
}
