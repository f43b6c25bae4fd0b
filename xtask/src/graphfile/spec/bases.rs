//! The rules for `[base."REFERENCE"]`: what may override an external image.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::check::{GraphReader, Scope};
use super::mistakes::Mistake;
use super::placed::Placed;
use super::raw::{RawBase, Text};
use super::{Replacement, names, tables};
use crate::shown;

impl GraphReader<'_, '_> {
    /// All `[base]` tables by the full spelling of the image, with the profiles' laid over them.
    pub(super) fn bases(
        &mut self,
        layers: &mut [DeTable<'_>],
        scope: &Scope,
    ) -> BTreeMap<String, Replacement> {
        let mut all: BTreeMap<String, Replacement> = BTreeMap::new();
        for table in layers {
            let Some(bases) = tables::take(table, "base", self.mistakes) else {
                continue;
            };
            for (key, value) in bases.into_inner() {
                let name = Placed::new(key.span(), key.get_ref().to_string());
                let whole = format!("base `{}`", shown::short(name.get_ref()));
                let Some(table) = tables::as_table(&whole, value, self.mistakes) else {
                    continue;
                };
                let raw: RawBase = tables::read(&whole, table, self.mistakes);
                if let Some((canonical, given)) = self.base(name, raw, scope) {
                    match all.entry(canonical) {
                        std::collections::btree_map::Entry::Vacant(entry) => {
                            entry.insert(given);
                        }
                        std::collections::btree_map::Entry::Occupied(mut entry) => {
                            let under = entry.get_mut();
                            under.image = given.image.or(under.image.take());
                            under.stage = given.stage.or(under.stage);
                        }
                    }
                }
            }
        }
        all
    }

    fn base(&mut self, name: Text, raw: RawBase, scope: &Scope) -> Option<(String, Replacement)> {
        let span = name.span();
        let name = self.text("base", name, image_reference)?;
        let canonical = reference::normalise(&name)?.canonical();
        if raw.image.is_none() && raw.stage.is_none() {
            let title = format!("base `{name}` has no replacement");
            let mistake = Mistake::at(span, title, "empty");
            let help = "give it an `image` to take it from, a `stage` that is built on it, or both";
            self.mistakes.push(mistake.help(help));
            return None;
        }
        let image = raw
            .image
            .and_then(|image| self.settled("image reference", image, image_reference, scope));
        let stage = raw
            .stage
            .and_then(|stage| self.known(stage, "stage", &scope.stages));
        Some((canonical, Replacement { name, image, stage }))
    }
}

/// An image as a Dockerfile names it.
fn image_reference(text: &str) -> Result<(), String> {
    names::plain(text)?;
    match reference::normalise(text) {
        Some(_) => Ok(()),
        None => Err("is not an image reference".into()),
    }
}
