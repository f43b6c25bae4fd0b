//! Mounts and uploads blobs, and puts manifests.

use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Reply, Server, logged_in, registries, say, told, with};
use crate::{Effort, Mount, Obstacle, Registries, RegistryError, Right, Trouble, hash};

fn upload(registries: &Registries, server: &Server, bytes: &[u8]) -> Result<(), RegistryError> {
    let bytes = bytes.to_vec();
    let open =
        || -> io::Result<Box<dyn Read + Send>> { Ok(Box::new(io::Cursor::new(bytes.clone()))) };
    let size = bytes.len() as u64;
    registries.upload_blob(&server.reference(), &hash::of(&bytes), size, &open)
}

fn query() -> String {
    format!("digest={}", hash::of(b"abc").replace(':', "%3A"))
}

#[test]
fn an_upload_goes_to_wherever_the_registry_names() {
    for (location, line) in [
        ("/v2/a/b/blobs/uploads/1", "/v2/a/b/blobs/uploads/1?"),
        ("/u/1?_state=x%3D", "/u/1?_state=x%3D&"),
        ("http://HOST/u/1?s=1", "/u/1?s=1&"),
        ("http://HOST/u/1", "/u/1?"),
    ] {
        let server = Server::start(move |asked, _| {
            let location = location.replace("HOST", asked.header("host"));
            if asked.line.starts_with("POST") {
                with(202, "Location", &location)
            } else {
                say(201)
            }
        });
        let registries = registries(None);
        upload(&registries, &server, b"abc").unwrap();
        assert_eq!(
            server.lines(),
            [
                "POST /v2/a/b/blobs/uploads/".to_owned(),
                format!("PUT {line}{}", query())
            ]
        );
        assert_eq!(server.bodies("PUT"), [b"abc"]);
        let asked = server.asked.lock().unwrap();
        assert_eq!(asked[0].header("content-length"), "0");
        assert_eq!(asked[1].header("content-length"), "3");
        assert_eq!(asked[1].header("transfer-encoding"), "");
        assert_eq!(registries.requests(), 2);
    }
}

#[test]
fn an_empty_blob_has_a_length_too() {
    let server = Server::start(opens);
    upload(&registries(None), &server, b"").unwrap();
    let asked = server.asked.lock().unwrap();
    assert_eq!(asked[1].header("content-length"), "0");
}

fn opens(asked: &super::Asked, _: usize) -> Reply {
    if asked.line.starts_with("POST") {
        with(202, "Location", "/u/1")
    } else {
        say(201)
    }
}

#[test]
fn a_further_attempt_reads_the_source_from_its_beginning() {
    // More than any buffer on the way takes.
    let bytes = vec![7; 20 << 20];
    let digest = hash::of(&bytes);
    for fault in [None, Some(500), Some(503)] {
        let server = Server::start(move |asked, number| match (number, fault) {
            (1, None) => Reply::Close,
            (1, Some(status)) => say(status),
            _ => opens(asked, number),
        });
        let opened = AtomicUsize::new(0);
        let open = || -> io::Result<Box<dyn Read + Send>> {
            opened.fetch_add(1, Ordering::Relaxed);
            Ok(Box::new(io::Cursor::new(bytes.clone())))
        };
        let told =
            registries(None).upload_blob(&server.reference(), &digest, bytes.len() as u64, &open);
        assert_eq!(told, Ok(()), "{fault:?}");
        assert_eq!(opened.load(Ordering::Relaxed), 2);
        assert!(server.bodies("PUT").last() == Some(&bytes));
    }
}

