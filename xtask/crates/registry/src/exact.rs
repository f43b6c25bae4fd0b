//! Reads exact manifests and blobs at the registry itself, never at a mirror: a mirror may lag, and
//! what is pushed next must fit to what the registry has now.

use std::cell::{Cell, RefCell};
use std::io::{Read as _, Write};

use ureq::http::Method;

use super::endpoint::{self, Endpoint};
use super::error::{RegistryError, Right, Trouble};
use super::talk::Question;
use super::text::short;
use super::transport::{Answer, Take};
use super::way::trouble;
use super::{Effort, MANIFEST, Registries, Tag, broken, hash, manifest};
use reference::{Reference, is_sha256};

/// The header with the digest of a body (distribution spec, "Pulling manifests").
pub const DIGEST: &str = "docker-content-digest";
/// The size of a piece, in bytes.
const PIECE: usize = 128 << 10;

/// A manifest or an index as the registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestBody {
    /// The bytes that the digest is of.
    pub bytes: Vec<u8>,
    /// The media type, without parameters.
    pub media_type: String,
    /// The digest of the bytes, `sha256:…`.
    pub digest: String,
}

/// A body that was checked against its digest.
pub struct Got {
    /// The body.
    pub bytes: Vec<u8>,
    /// Its digest.
    pub digest: String,
    /// When it was last changed, in seconds since 1970.
    modified: Option<i64>,
    /// The type that the server sends with it.
    media_type: Option<String>,
}

impl Registries {
    /// The manifest or index that a tag or digest stands for, in the repository of `reference`.
    /// `None` if the registry has none. This is one request, once the login is known.
    pub fn manifest(
        &self,
        reference: &Reference,
        which: &str,
        effort: Effort,
    ) -> Result<Option<ManifestBody>, RegistryError> {
        self.itself(reference, Right::Pull, |endpoint| {
            let which = checked_name(which)?;
            let path = format!("manifests/{which}");
            let digest = Some(which).filter(|which| is_sha256(which));
            let got = self.body(reference, endpoint, effort, &path, MANIFEST, digest);
            Ok(present(got)?.map(|got| ManifestBody {
                media_type: manifest::media_type(got.media_type.as_deref(), &got.bytes),
                bytes: got.bytes,
                digest: got.digest,
            }))
        })
    }

    /// The digest that a tag or digest stands for, in the repository of `reference`. `None` if the
    /// registry has no such manifest. This is one HEAD, unless the registry does not know HEAD.
    pub fn has_manifest(
        &self,
        reference: &Reference,
        which: &str,
        effort: Effort,
    ) -> Result<Option<String>, RegistryError> {
        self.itself(reference, Right::Pull, |endpoint| {
            let which = checked_name(which)?;
            let tag = present(self.tag_at(reference, endpoint, effort, which))?;
            Ok(tag.map(|tag| tag.digest))
        })
    }

    /// Whether the repository of `reference` has a blob. This is one HEAD and its redirects.
    pub fn has_blob(
        &self,
        reference: &Reference,
        digest: &str,
        effort: Effort,
    ) -> Result<bool, RegistryError> {
        self.itself(reference, Right::Pull, |endpoint| {
            let path = format!("blobs/{}", checked_digest(digest)?);
            let question = Question::read(Method::HEAD, &path, MANIFEST);
            let answer = self.persist(&endpoint.host, effort, || {
                self.ask_once(reference, endpoint, effort, question.clone())
            });
            Ok(present(answer)?.is_some())
        })
    }

    /// A small blob, of at most `limit_bytes`. `None` if the repository of `reference` has no such
    /// blob.
    pub fn blob(
        &self,
        reference: &Reference,
        digest: &str,
        limit_bytes: u64,
        effort: Effort,
    ) -> Result<Option<Vec<u8>>, RegistryError> {
        self.itself(reference, Right::Pull, |endpoint| {
            let path = format!("blobs/{}", checked_digest(digest)?);
            let got = self.body(
                reference,
                endpoint,
                effort,
                &path,
                limit_bytes,
                Some(digest),
            );
            Ok(present(got)?.map(|got| got.bytes))
        })
    }

    /// Writes a blob of any size to `into`, and gives its size. After a cut it goes on where it
    /// was. Only the end tells whether the digest fits: after an error, what was written is of no
    /// use.
    pub fn read_blob(
        &self,
        reference: &Reference,
        digest: &str,
        into: &mut dyn Write,
    ) -> Result<u64, RegistryError> {
        self.itself(reference, Right::Pull, |endpoint| {
            let path = format!("blobs/{}", checked_digest(digest)?);
            let mut question = Question::read(Method::GET, &path, MANIFEST);
            question.take = Take::Pieces;
            question.good = &[200, 206];
            question.limits = Some(self.patience.bulk(0));
            let sink = RefCell::new(Sink {
                into,
                passing: hash::Passing::default(),
                written: 0,
            });
            self.persist(&endpoint.host, Effort::Full, || {
                let mut sink = sink.borrow_mut();
                let mut question = question.clone();
                if sink.written > 0 {
                    let range = format!("bytes={}-", sink.written);
                    question.headers.push(("range", range));
                }
                let answer = self.ask_once(reference, endpoint, Effort::Full, question);
                sink.take(answer.map_err(|trouble| match trouble {
                    Trouble::Missing => Trouble::NoBlob(digest.to_owned()),
                    other => other,
                })?)
            })?;
            let Sink {
                passing, written, ..
            } = sink.into_inner();
            let is = passing.digest();
            if is != digest {
                return Err(wrong(digest, written, &is));
            }
            Ok(written)
        })
    }

