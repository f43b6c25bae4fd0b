//! The variables of a graph file with their values.

use std::collections::BTreeMap;

/// The variables of a graph file.
#[derive(Debug, Default)]
pub struct Vars {
    values: BTreeMap<String, String>,
    /// For each variable without a value: the environment variable that would give it one.
    unset: BTreeMap<String, String>,
}

impl Vars {
    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&String> {
        self.values.get(name)
    }

    /// The environment variable that would give a declared variable the value that it lacks.
    pub fn unset(&self, name: &str) -> Option<&str> {
        self.unset.get(name).map(String::as_str)
    }

    /// All names that have a value.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// All names that the file declares, with a value or without.
    pub fn declared(&self) -> impl Iterator<Item = &str> {
        self.names().chain(self.unset.keys().map(String::as_str))
    }

    /// Adds a variable with its value.
    pub fn set(&mut self, name: String, value: String) {
        self.values.insert(name, value);
    }

    /// Adds a variable without a value, which the environment variable would give it.
    pub fn lack(&mut self, name: String, variable: String) {
        self.unset.insert(name, variable);
    }

    /// The values, by name.
    pub const fn values(&self) -> &BTreeMap<String, String> {
        &self.values
    }
}
