//! The images that an engine holds. There are three ways to ask for them: each by itself, all in
//! one list, and through the docker command.
//!
//! The engine's log of events would answer in a tenth of the time, and proves nothing: with the
//! containerd store, neither a build that moves a tag nor a prune of images is an event (tried with
//! Docker 26.1; moby logs the former since 27 and the latter since 28).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::Deserialize;

use super::containers::Heed;
use super::{
    Endpoint, Engine,
    http::{self, Connection},
};

use crate::fault::{Fault, Result};

/// From this many references on, one list is cheaper than a question for each. With the containerd
/// store, an inspection takes an engine 3 ms, and a list 5 ms for each of the engine's images. With
/// the classic store an inspection takes 0.3 ms, and a list hardly more (Docker 26.1 on two cores).
const LIST_FROM: usize = 100;
/// Up to this many references, a list is restricted to their names. An engine reads some 6 ms in
/// each image that it lists: all of 1,060 take 6 s, fourteen of them 0.1 s (Docker 26.1, containerd
/// store). More names do not fit in the head of a request.
const NAMED_UP_TO: usize = 256;
/// How many connections ask at once.
const AT_ONCE: usize = 4;

/// An image in the engine's store.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Image {
    /// `sha256:…`: with the containerd store the digest of the manifest (or of the index,
    /// for several platforms), with the classic store that of the image's configuration.
    pub id: String,
    /// In bytes.
    #[serde(default)]
    pub size: u64,
    /// Its configuration. Only an inspection gives it, a list does not.
    #[serde(default)]
    pub config: Option<ImageConfig>,
    /// All its references, in the short spelling.
    #[serde(default)]
    pub repo_tags: Option<Vec<String>>,
    /// From its configuration, which a list does not give. If the image has several platforms, the
    /// platform that the engine would run.
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: String,
}

/// The part of an image's configuration that decides how other images are built on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageConfig {
    /// ONBUILD triggers.
    #[serde(default)]
    pub on_build: Option<Vec<String>>,
}

impl Image {
    /// An image that is in no engine.
    pub fn elsewhere(digest: String, size: u64) -> Self {
        Self {
            id: digest,
            size,
            config: None,
            repo_tags: None,
            os: String::new(),
            architecture: String::new(),
            variant: String::new(),
        }
    }

    /// The platform of its configuration, in normal form; `None` if the configuration has none.
    pub fn platform(&self) -> Option<String> {
        let Self {
            os,
            architecture,
            variant,
            ..
        } = self;
        reference::platform::normal(format!("{os}/{architecture}/{variant}").trim_end_matches('/'))
    }

    /// Whether builds on it run ONBUILD triggers; `None` if the image comes from a list.
    pub fn has_triggers(&self) -> Option<bool> {
        let config = self.config.as_ref()?;
        Some(
            config
                .on_build
                .as_ref()
                .is_some_and(|triggers| !triggers.is_empty()),
        )
    }
}

/// The images by reference. The image is `None` if the engine was asked for the reference and does
/// not have it.
pub type Images = HashMap<String, Option<Arc<Image>>>;

impl Engine {
    /// Asks for all references at once.
    pub fn images(&self, references: &[String]) -> Result<Images> {
        if let Endpoint::Other(_) = &self.endpoint {
            return self.images_by_command(references);
        }
        if references.len() >= LIST_FROM {
            return self.images_by_list(references);
        }
        let share = references.len().div_ceil(AT_ONCE).max(1);
        // Connections are made here, so that a missing engine is one fault, not four.
        let parts = references
            .chunks(share)
            .map(|part| Ok((part, self.connect()?)))
            .collect::<Result<Vec<_>>>()?;
        if parts.is_empty() {
            self.connect()?;
        }
        let answers = std::thread::scope(|scope| {
            let askers: Vec<_> = parts
                .into_iter()
                .map(|(part, connection)| scope.spawn(move || self.inspect(part, connection)))
                .collect();
            askers
                .into_iter()
                .map(|asker| {
                    asker
                        .join()
                        .unwrap_or_else(|_| Err(self.unreachable(&"a question failed")))
                })
                .collect::<Result<Vec<_>>>()
        })?;
        Ok(with_other_names(answers.into_iter().flatten().collect()))
    }

