//! `[vars]`: which variables a graph file has, and where their values come from.
//!
//! The environment gives a value only to a variable that the file declares with `env`, so nothing
//! in a shell changes an image by accident.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check::GraphReader;
use super::mistakes::Mistake;
use super::placed::Placed;
use super::raw::{RawVar, Texts};
use super::vars::Vars;
use super::{names, tables};

/// Where a variable's value comes from.
enum Declared {
    Value(String),
    Env {
        variable: String,
        default: Option<String>,
    },
}

impl GraphReader<'_, '_> {
    /// The variables of the file, with those of the profiles laid over them. `given` are the values
    /// of the command line.
    pub(super) fn vars(
        &mut self,
        layers: &mut [DeTable<'_>],
        given: &BTreeMap<String, String>,
    ) -> Vars {
        let mut declared = BTreeMap::new();
        for layer in layers {
            let Some(table) = tables::take(layer, "vars", self.mistakes) else {
                continue;
            };
            let span = table.span();
            for (key, value) in table.into_inner() {
                let name = key.get_ref().to_string();
                self.rule(&key.span(), "variable name", &name, names::variable);
                let read = if matches!(value.get_ref(), DeValue::Table(_)) {
                    self.env_variable(&name, value)
                } else {
                    let mut one = DeTable::default();
                    one.insert(key, value);
                    let one = Spanned::new(span.clone(), one);
                    let read: Texts = tables::read_map("`vars`", one, self.mistakes);
                    let value = read.into_values().next().map(Placed::into_inner);
                    value.map(Declared::Value)
                };
                declared.extend(read.map(|read| (name, read)));
            }
        }
        for name in given.keys().filter(|name| !declared.contains_key(*name)) {
            let title = format!(
                "`--set` names the variable `{}`, which [vars] does not declare",
                name.escape_debug()
            );
            let known = declared.keys().map(String::as_str);
            let mistake = Mistake::of_file(title);
            self.mistakes.push(mistake.did_you_mean(name, known));
        }
        let mut vars = Vars::default();
        for (name, declared) in declared {
            let value = given.get(&name).cloned();
            let value = value.or_else(|| match &declared {
                Declared::Value(value) => Some(value.clone()),
                Declared::Env { variable, default } => in_environment(variable).or(default.clone()),
            });
            match (value, declared) {
                (Some(value), _) => vars.set(name, value),
                (None, Declared::Env { variable, .. }) => vars.lack(name, variable),
                (None, Declared::Value(_)) => {}
            }
        }
        vars
    }

    fn env_variable(&mut self, name: &str, value: Spanned<DeValue<'_>>) -> Option<Declared> {
        let span = value.span();
        let what = format!("variable `{name}`");
        let table = tables::as_table(&what, value, self.mistakes)?;
        let raw: RawVar = tables::read(&what, table, self.mistakes);
        let Some(env) = raw.env else {
            let mistake = Mistake::at(span, format!("{what} has no `env`"), "`env` is missing");
            let help = "name the environment variable, or write the value itself";
            self.mistakes.push(mistake.help(help));
            return None;
        };
        let variable = self.text("environment variable", env, names::variable)?;
        let default = raw.default.map(Placed::into_inner);
        Some(Declared::Env { variable, default })
    }
}

/// The value of an environment variable. An empty one counts as not set: that is how CI systems
/// pass on what they do not have.
fn in_environment(variable: &str) -> Option<String> {
    std::env::var(variable)
        .ok()
        .filter(|value| !value.is_empty())
}
