//! Writes blobs and manifests to a registry (distribution spec, "Push"). A blob goes as one body
//! and never is in memory as a whole.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Mutex;
use std::time::Duration;

use ureq::http::Method;

use super::body::{Body, Source};
use super::endpoint::Endpoint;
use super::error::{Obstacle, RegistryError, Right, Trouble};
use super::exact::{checked_digest, checked_name, digest_of};
use super::pass::encode;
use super::passes::Access;
use super::talk::{Place, Question};
use super::transport::{Answer, Take};
use super::{Effort, Registries, hash};
use reference::Reference;

/// Longer than the body of any answer to a push, in bytes.
const ANSWER: u64 = 1 << 20;

/// How often a manifest is put again if the registry misses a part of it. While another client
/// writes the same part, a registry may not find it for a moment (tried: docker-registry 2.8.3,
/// which empties the file that names the part before it writes it anew).
const UNSETTLED: u32 = 3;

/// The pause before a manifest is put again.
const SETTLING: Duration = Duration::from_millis(100);

/// What became of the wish to have a blob from another repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mount {
    /// The repository has the blob now.
    Mounted,
    /// The registry does not do it, or the other repository has no such blob or may not be read:
    /// upload it.
    Refused,
}

/// Uploads that a registry opened instead of a mount: the address of each by host, repository and
/// digest. `upload_blob` uses them, which saves a request. Registries remove what nobody uses.
#[derive(Default)]
pub struct Uploads(Mutex<HashMap<(String, String, String), String>>);

impl Uploads {
    fn keep(&self, endpoint: &Endpoint, to: &Reference, digest: &str, place: String) {
        crate::locked(&self.0).insert(key(endpoint, to, digest), place);
    }

    fn take(&self, endpoint: &Endpoint, to: &Reference, digest: &str) -> Option<String> {
        crate::locked(&self.0).remove(&key(endpoint, to, digest))
    }
}

fn key(endpoint: &Endpoint, to: &Reference, digest: &str) -> (String, String, String) {
    (
        endpoint.host.clone(),
        to.repository.clone(),
        digest.to_owned(),
    )
}

impl Registries {
    /// Lets the repository of `to` have a blob that another repository of the same registry has.
    /// Nothing is transferred. If the registry opens an upload instead, a later `upload_blob` of
    /// the same digest uses it.
    pub fn mount_blob(
        &self,
        to: &Reference,
        digest: &str,
        from_repository: &str,
    ) -> Result<Mount, RegistryError> {
        self.itself(to, Right::Push, |endpoint| {
            let digest = checked_digest(digest)?;
            let path = format!(
                "blobs/uploads/?mount={}&from={}",
                encode(digest),
                encode(from_repository)
            );
            let access = Access::Mount {
                from: from_repository.to_owned(),
            };
            let question = writing(Method::POST, Place::Below(&path), access, &[201, 202]);
            let answer = self.persist(&endpoint.host, Effort::Full, || {
                let answer = self.ask_once(to, endpoint, Effort::Full, question.clone())?;
                if answer.status == 201 {
                    named_rightly(&answer, digest)?;
                }
                Ok(answer)
            });
            match answer {
                Ok(answer) if answer.status == 201 => Ok(Mount::Mounted),
                Ok(answer) => {
                    if let Ok(place) = self.upload_place(endpoint, &answer) {
                        self.uploads.keep(endpoint, to, digest, place);
                    }
                    Ok(Mount::Refused)
                }
                // A mount only saves work. If the user may not write at all, the upload tells it.
                Err(Trouble::Refused { .. }) => Ok(Mount::Refused),
                Err(Trouble::NotTaken { obstacle, .. }) if obstacle != Obstacle::Space => {
                    Ok(Mount::Refused)
                }
                Err(other) => Err(other),
            }
        })
    }

    /// Uploads a blob of `size` bytes. Every attempt opens the source anew, at its beginning. The
    /// registry checks the digest.
    pub fn upload_blob(
        &self,
        to: &Reference,
        digest: &str,
        size: u64,
        open: &dyn Fn() -> io::Result<Box<dyn Read + Send>>,
    ) -> Result<(), RegistryError> {
        self.itself(to, Right::Push, |endpoint| {
            let digest = checked_digest(digest)?;
            let upload = Upload {
                registries: self,
                endpoint,
                to,
                digest,
                source: Source { size, open },
                cut: Cell::new(false),
            };
            if let Some(place) = self.uploads.take(endpoint, to, digest) {
                match upload.put(&place) {
                    // The registry may have closed the upload in the meantime.
                    Err(
                        Trouble::NotTaken {
                            obstacle: Obstacle::Other,
                            ..
                        }
                        | Trouble::Refused { .. },
                    ) => {}
                    Err(trouble) if trouble.may_pass() => {}
                    other => return other,
                }
            }
            self.persist(&endpoint.host, Effort::Full, || upload.whole())
        })
    }