    /// What a tag or digest stands for, at one server.
    pub(super) fn tag_at(
        &self,
        reference: &Reference,
        endpoint: &Endpoint,
        effort: Effort,
        which: &str,
    ) -> Result<Tag, Trouble> {
        let path = format!("manifests/{which}");
        let wanted = Some(which).filter(|which| is_sha256(which));
        // Registries with rate limits do not count a HEAD.
        let question = Question::read(Method::HEAD, &path, MANIFEST);
        let head = self.persist(&endpoint.host, effort, || {
            self.ask_once(reference, endpoint, effort, question.clone())
        });
        let head = match head {
            Err(Trouble::Status {
                status: 400 | 405 | 501,
                ..
            }) => None,
            other => Some(other?),
        };
        let digest = head.as_ref().and_then(digest_of).or(wanted);
        if let (Some(head), Some(digest)) = (&head, digest) {
            if let Some(wanted) = wanted.filter(|wanted| *wanted != digest) {
                return Err(Trouble::Useless(format!(
                    "it says that {wanted} has the digest {digest}"
                )));
            }
            return Ok(Tag {
                digest: digest.to_owned(),
                modified: head.header("last-modified").and_then(calendar::http),
            });
        }
        let got = self.body(reference, endpoint, effort, &path, MANIFEST, wanted)?;
        Ok(Tag {
            digest: got.digest,
            modified: got.modified,
        })
    }

    /// A body that was checked against its digest. Without a `digest`, as for a tag, it is checked
    /// against the digest that the registry sends with it.
    pub(super) fn body(
        &self,
        reference: &Reference,
        endpoint: &Endpoint,
        effort: Effort,
        path: &str,
        limit: u64,
        digest: Option<&str>,
    ) -> Result<Got, Trouble> {
        self.persist(&endpoint.host, effort, || {
            let question = Question::read(Method::GET, path, limit);
            let answer = self.ask_once(reference, endpoint, effort, question)?;
            let is = hash::of(&answer.body);
            let named = digest_of(&answer);
            if let Some(wanted) = digest.or(named).filter(|wanted| *wanted != is) {
                return Err(wrong(wanted, answer.body.len() as u64, &is));
            }
            Ok(Got {
                modified: answer.header("last-modified").and_then(calendar::http),
                media_type: answer.header("content-type").map(str::to_owned),
                bytes: answer.body,
                digest: is,
            })
        })
    }

    /// Asks the registry itself, and no mirror.
    pub(super) fn itself<T>(
        &self,
        reference: &Reference,
        right: Right,
        ask: impl FnOnce(&Endpoint) -> Result<T, Trouble>,
    ) -> Result<T, RegistryError> {
        let endpoint = endpoint::itself(reference, self.settings());
        ask(&endpoint).map_err(|trouble| RegistryError {
            image: named(reference),
            host: endpoint.host,
            right,
            trouble,
        })
    }
}

/// The name for people. Questions about a repository name no tag, so none is shown.
fn named(reference: &Reference) -> String {
    let name = reference.familiar();
    match (&reference.tag, &reference.digest) {
        (None, None) => name.strip_suffix(":latest").unwrap_or(&name).to_owned(),
        _ => name,
    }
}

/// Where the pieces of a body go.
struct Sink<'a> {
    into: &'a mut dyn Write,
    passing: hash::Passing,
    written: u64,
}

impl Sink<'_> {
    /// Takes a whole body, or the rest of one. A server that does not know ranges sends the whole
    /// again, of which the known beginning is left out.
    fn take(&mut self, answer: Answer) -> Result<(), Trouble> {
        let known = Cell::new(if answer.status == 206 {
            0
        } else {
            self.written
        });
        let Some(body) = answer.coming else {
            return Ok(());
        };
        let mut body = body.into_with_config().limit(u64::MAX).reader();
        let mut piece = vec![0; PIECE];
        loop {
            let count = match body.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(trouble(broken::of_read(&error))),
            };
            let skipped = usize::try_from(known.get()).map_or(count, |known| known.min(count));
            known.set(known.get() - skipped as u64);
            let fresh = &piece[skipped..count];
            self.into
                .write_all(fresh)
                .map_err(|error| Trouble::Sink(short(&error.to_string())))?;
            self.passing.add(fresh);
            self.written += fresh.len() as u64;
        }
    }
}

/// `None` if there is no such thing.
pub fn present<T>(told: Result<T, Trouble>) -> Result<Option<T>, Trouble> {
    match told {
        Ok(told) => Ok(Some(told)),
        Err(Trouble::Missing) => Ok(None),
        Err(other) => Err(other),
    }
}

/// The digest that the registry sends with an answer.
pub fn digest_of(answer: &Answer) -> Option<&str> {
    answer.header(DIGEST).filter(|digest| is_sha256(digest))
}

/// A digest that may stand in an address.
pub fn checked_digest(digest: &str) -> Result<&str, Trouble> {
    if is_sha256(digest) {
        return Ok(digest);
    }
    let why = format!("`{}` is not a SHA-256 digest", short(digest));
    Err(Trouble::Useless(why))
}

/// A tag (distribution spec, "Pulling manifests") or digest that may stand in an address.
pub fn checked_name(which: &str) -> Result<&str, Trouble> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_tag = which.len() <= 128
        && which.bytes().next().is_some_and(is_word)
        && which
            .bytes()
            .all(|byte| is_word(byte) || byte == b'.' || byte == b'-');
    if is_tag || is_sha256(which) {
        return Ok(which);
    }
    let why = format!("`{}` is neither a tag nor a SHA-256 digest", short(which));
    Err(Trouble::Useless(why))
}

fn wrong(wanted: &str, count: u64, is: &str) -> Trouble {
    Trouble::Wrong(format!(
        "it should have the digest {wanted}, but the {count} bytes that came have {is}"
    ))
}
