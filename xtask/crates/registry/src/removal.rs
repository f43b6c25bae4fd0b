//! Lists the tags of a repository, and removes manifests from it (distribution spec, "Listing Tags"
//! and "Deleting Manifests").

use std::collections::BTreeSet;

use serde::Deserialize;
use ureq::http::Method;

use super::body::Body;
use super::endpoint::Endpoint;
use super::error::{RegistryError, Right, Trouble};
use super::exact::{checked_digest, present};
use super::passes::Access;
use super::talk::{Place, Question};
use super::transport::{Answer, Take};
use super::{Effort, MANIFEST, Registries};
use reference::Reference;

/// How many tags are asked for at once. A registry may give fewer.
const PAGE: usize = 1000;
/// More pages than any repository has. A registry that never ends would be asked for ever.
const PAGES: usize = 10_000;

/// One page of the list.
#[derive(Deserialize)]
struct Page {
    /// Some registries write `null` for a repository without tags.
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Registries {
    /// All tags in the repository of `reference`; none if there is no such repository.
    pub fn tags(&self, reference: &Reference) -> Result<BTreeSet<String>, RegistryError> {
        self.itself(reference, Right::Pull, |endpoint| {
            let mut tags = BTreeSet::new();
            let mut next = None;
            for _ in 0..PAGES {
                let Some(answer) = self.page(reference, endpoint, next.as_deref())? else {
                    return Ok(tags);
                };
                let page: Page = serde_json::from_slice(&answer.body)
                    .map_err(|_| Trouble::Useless("its list of tags is not readable".to_owned()))?;
                tags.extend(page.tags.into_iter().flatten());
                next = self.next(endpoint, &answer)?;
                if next.is_none() {
                    return Ok(tags);
                }
            }
            Err(Trouble::Useless("its list of tags never ends".to_owned()))
        })
    }

    fn page(
        &self,
        reference: &Reference,
        endpoint: &Endpoint,
        next: Option<&str>,
    ) -> Result<Option<Answer>, Trouble> {
        let first = format!("tags/list?n={PAGE}");
        let mut question = Question::read(Method::GET, &first, MANIFEST);
        question.headers.clear();
        if let Some(next) = next {
            question.place = Place::Address(next);
        }
        present(self.persist(&endpoint.host, Effort::Full, || {
            self.ask_once(reference, endpoint, Effort::Full, question.clone())
        }))
    }

    /// The address of the page after this one (RFC 8288).
    fn next(&self, endpoint: &Endpoint, answer: &Answer) -> Result<Option<String>, Trouble> {
        let Some(link) = answer.header("link") else {
            return Ok(None);
        };
        let next = link.split(',').find(|link| link.contains("rel=\"next\""));
        let Some(next) = next else {
            return Ok(None);
        };
        let target = next
            .split_once('<')
            .and_then(|(_, rest)| rest.split_once('>'));
        let place = target.and_then(|(target, _)| self.place(endpoint, target));
        place.map(Some).ok_or_else(|| {
            Trouble::Useless("its list of tags goes on at no valid address".to_owned())
        })
    }

    /// Removes a manifest or an index, with all tags that point to it. It is no error if it is not
    /// there.
    pub fn remove_manifest(
        &self,
        reference: &Reference,
        digest: &str,
    ) -> Result<(), RegistryError> {
        self.itself(reference, Right::Remove, |endpoint| {
            let path = format!("manifests/{}", checked_digest(digest)?);
            let question = Question {
                method: Method::DELETE,
                place: Place::Below(&path),
                access: Access::Remove,
                headers: Vec::new(),
                body: Body::None,
                take: Take::Whole(MANIFEST),
                good: &[200, 202, 204, 404],
                limits: None,
            };
            self.persist(&endpoint.host, Effort::Full, || {
                self.ask_once(reference, endpoint, Effort::Full, question.clone())
            })
            .map(drop)
        })
    }
}
