//! `[group]`: names for several stages together.

use std::collections::{BTreeMap, BTreeSet};

use toml::de::DeTable;

use super::check::{GraphReader, Scope};
use super::mistakes::Mistake;
use super::raw::Text;
use super::{StageId, names, tables};

/// The members of each group as the file names them.
type Members = BTreeMap<Text, Vec<Text>>;

impl GraphReader<'_, '_> {
    /// The stages of each group. A group may name other groups. A profile's group replaces the
    /// file's.
    pub(super) fn groups(
        &mut self,
        layers: &mut [DeTable<'_>],
        scope: &Scope,
    ) -> BTreeMap<String, Vec<StageId>> {
        let mut all: BTreeMap<String, (Text, Vec<Text>)> = BTreeMap::new();
        for layer in layers {
            let Some(table) = tables::take(layer, "group", self.mistakes) else {
                continue;
            };
            let read: Members = tables::read_map("`group`", table, self.mistakes);
            for (name, members) in read {
                all.insert(name.get_ref().clone(), (name, members));
            }
        }
        for (name, _) in all.values() {
            self.rule(
                &name.span(),
                "group name",
                name.get_ref(),
                names::identifier,
            );
            if scope.stages.contains_key(name.get_ref()) {
                let title = format!("`{}` is a group and a stage", name.get_ref());
                let mistake = Mistake::at(name.span(), title, "the group");
                self.mistakes
                    .push(mistake.help("give the group another name"));
            }
        }
        let members = all.values().flat_map(|(_, members)| members);
        for member in members.filter(|it| !all.contains_key(it.get_ref())) {
            if !scope.stages.contains_key(member.get_ref()) {
                let shown = member.get_ref().escape_debug();
                let title = format!("unknown stage `{shown}`");
                let mistake = Mistake::at(member.span(), title, "neither a stage nor a group");
                let known = || {
                    let groups = all.keys().map(String::as_str);
                    let mut known: Vec<&str> = groups
                        .chain(scope.stages.keys().map(String::as_str))
                        .collect();
                    known.sort_unstable();
                    known
                };
                self.mistakes.push_near(mistake, member.get_ref(), known);
            }
        }
        let mut groups = BTreeMap::new();
        for (name, (place, _)) in &all {
            let stages = gathered(name, &all, scope);
            // Without a name, a command means all stages, so an empty group must not be one.
            if stages.is_empty() {
                let title = format!("group `{}` has no stage", name.escape_debug());
                let mistake = Mistake::at(place.span(), title, "this group");
                self.mistakes
                    .push(mistake.help("name a stage in it, or remove it"));
            }
            groups.insert(name.clone(), stages);
        }
        groups
    }
}

/// The stages of a group. A group that names itself adds nothing by that.
fn gathered(name: &str, all: &BTreeMap<String, (Text, Vec<Text>)>, scope: &Scope) -> Vec<StageId> {
    let mut stages = BTreeSet::new();
    let (mut seen, mut left) = (BTreeSet::from([name]), vec![name]);
    while let Some(name) = left.pop() {
        for member in all.get(name).iter().flat_map(|(_, members)| members) {
            let member = member.get_ref().as_str();
            match scope.stages.get(member) {
                Some(stage) => drop(stages.insert(*stage)),
                None if seen.insert(member) => left.push(member),
                None => {}
            }
        }
    }
    stages.into_iter().collect()
}
