//! Reads the tables of a file with those of its profiles laid over them.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check::{GraphReader, Named};
use super::laying::Layered;
use super::mistakes::{Mistake, Span};
use super::placed::Placed;
use super::raw::{RawPolicy, RawPublish, RawRegistry, RawStage, RawWaiver};
use super::raw_stack::RawStack;
use super::sharing::Sharing;
use super::{names, tables};

impl GraphReader<'_, '_> {
    pub(super) fn defaults(&mut self, layers: &mut [DeTable<'_>]) -> RawStage {
        let mut whole = RawStage::default();
        for layer in layers {
            if let Some(table) = tables::take(layer, "defaults", self.mistakes) {
                let read = tables::read("`defaults`", table, self.mistakes);
                whole = RawStage::lay(read, whole);
            }
        }
        whole
    }

    /// All `[what.NAME]` tables, with the profiles' laid over them.
    pub(super) fn layered<T: Layered>(
        &mut self,
        what: &str,
        layers: &mut [DeTable<'_>],
    ) -> Named<T> {
        let mut all: Named<T> = BTreeMap::new();
        for (at, table) in layers.iter_mut().enumerate() {
            let is_profile = at > 0;
            let Some(tables) = tables::take(table, what, self.mistakes) else {
                continue;
            };
            for (key, value) in tables.into_inner() {
                let name = key.get_ref().to_string();
                self.rule(
                    &key.span(),
                    &format!("{what} name"),
                    &name,
                    names::identifier,
                );
                let whole = format!("{what} `{name}`");
                let Some(table) = tables::as_table(&whole, value, self.mistakes) else {
                    continue;
                };
                let read: T = tables::read(&whole, table, self.mistakes);
                match all.remove(&name) {
                    Some((span, under)) => {
                        all.insert(name, (span, T::lay(read, under)));
                    }
                    None if is_profile && !read.declares() => {
                        let mistake = Mistake::at(
                            key.span(),
                            format!(
                                "the profile changes {whole}, which the graph does not declare"
                            ),
                            "unknown name",
                        );
                        let known = || all.keys().map(String::as_str);
                        self.mistakes.push_near(mistake, &name, known);
                    }
                    None => {
                        all.insert(name, (key.span(), read));
                    }
                }
            }
        }
        all
    }

    /// `[stack]` with the profiles' laid over it, and its place.
    pub(super) fn layered_stack(&mut self, layers: &mut [DeTable<'_>]) -> Option<(Span, RawStack)> {
        let mut whole: Option<(Span, RawStack)> = None;
        for table in layers {
            let Some(table) = tables::take(table, "stack", self.mistakes) else {
                continue;
            };
            let span = table.span();
            let read: RawStack = tables::read("`stack`", table, self.mistakes);
            whole = Some(match whole {
                Some((first, under)) => (first, RawStack::lay(read, under)),
                None => (span, read),
            });
        }
        whole
    }

    /// `[policy]`, and its waivers, which a stage's own policy cannot have.
    pub(super) fn policies(
        &mut self,
        table: &mut DeTable<'_>,
    ) -> (RawPolicy, Vec<Placed<RawWaiver>>) {
        let Some(mut table) = tables::take(table, "policy", self.mistakes) else {
            return Default::default();
        };
        let waivers = table.get_mut().remove("waive");
        let waivers = waivers.map(|waivers| self.list_of_waivers(waivers));
        let policy = tables::read("`policy`", table, self.mistakes);
        (policy, waivers.unwrap_or_default())
    }

    fn list_of_waivers(&mut self, waivers: Spanned<DeValue<'_>>) -> Vec<Placed<RawWaiver>> {
        let span = waivers.span();
        let DeValue::Array(list) = waivers.into_inner() else {
            let mistake = Mistake::at(span, "`waive` must be a list of tables", "here");
            let help = "write each waiver as a table `[[policy.waive]]`";
            self.mistakes.push(mistake.help(help));
            return Vec::new();
        };
        let mut all = Vec::new();
        for one in list {
            let span = one.span();
            let Some(table) = tables::as_table("waive", one, self.mistakes) else {
                continue;
            };
            let raw = tables::read("a waiver", table, self.mistakes);
            all.push(Placed::new(span, raw));
        }
        all
    }

    /// `[publish]`, with the profiles' laid over it.
    pub(super) fn publish(&mut self, layers: &mut [DeTable<'_>]) -> RawPublish {
        let mut whole = RawPublish::default();
        for table in layers {
            if let Some(table) = tables::take(table, "publish", self.mistakes) {
                let read = tables::read("`publish`", table, self.mistakes);
                whole = RawPublish::lay(read, whole);
            }
        }
        whole
    }

    /// `[registry]`, with the profiles' laid over it.
    pub(super) fn registry(&mut self, layers: &mut [DeTable<'_>]) -> Option<Sharing> {
        let mut whole: Option<RawRegistry> = None;
        for table in layers {
            let Some(table) = tables::take(table, "registry", self.mistakes) else {
                continue;
            };
            let over: RawRegistry = tables::read("`registry`", table, self.mistakes);
            let under = whole.unwrap_or_default();
            whole = Some(RawRegistry {
                url: over.url.or(under.url),
                trust: over.trust.or(under.trust),
                cache: over.cache.or(under.cache),
            });
        }
        self.sharing(whole?)
    }
}