    fn inspect(&self, references: &[String], connection: Option<Connection>) -> Result<Images> {
        let Some(mut connection) = connection else {
            return self.images_by_command(references);
        };
        let mut images = Images::new();
        for reference in references {
            let path = format!("/images/{}/json", http::encode(reference));
            let answer = connection
                .ask("GET", &path)
                .map_err(|error| self.unreachable(&error))?;
            let image = match answer.status {
                200 => {
                    let image = serde_json::from_slice(&answer.body);
                    Some(Arc::new(image.map_err(|error| self.unreachable(&error))?))
                }
                404 => None,
                status => return Err(self.refused("inspect", reference, status, &answer.body)),
            };
            images.insert(reference.clone(), image);
        }
        Ok(images)
    }

    fn images_by_list(&self, references: &[String]) -> Result<Images> {
        let Some(mut connection) = self.connect()? else {
            return self.images_by_command(references);
        };
        let answer = connection
            .ask("GET", &list_of(references))
            .map_err(|error| self.unreachable(&error))?;
        if answer.status != 200 {
            return Err(self.refused("list", "all images", answer.status, &answer.body));
        }
        let listed: Vec<Image> =
            serde_json::from_slice(&answer.body).map_err(|error| self.unreachable(&error))?;
        let mut images = Images::with_capacity(2 * listed.len());
        for mut image in listed {
            let names = image.repo_tags.take();
            let image = Arc::new(image);
            let named = names.into_iter().flatten();
            images.extend(named.map(|name| (name, Some(Arc::clone(&image)))));
        }
        let unlisted = references.iter().filter(|name| !images.contains_key(*name));
        // A spelling that the list does not use is no proof of absence.
        let (private, other): (Vec<String>, Vec<String>) = unlisted
            .cloned()
            .partition(|name| name.starts_with(crate::outside::private::PREFIX));
        images.extend(private.into_iter().map(|name| (name, None)));
        images.extend(self.inspect(&other, Some(connection))?);
        Ok(images)
    }

    fn images_by_command(&self, references: &[String]) -> Result<Images> {
        let mut images = Images::new();
        for reference in references {
            let format = "{\"Id\":{{json .Id}},\"Size\":{{json .Size}},\"Config\":{{json .Config}},\"Os\":{{json .Os}},\"Architecture\":{{json .Architecture}},\"Variant\":{{json .Variant}}}";
            let image =
                match self.docker(&["image", "inspect", "--format", format, "--", reference]) {
                    Ok(text) => {
                        let image = serde_json::from_str(&text);
                        Some(Arc::new(image.map_err(|error| self.unreachable(&error))?))
                    }
                    Err(error) if error.to_lowercase().contains("no such image") => None,
                    Err(error) => return Err(self.unreachable(&error)),
                };
            images.insert(reference.clone(), image);
        }
        Ok(images)
    }

    /// Gives an image one more reference.
    pub fn tag(&self, image: &str, reference: &str) -> Result<()> {
        let Some(mut connection) = self.connect()? else {
            let done = self.docker(&["image", "tag", "--", image, reference]);
            return done.map(drop).map_err(|error| {
                Fault::failed(format!("cannot tag {image} as {reference}: {error}"))
            });
        };
        let (repository, tag) = reference.rsplit_once(':').unwrap_or((reference, "latest"));
        let path = format!(
            "/images/{}/tag?repo={}&tag={}",
            http::encode(image),
            http::encode(repository),
            http::encode(tag)
        );
        let answer = connection
            .ask("POST", &path)
            .map_err(|error| self.unreachable(&error))?;
        match answer.status {
            200..=299 => Ok(()),
            status => Err(self.refused("tag", reference, status, &answer.body)),
        }
    }
}

impl Engine {
    /// The images that have a reference which begins with `prefix`, which ends with a slash. Another
    /// slash may follow, as in the reference of a part. Through the docker command, their sizes are
    /// not told.
    pub fn images_below(&self, prefix: &str) -> Result<Vec<Image>> {
        self.images_below_heeding(prefix, Heed::Interrupt)
    }

