//! Which profiles are laid over the graph file, and in which order.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::DeTable;

use super::check::GraphReader;
use super::mistakes::{Mistake, Span};
use super::raw::{RawExtends, Text};
use super::{names, tables};

/// The tables that a profile may have.
pub(super) const IN_PROFILE: &[&str] = &[
    "extends", "vars", "defaults", "source", "stage", "base", "group", "stack", "registry",
    "publish", "target", "builder",
];

/// A profile of the file.
struct Profile<'t> {
    table: DeTable<'t>,
    extends: Vec<Text>,
}

impl GraphReader<'_, '_> {
    /// The names of all profiles, and the tables to read: the file's own, then those of the chosen
    /// profiles, each after the profiles that it extends. The profiles that were not chosen are
    /// checked for unknown names too, so that such a mistake shows early.
    pub(super) fn layers<'t>(
        &mut self,
        mut table: DeTable<'t>,
        chosen: &[String],
    ) -> (Vec<String>, Vec<DeTable<'t>>) {
        let mut profiles = self.profiles(&mut table);
        let names: Vec<String> = profiles.keys().cloned().collect();
        for chosen in chosen.iter().filter(|name| !profiles.contains_key(*name)) {
            let shown = chosen.escape_debug();
            let title = format!("unknown profile `{shown}`: the file does not declare it");
            let mistake = Mistake::of_file(title);
            let known = names.iter().map(String::as_str);
            self.mistakes.push(mistake.did_you_mean(chosen, known));
        }
        let all = profiles.keys().map(String::as_str);
        let (_, circles) = in_order(all, &profiles);
        self.extensions(&profiles, &circles);
        let chosen = chosen.iter().map(String::as_str);
        let (order, _) = in_order(chosen, &profiles);
        let order: Vec<String> = order.into_iter().map(str::to_owned).collect();
        let mut layers = vec![table];
        for name in order {
            let profile = profiles.get_mut(&name);
            layers.extend(profile.map(|profile| std::mem::take(&mut profile.table)));
        }
        (names, layers)
    }

    fn profiles<'t>(&mut self, table: &mut DeTable<'t>) -> BTreeMap<String, Profile<'t>> {
        let profiles = tables::take(table, "profile", self.mistakes);
        let profiles = profiles.map(Spanned::into_inner).unwrap_or_default();
        let mut all = BTreeMap::new();
        for (key, value) in profiles {
            let name = key.get_ref().to_string();
            self.rule(&key.span(), "profile name", &name, names::identifier);
            let what = format!("profile `{name}`");
            let Some(table) = tables::as_table(&what, value, self.mistakes) else {
                all.insert(name, Profile::empty());
                continue;
            };
            let span: Span = table.span();
            let mut table = table.into_inner();
            tables::report_unknown(&what, &mut table, IN_PROFILE, self.mistakes);
            let mut own = DeTable::default();
            own.extend(table.remove_entry("extends"));
            let own: RawExtends = tables::read(&what, Spanned::new(span, own), self.mistakes);
            let extends = own.extends.unwrap_or_default();
            all.insert(name, Profile { table, extends });
        }
        all
    }

    /// Reports what no profile can extend: an unknown profile, and itself.
    fn extensions(&mut self, profiles: &BTreeMap<String, Profile<'_>>, circles: &[Circle<'_>]) {
        for (name, profile) in profiles {
            let unknown = profile.extends.iter();
            for extended in unknown.filter(|name| !profiles.contains_key(name.get_ref())) {
                let shown = extended.get_ref().escape_debug();
                let title = format!("profile `{name}` extends `{shown}`, which does not exist");
                let mistake = Mistake::at(extended.span(), title, "no profile of that name");
                let known = || profiles.keys().map(String::as_str);
                self.mistakes.push_near(mistake, extended.get_ref(), known);
            }
        }
        for circle in circles {
            let title = if circle.name == circle.extended.get_ref() {
                format!("profile `{}` extends itself", circle.name)
            } else {
                let (name, extended) = (circle.name, circle.extended.get_ref());
                format!("profile `{name}` extends `{extended}`, which extends it")
            };
            self.mistakes
                .push(Mistake::at(circle.extended.span(), title, "here"));
        }
    }
}

impl Profile<'_> {
    fn empty() -> Self {
        Self {
            table: DeTable::default(),
            extends: Vec::new(),
        }
    }
}

/// A profile that extends a profile which extends it.
struct Circle<'p> {
    name: &'p str,
    extended: &'p Text,
}

/// How far the walk below is with a profile.
enum Walked {
    Begun,
    Done,
}

/// The profiles, each once and after those that it extends, and the places where that is not
/// possible. Unknown names are left out. The walk keeps its own stack, as a file may have any
/// number of profiles.
fn in_order<'p>(
    names: impl Iterator<Item = &'p str>,
    profiles: &'p BTreeMap<String, Profile<'_>>,
) -> (Vec<&'p str>, Vec<Circle<'p>>) {
    let (mut order, mut circles) = (Vec::new(), Vec::new());
    let mut walked: BTreeMap<&str, Walked> = BTreeMap::new();
    for name in names {
        let mut path: Vec<(&str, std::slice::Iter<'_, Text>)> = Vec::new();
        let mut next = Some(name);
        loop {
            if let Some((name, profile)) = next.take().and_then(|name| profiles.get_key_value(name))
                && !walked.contains_key(name.as_str())
            {
                walked.insert(name, Walked::Begun);
                path.push((name, profile.extends.iter()));
            }
            let Some((name, below)) = path.last_mut() else {
                break;
            };
            match below.next() {
                Some(extended) => {
                    if matches!(walked.get(extended.get_ref().as_str()), Some(Walked::Begun)) {
                        circles.push(Circle { name, extended });
                    }
                    next = Some(extended.get_ref());
                }
                None => {
                    order.push(*name);
                    walked.insert(name, Walked::Done);
                    path.pop();
                }
            }
        }
    }
    (order, circles)
}
