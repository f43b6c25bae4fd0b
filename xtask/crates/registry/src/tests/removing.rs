//! Lists tags and removes manifests.

use super::{Reply, Server, registries, say, told};
use crate::hash;

#[test]
fn tags_are_listed_over_all_pages() {
    let server = Server::start(|asked, _| {
        let (tags, next) = match asked.line.as_str() {
            "GET /v2/a/b/tags/list?n=1000" => (r#"["c","a"]"#, "</v2/a/b/tags/list?n=1000&last=c>"),
            "GET /v2/a/b/tags/list?n=1000&last=c" => ("null", "</v2/a/b/tags/list?last=d>"),
            _ => (r#"["e"]"#, ""),
        };
        let headers = if next.is_empty() {
            Vec::new()
        } else {
            vec![("Link", format!("{next}; rel=\"next\""))]
        };
        let body = format!(r#"{{"name":"a/b","tags":{tags}}}"#);
        Reply::Say(200, headers, body.into_bytes())
    });
    let tags = registries(None).tags(&server.reference()).unwrap();
    assert_eq!(tags.into_iter().collect::<Vec<_>>(), ["a", "c", "e"]);
    assert_eq!(server.lines().len(), 3);
}

#[test]
fn a_repository_that_is_not_there_has_no_tags_and_a_list_that_is_none_is_an_error() {
    let server = Server::start(|_, _| told(404, "NAME_UNKNOWN", "unknown"));
    assert!(
        registries(None)
            .tags(&server.reference())
            .unwrap()
            .is_empty()
    );
    for body in ["", "{\"tags\":1}"] {
        let server = Server::start(move |_, _| Reply::Say(200, Vec::new(), body.into()));
        let error = registries(None).tags(&server.reference()).unwrap_err();
        assert!(error.to_string().contains("not readable"), "{error}");
    }
}

#[test]
fn a_manifest_is_removed_by_its_digest_and_a_registry_that_does_not_is_told() {
    let digest = hash::of(b"abc");
    for status in [202, 404] {
        let server = Server::start(move |_, _| say(status));
        let registries = registries(None);
        let removed = registries.remove_manifest(&server.reference(), &digest);
        assert!(removed.is_ok(), "{removed:?}");
        let line = format!("DELETE /v2/a/b/manifests/{digest}");
        assert_eq!(server.lines(), [line]);
    }
    for (status, said) in [
        (405, "allow deletion in the registry's settings"),
        (403, "as a user with the right to delete there"),
    ] {
        let server = Server::start(move |_, _| told(status, "UNSUPPORTED", "no"));
        let removed = registries(None).remove_manifest(&server.reference(), &digest);
        let error = removed.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    // A tag alone is never removed: what else it points to would go with it.
    let server = Server::start(|_, _| say(202));
    let removed = registries(None).remove_manifest(&server.reference(), "latest");
    assert!(removed.is_err());
    assert!(server.lines().is_empty());
}
