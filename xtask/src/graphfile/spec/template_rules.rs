//! The rules for values that mention variables and facts of sources.

use std::collections::BTreeMap;

use super::check::{GraphReader, Scope};
use super::mistakes::Mistake;
use super::placed::Placed;
use super::raw::{Text, Texts};
use super::template::Template;

/// The facts of a source that a value may mention.
const FACTS: &[&str] = &[
    "source.commit",
    "source.short",
    "source.branch",
    "source.date",
    "source.time",
    "source.rev",
];

pub(super) fn is_fact(name: &str) -> bool {
    FACTS.contains(&name)
}

/// How long an argument of a command may be on Linux (`MAX_ARG_STRLEN`).
const LONGEST_VALUE: usize = 128 << 10;

impl GraphReader<'_, '_> {
    pub(super) fn templates(
        &mut self,
        what: &str,
        raw: Option<Texts>,
        name_rule: fn(&str) -> Result<(), String>,
        scope: &Scope,
    ) -> BTreeMap<String, Template> {
        let mut all = BTreeMap::new();
        for (name, value) in raw.into_iter().flatten() {
            let name = self.text(&format!("{what} name"), name, name_rule);
            let template = self.template(what, &value, scope, is_fact);
            if let (Some(name), Some(template)) = (name, template) {
                all.insert(name, template);
            }
        }
        all
    }

    pub(super) fn template(
        &mut self,
        what: &str,
        value: &Text,
        scope: &Scope,
        later: impl Fn(&str) -> bool,
    ) -> Option<Template> {
        self.rule(&value.span(), what, value.get_ref(), no_nul)
            .then_some(())?;
        let template = match Template::parse(value.get_ref()) {
            Ok(template) if !self.has_room(what, value, &template, scope) => return None,
            Ok(template) => template.settle(|name| scope.vars.get(name).cloned()),
            Err(wrong) => {
                self.mistakes.push(Mistake::at(
                    value.span(),
                    format!("{what}: {wrong}"),
                    "here",
                ));
                return None;
            }
        };
        for name in template.names().filter(|name| !later(name)) {
            if let Some(variable) = scope.vars.unset(name) {
                let title = format!("{what} mentions `${{{name}}}`, which has no value");
                let label = format!("{variable} is not set");
                let mistake = Mistake::at(value.span(), title, label);
                let help =
                    format!("set {variable}, pass `--set {name}=VALUE`, or give it a `default`");
                self.mistakes.push(mistake.help(help));
                continue;
            }
            let title = format!("{what} mentions `${{{name}}}`, which is not known here");
            let known = || scope.vars.names().chain(FACTS.iter().copied());
            let label = "neither in [vars] nor a fact of the stage's source";
            let mistake = Mistake::at(value.span(), title, label);
            self.mistakes.push_near(mistake, name, known);
        }
        Some(template)
    }

    /// Whether the value stays within bounds when its variables are filled in. A long variable that
    /// is mentioned often would make gigabytes of a small file.
    fn has_room(&mut self, what: &str, value: &Text, template: &Template, scope: &Scope) -> bool {
        let filled = template.names().filter_map(|name| scope.vars.get(name));
        let length = value.get_ref().len() + filled.map(String::len).sum::<usize>();
        let left = scope.room.get().checked_sub(length);
        scope.room.set(left.unwrap_or(0));
        if length <= LONGEST_VALUE && left.is_some() {
            return true;
        }
        let title = format!("{what} grows too long with its variables");
        let help = "a command takes no argument of more than 128 KiB";
        self.mistakes
            .push(Mistake::at(value.span(), title, "here").help(help));
        false
    }

    /// A value that must be known when the file is read.
    pub(super) fn settled(
        &mut self,
        what: &str,
        value: Text,
        rule: fn(&str) -> Result<(), String>,
        scope: &Scope,
    ) -> Option<String> {
        let template = self.template(what, &value, scope, |_| false)?;
        let text = template.expand(|_| Err(())).ok()?;
        self.text(what, Placed::new(value.span(), text), rule)
    }
}

pub(super) fn no_nul(text: &str) -> Result<(), String> {
    if text.contains('\0') {
        Err("must not hold a NUL".into())
    } else {
        Ok(())
    }
}