#[test]
fn a_blob_that_is_too_large_is_told_though_the_connection_is_closed_at_first() {
    let server = Server::start(|asked, number| match asked.header("expect") {
        _ if asked.line.starts_with("POST") => opens(asked, number),
        "100-continue" => Reply::Early(413),
        _ => Reply::Close,
    });
    let error = upload(&registries(None), &server, &vec![7; 20 << 20]).unwrap_err();
    assert!(
        matches!(
            error.trouble,
            Trouble::NotTaken {
                status: 413,
                obstacle: Obstacle::Size,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(server.lines().len(), 4);
}

#[test]
fn a_source_that_fails_is_not_the_registrys_fault() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let server = Server::start(|asked, number| {
        if asked.line.starts_with("POST") {
            opens(asked, number)
        } else {
            Reply::Close
        }
    });
    let sources: [&dyn Fn() -> io::Result<Box<dyn Read + Send>>; 3] = [
        &|| Ok(Box::new(Broken)),
        &|| Err(io::Error::other("the disk is gone")),
        &|| Ok(Box::new(&b"ab"[..])),
    ];
    for (open, why) in sources.into_iter().zip(["gone", "gone", "2 of 3"]) {
        let registries = registries(None);
        let told = registries.upload_blob(&server.reference(), &hash::of(b"abc"), 3, open);
        let error = told.unwrap_err();
        assert!(matches!(error.trouble, Trouble::Source(_)), "{error}");
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(registries.requests(), 2);
    }
}

#[test]
fn an_upload_that_opens_instead_of_a_mount_is_used() {
    let server = Server::start(|asked, _| {
        if asked.line.contains("mount=") {
            with(202, "Location", "/u/kept?s=1")
        } else {
            say(201)
        }
    });
    let registries = registries(None);
    let (image, digest) = (server.reference(), hash::of(b"abc"));
    let mount = registries.mount_blob(&image, &digest, "c/d");
    assert_eq!(mount, Ok(Mount::Refused));
    upload(&registries, &server, b"abc").unwrap();
    assert_eq!(
        server.lines(),
        [
            format!(
                "POST /v2/a/b/blobs/uploads/?mount={}&from=c%2Fd",
                digest.replace(':', "%3A")
            ),
            format!("PUT /u/kept?s=1&{}", query()),
        ]
    );
}

#[test]
fn an_upload_that_was_closed_in_the_meantime_is_opened_again() {
    let server = Server::start(|asked, number| match number {
        0 => with(202, "Location", "/u/kept"),
        1 => told(404, "BLOB_UPLOAD_UNKNOWN", "gone"),
        _ => opens(asked, number),
    });
    let registries = registries(None);
    let digest = hash::of(b"abc");
    let mount = registries.mount_blob(&server.reference(), &digest, "c/d");
    assert_eq!(mount, Ok(Mount::Refused));
    upload(&registries, &server, b"abc").unwrap();
    assert_eq!(registries.requests(), 4);
}

#[test]
fn a_mount_is_done_or_refused() {
    for (status, mount) in [
        (201, Mount::Mounted),
        (202, Mount::Refused),
        (403, Mount::Refused),
        (404, Mount::Refused),
        (405, Mount::Refused),
    ] {
        let server = Server::start(move |_, _| say(status));
        let told = registries(None).mount_blob(&server.reference(), &hash::of(b"abc"), "c/d");
        assert_eq!(told, Ok(mount), "{status}");
    }
}

/// A registry whose token is the scope that was asked for.
fn guarded(asked: &super::Asked, number: usize) -> Reply {
    if let Some(query) = asked.line.strip_prefix("GET /token?") {
        assert!(asked.header("authorization").starts_with("Basic "));
        let scopes = query
            .split('&')
            .filter_map(|field| field.strip_prefix("scope="));
        let token: Vec<&str> = scopes.collect();
        let token = token.join("+");
        return Reply::Say(
            200,
            Vec::new(),
            format!(r#"{{"token":"{token}"}}"#).into_bytes(),
        );
    }
    let given = asked.header("authorization");
    let reads = asked.line.starts_with("GET") || asked.line.starts_with("HEAD");
    let mounts = asked.line.contains("mount=");
    if (reads && given.contains("a%2Fb%3Apull"))
        || (given.contains("a%2Fb%3Apull%2Cpush") && (!mounts || given.contains("c%2Fd%3Apull")))
    {
        return match (reads, mounts) {
            (true, _) => Reply::Say(200, Vec::new(), b"{}".to_vec()),
            (_, true) => say(201),
            _ => opens(asked, number),
        };
    }
    let host = asked.header("host");
    with(
        401,
        "WWW-Authenticate",
        &format!(r#"Bearer realm="http://{host}/token",service="here""#),
    )
}

#[test]
fn a_token_to_read_is_no_token_to_push() {
    let server = Server::start(guarded);
    let folder = logged_in(&server);
    let registries = registries(Some(&folder));
    let image = server.reference();
    let read = || {
        let manifest = registries.manifest(&image, "1", Effort::Full);
        assert!(manifest.unwrap().is_some());
    };
    read();
    read();
    assert_eq!(registries.requests(), 4);
    // 401, token, POST, PUT.
    upload(&registries, &server, b"abc").unwrap();
    assert_eq!(registries.requests(), 8);
    upload(&registries, &server, b"abc").unwrap();
    assert_eq!(registries.requests(), 10);
    // 401, a token for both repositories, POST.
    for requests in [13, 14] {
        let mount = registries.mount_blob(&image, &hash::of(b"abc"), "c/d");
        assert_eq!(mount, Ok(Mount::Mounted));
        assert_eq!(registries.requests(), requests);
    }
}

#[test]
fn a_password_serves_for_all() {
    let server = Server::start(|asked, number| match asked.header("authorization") {
        "" => with(401, "WWW-Authenticate", "Basic realm=\"here\""),
        _ if asked.line.starts_with("GET") => Reply::Say(200, Vec::new(), b"{}".to_vec()),
        _ => opens(asked, number),
    });
    let folder = logged_in(&server);
    let registries = registries(Some(&folder));
    let manifest = registries.manifest(&server.reference(), "1", Effort::Full);
    assert!(manifest.unwrap().is_some());
    upload(&registries, &server, b"abc").unwrap();
    assert_eq!(registries.requests(), 4);
}

#[test]
fn who_may_not_push_learns_that_and_nothing_of_the_login() {
    for status in [401, 403] {
        let server = Server::start(move |_, _| told(status, "DENIED", "over quota"));
        for (folder, remedy) in [
            (Some(logged_in(&server)), "has no right to push"),
            (None, "a user with the right to push"),
        ] {
            let registries = registries(folder.as_ref());
            let error = upload(&registries, &server, b"abc").unwrap_err();
            assert_eq!(error.right, Right::Push);
            assert!(!error.is_absence());
            let text = error.to_string();
            for part in ["refuses to take", "over quota", remedy] {
                assert!(text.contains(part), "{text}");
            }
            assert!(
                !text.contains("hunter2") && !text.contains("private"),
                "{text}"
            );
        }
    }
}

#[test]
fn a_manifest_is_put_with_its_type_and_its_digest_is_compared() {
    let digest = hash::of(b"{}");
    for (sent, fits) in [
        (Some(digest.clone()), true),
        (None, true),
        (Some(hash::of(b"x")), false),
    ] {
        let server = Server::start(move |_, _| match &sent {
            Some(sent) => with(201, "Docker-Content-Digest", sent),
            None => say(201),
        });
        let registries = registries(None);
        let image = server.reference();
        let put = registries.put_manifest(&image, "2", "application/vnd.x", b"{}");
        if fits {
            assert_eq!(put, Ok(digest.clone()));
            let asked = server.asked.lock().unwrap();
            assert_eq!(asked[0].line, "PUT /v2/a/b/manifests/2");
            assert_eq!(asked[0].header("content-type"), "application/vnd.x");
            assert_eq!(asked[0].body, b"{}");
        } else {
            assert!(matches!(put.unwrap_err().trouble, Trouble::Wrong(_)));
        }
        let before = registries.requests();
        let other = registries.put_manifest(&image, &hash::of(b"x"), "x/y", b"{}");
        assert!(matches!(other.unwrap_err().trouble, Trouble::Source(_)));
        assert_eq!(registries.requests(), before);
    }
}

#[test]
fn what_a_registry_does_not_take_is_told_in_its_words() {
    for (status, code, message, part, puts) in [
        (
            400,
            "MANIFEST_BLOB_UNKNOWN",
            "blob unknown",
            "lacks a part",
            4,
        ),
        (
            404,
            "MANIFEST_BLOB_UNKNOWN",
            "blob unknown",
            "lacks a part",
            4,
        ),
        (404, "NAME_UNKNOWN", "no name", "create the repository", 1),
        (400, "MANIFEST_INVALID", "odd", "is it a registry", 1),
        (400, "DIGEST_INVALID", "did not match", "another digest", 4),
        (413, "", "too big", "raise the limit", 1),
        (500, "UNKNOWN", "no space left on device", "free space", 1),
        (507, "", "quota", "free space", 1),
    ] {
        let server = Server::start(move |_, _| told(status, code, message));
        let put = registries(None).put_manifest(&server.reference(), "2", "a/b", b"{}");
        let text = put.unwrap_err().to_string();
        for part in [message, part, &status.to_string()] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(server.bodies("PUT").len(), puts, "{text}");
    }
}

#[test]
fn a_manifest_whose_part_another_client_writes_is_put_again() {
    // The answer of docker-registry 2.8.3.
    let unsettled = r#"{"errors":[{"code":"DIGEST_INVALID"},{"code":"MANIFEST_BLOB_UNKNOWN"}]}"#;
    let puts = AtomicUsize::new(0);
    let server = Server::start(move |asked, _| {
        if asked.line.starts_with("PUT") && puts.fetch_add(1, Ordering::Relaxed) < 3 {
            return Reply::Say(400, Vec::new(), unsettled.into());
        }
        say(201)
    });
    let put = registries(None).put_manifest(&server.reference(), "2", "a/b", b"{}");
    assert_eq!(put, Ok(hash::of(b"{}")));
}

#[test]
fn a_busy_registry_is_asked_again() {
    let server = Server::start(|_, number| match number {
        0 => with(429, "Retry-After", "0"),
        1 => say(502),
        _ => say(201),
    });
    let put = registries(None).put_manifest(&server.reference(), "2", "a/b", b"{}");
    assert_eq!(put, Ok(hash::of(b"{}")));
    assert_eq!(server.bodies("PUT").len(), 3);
}