    fn images_below_heeding(&self, prefix: &str, heed: Heed) -> Result<Vec<Image>> {
        let patterns = [format!("{prefix}*"), format!("{prefix}*/*")];
        match &self.endpoint {
            Endpoint::Socket(_) => self.list(&list_of(&patterns), heed),
            Endpoint::Other(_) => {
                let filters = patterns.map(|pattern| format!("--filter=reference={pattern}"));
                let format = "--format={{.ID}} {{.Repository}}:{{.Tag}}";
                let words = ["image", "ls", "--no-trunc", format];
                let all: Vec<&str> = words
                    .into_iter()
                    .chain(filters.iter().map(String::as_str))
                    .collect();
                let text = self.docker(&all);
                let text = text.map_err(|error| self.unreachable(&error))?;
                let mut images: HashMap<&str, Image> = HashMap::new();
                for (id, name) in text.lines().filter_map(|line| line.split_once(' ')) {
                    let image = images
                        .entry(id)
                        .or_insert_with(|| Image::elsewhere(id.to_owned(), 0));
                    image
                        .repo_tags
                        .get_or_insert_default()
                        .push(name.to_owned());
                }
                Ok(images.into_values().collect())
            }
        }
    }

    /// All references that begin with `prefix`, as `images_below` finds them.
    pub fn names_below(&self, prefix: &str) -> Result<Vec<String>> {
        self.names_below_heeding(prefix, Heed::Interrupt)
    }

    pub(super) fn names_below_heeding(&self, prefix: &str, heed: Heed) -> Result<Vec<String>> {
        let images = self.images_below_heeding(prefix, heed)?.into_iter();
        let mut names: Vec<String> = images.filter_map(|it| it.repo_tags).flatten().collect();
        // An image is listed with all its names.
        names.retain(|name| name.starts_with(prefix));
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// When an image got its last name, in seconds since 1970; `None` if the engine does not say, or
    /// has no such image.
    pub fn tagged_at(&self, reference: &str) -> Result<Option<i64>> {
        let format = "--format={{json .Metadata.LastTagTime}}";
        match self.docker(&["image", "inspect", format, "--", reference]) {
            Ok(text) => Ok(calendar::rfc3339(text.trim().trim_matches('"')).filter(|at| *at > 0)),
            Err(error) if error.to_lowercase().contains("no such image") => Ok(None),
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    /// The digests under which the engine has images of a repository (`host/path`).
    pub fn digests_of(&self, repository: &str) -> Result<BTreeSet<String>> {
        let format = "{{.Digest}}";
        let words = [
            "image",
            "ls",
            "--digests",
            "--no-trunc",
            "--format",
            format,
            "--",
        ];
        let text = self.docker(&[&words[..], &[repository]].concat());
        let text = text.map_err(|error| self.unreachable(&error))?;
        let digests = text.lines().map(str::trim);
        let digests = digests.filter(|digest| reference::is_sha256(digest));
        Ok(digests.map(str::to_owned).collect())
    }
}

/// Adds the other names of each image: an answer about an image holds for all its names.
fn with_other_names(mut images: Images) -> Images {
    let named: Vec<_> = images
        .values()
        .flatten()
        .flat_map(|image| {
            image
                .repo_tags
                .iter()
                .flatten()
                .map(move |name| (name, image))
        })
        .map(|(name, image)| (name.clone(), Arc::clone(image)))
        .collect();
    for (name, image) in named {
        images.entry(name).or_insert(Some(image));
    }
    images
}

/// The path of the request for a list of these images, or of all images if these are too many
/// (docs.docker.com/reference/api/engine, `ImageList`, the filter `reference`).
fn list_of(references: &[String]) -> String {
    if references.len() > NAMED_UP_TO {
        return "/images/json".to_owned();
    }
    let filters = serde_json::json!({ "reference": references });
    format!(
        "/images/json?filters={}",
        http::encode(&filters.to_string())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_asked_for_by_name_unless_the_names_are_too_many() {
        let few = ["t/a:1".to_owned(), "localhost:1/xtask/a:0".to_owned()];
        assert_eq!(
            list_of(&few),
            "/images/json?filters=%7B%22reference%22:%5B%22t/a:1%22%2C%22localhost:1/xtask/a:0%22%5D%7D"
        );
        let long = vec!["localhost:1/xtask/a:0123456789abcdef0123456789abcdef".to_owned(); 257];
        assert_eq!(list_of(&long), "/images/json");
        // Go's server refuses a head of more than 1 MB; proxies refuse sooner.
        assert!(list_of(&long[..256]).len() < 32_000);
    }
}
