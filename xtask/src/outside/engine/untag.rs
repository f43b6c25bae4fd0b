//! Takes names from images. With its last name an image goes, and that takes an engine time.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Deserialize;

use super::containers::Heed;
use super::{Endpoint, Engine, http};
use crate::fault::{Fault, Result};

/// How many names are removed at once. An engine with a thousand images takes 3.5 s for one, and
/// 0.7 s for each of 32 at once (Docker 26.1, containerd store, two cores).
const AT_ONCE: usize = 32;

/// The outcome of removing a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untagged {
    /// No image has the name any more.
    Gone,
    /// The engine keeps the name: a container uses the image.
    InUse,
}

/// The outcome of removing many names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UntaggedAll {
    /// How many no image has any more.
    pub gone: usize,
    /// How many the engine keeps.
    pub used: usize,
}

impl Engine {
    /// The images of all containers, running or not, by id and by the name that each was made from.
    pub fn images_in_use(&self) -> Result<BTreeSet<String>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Listed {
            #[serde(default)]
            image: String,
            #[serde(default, rename = "ImageID")]
            image_id: String,
        }
        let Some(mut connection) = self.connect()? else {
            // The docker command tells names only. What it does not tell, the engine refuses to
            // remove.
            let names = self.docker(&["ps", "--all", "--no-trunc", "--format={{.Image}}"]);
            let names = names.map_err(|error| self.unreachable(&error))?;
            return Ok(names.lines().map(str::to_owned).collect());
        };
        let answer = connection.ask("GET", "/containers/json?all=1");
        let answer = answer.map_err(|error| self.unreachable(&error))?;
        if answer.status != 200 {
            return Err(self.refused("list", "containers", answer.status, &answer.body));
        }
        let listed: Vec<Listed> =
            serde_json::from_slice(&answer.body).map_err(|error| self.unreachable(&error))?;
        let both = listed.into_iter().flat_map(|it| [it.image, it.image_id]);
        Ok(both.collect())
    }

    /// Removes a name, and with its last name the image.
    pub fn untag(&self, reference: &str) -> Result<Untagged> {
        self.untag_heeding(reference, Heed::Interrupt)
    }

    fn untag_heeding(&self, reference: &str, heed: Heed) -> Result<Untagged> {
        let Endpoint::Socket(_) = &self.endpoint else {
            return match self.docker(&["image", "rm", "--", reference]) {
                Ok(_) => Ok(Untagged::Gone),
                Err(error) if error.to_lowercase().contains("no such image") => Ok(Untagged::Gone),
                Err(error) if error.contains("conflict") => Ok(Untagged::InUse),
                Err(error) => Err(self.unreachable(&error)),
            };
        };
        let path = format!("/images/{}", http::encode(reference));
        let answer = self.exchange("DELETE", &path, heed)?;
        match answer.status {
            200..=299 | 404 => Ok(Untagged::Gone),
            409 => Ok(Untagged::InUse),
            status => Err(self.refused("remove", reference, status, &answer.body)),
        }
    }

    /// Removes names, several at once, for as long as `goes_on` says so. `told` gets the number of
    /// those that are gone, again and again.
    pub fn untag_all(
        &self,
        names: &[&str],
        goes_on: &(dyn Fn() -> bool + Sync),
        told: &mut dyn FnMut(usize),
    ) -> Result<UntaggedAll> {
        self.untag_some(names, Heed::Interrupt, goes_on, told)
    }

    /// Removes all names that begin with `prefix`, which ends with a slash. Goes on when the user
    /// wants to stop.
    pub fn untag_below(&self, prefix: &str) -> Result<()> {
        let names = self.names_below_heeding(prefix, Heed::Nothing)?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.untag_some(&names, Heed::Nothing, &|| true, &mut |_| ())
            .map(drop)
    }

    fn untag_some(
        &self,
        names: &[&str],
        heed: Heed,
        goes_on: &(dyn Fn() -> bool + Sync),
        told: &mut dyn FnMut(usize),
    ) -> Result<UntaggedAll> {
        let [next, gone, used] = [0; 3].map(AtomicUsize::new);
        let one = || -> Result<()> {
            while goes_on()
                && let Some(name) = names.get(next.fetch_add(1, Ordering::SeqCst))
            {
                match self.untag_heeding(name, heed)? {
                    Untagged::Gone => _ = gone.fetch_add(1, Ordering::SeqCst),
                    Untagged::InUse => _ = used.fetch_add(1, Ordering::SeqCst),
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..AT_ONCE.min(names.len()))
                .map(|_| scope.spawn(one))
                .collect();
            while workers.iter().any(|worker| !worker.is_finished()) {
                std::thread::park_timeout(Duration::from_millis(10));
                told(gone.load(Ordering::SeqCst));
            }
            let mut ended = workers.into_iter().map(std::thread::ScopedJoinHandle::join);
            ended.try_for_each(|ended| {
                ended.unwrap_or_else(|_| Err(Fault::failed("a removal failed")))
            })
        })?;
        Ok(UntaggedAll {
            gone: gone.into_inner(),
            used: used.into_inner(),
        })
    }
}