    /// Stores a manifest or an index under a tag or its digest, and gives its digest. A registry that
    /// misses a part of it is asked again: see [`UNSETTLED`].
    pub fn put_manifest(
        &self,
        to: &Reference,
        which: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<String, RegistryError> {
        self.itself(to, Right::Push, |endpoint| {
            let which = checked_name(which)?;
            let digest = hash::of(bytes);
            if reference::is_sha256(which) && which != digest {
                return Err(Trouble::Source(format!(
                    "the manifest has the digest {digest}, and not {which}"
                )));
            }
            let path = format!("manifests/{which}");
            let good = &[200, 201, 202, 204];
            let mut question = writing(Method::PUT, Place::Below(&path), Access::Push, good);
            question
                .headers
                .push(("content-type", media_type.to_owned()));
            question.body = Body::Bytes(bytes.into());
            let put = || {
                self.persist(&endpoint.host, Effort::Full, || {
                    let answer = self.ask_once(to, endpoint, Effort::Full, question.clone())?;
                    named_rightly(&answer, &digest)
                })
            };
            for _ in 0..UNSETTLED {
                match put() {
                    Err(Trouble::NotTaken {
                        obstacle: Obstacle::Part | Obstacle::Digest,
                        ..
                    }) => std::thread::sleep(SETTLING),
                    other => return other.map(|()| digest),
                }
            }
            put()?;
            Ok(digest)
        })
    }

    fn upload_place(&self, endpoint: &Endpoint, answer: &Answer) -> Result<String, Trouble> {
        let location = answer.header("location");
        location
            .and_then(|location| self.place(endpoint, location))
            .ok_or_else(|| {
                Trouble::Useless("it opens an upload without a valid address".to_owned())
            })
    }
}

/// The upload of one blob.
struct Upload<'a> {
    registries: &'a Registries,
    endpoint: &'a Endpoint,
    to: &'a Reference,
    digest: &'a str,
    source: Source<'a>,
    /// Whether the registry closed the connection while it got the blob.
    cut: Cell<bool>,
}

impl Upload<'_> {
    /// Opens an upload and sends the blob.
    fn whole(&self) -> Result<(), Trouble> {
        let path = Place::Below("blobs/uploads/");
        let question = writing(Method::POST, path, Access::Push, &[202]);
        let answer = self
            .registries
            .ask_once(self.to, self.endpoint, Effort::Full, question)?;
        let place = self.registries.upload_place(self.endpoint, &answer)?;
        self.put(&place)
    }

    /// Sends the blob to an open upload.
    fn put(&self, place: &str) -> Result<(), Trouble> {
        let place = with_digest(place, self.digest);
        let good = &[200, 201, 204];
        let place = Place::Address(&place);
        let mut question = writing(Method::PUT, place, Access::Push, good);
        let kind = "application/octet-stream".to_owned();
        question.headers.push(("content-type", kind));
        // A server that refuses a blob for its size may close the connection before it was asked
        // for the reason. So after a cut the next attempt waits for the server's consent. Not every
        // server gives it, and then the wait would slow down every blob.
        if self.cut.get() {
            question.headers.push(("expect", "100-continue".to_owned()));
        }
        question.body = Body::Source(self.source);
        question.limits = Some(self.registries.patience.bulk(self.source.size));
        let answer = self
            .registries
            .ask_once(self.to, self.endpoint, Effort::Full, question)
            .inspect_err(|trouble| {
                if matches!(trouble, Trouble::Unreachable { .. }) {
                    self.cut.set(true);
                }
            })?;
        named_rightly(&answer, self.digest)
    }
}

fn writing<'a>(
    method: Method,
    place: Place<'a>,
    access: Access,
    good: &'static [u16],
) -> Question<'a> {
    Question {
        method,
        place,
        access,
        headers: Vec::new(),
        // Registries want a length also if there is nothing.
        body: Body::Bytes(Vec::new().into()),
        take: Take::Whole(ANSWER),
        good,
        limits: None,
    }
}

/// The address that closes an upload. The query that the registry gave must stay as it is.
fn with_digest(place: &str, digest: &str) -> String {
    let joint = match place.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{place}{joint}digest={}", encode(digest))
}

/// Checks that the registry names what it took by the right digest, if it names it.
fn named_rightly(answer: &Answer, digest: &str) -> Result<(), Trouble> {
    match digest_of(answer) {
        Some(named) if named != digest => Err(Trouble::Wrong(format!(
            "it should store {digest}, but says that it stored {named}"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_joins_whatever_query_there_is() {
        for (place, whole) in [
            ("https://a/u/1", "https://a/u/1?digest=sha256%3Aaa"),
            ("https://a/u/1?", "https://a/u/1?digest=sha256%3Aaa"),
            (
                "https://a/u/1?_state=x%3D",
                "https://a/u/1?_state=x%3D&digest=sha256%3Aaa",
            ),
            ("https://a/u/1?s=x&", "https://a/u/1?s=x&digest=sha256%3Aaa"),
        ] {
            assert_eq!(with_digest(place, "sha256:aa"), whole);
        }
    }
}
