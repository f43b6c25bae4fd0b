//! Checks the licences and origins of all dependencies against `deny.toml`.
//!
//! Does the most important part of cargo-deny, for machines on which cargo-deny cannot be had.

use std::collections::BTreeSet;

use camino::Utf8Path;
use serde::Deserialize;
use xshell::{Shell, cmd};

use crate::fault::{Fault, Result};

#[derive(Deserialize)]
struct Deny {
    licenses: Licences,
}

#[derive(Deserialize)]
struct Licences {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

/// Checks every package of the workspace's lock file. The fault names all packages that do not
/// comply.
pub fn check(workspace: &Utf8Path) -> Result<usize> {
    let fault =
        |error: &dyn std::fmt::Display| Fault::failed(format!("cannot check licences: {error}"));
    let text =
        std::fs::read_to_string(workspace.join("deny.toml")).map_err(|error| fault(&error))?;
    let deny: Deny = toml::from_str(&text).map_err(|error| fault(&error))?;
    let shell = Shell::new().map_err(|error| fault(&error))?;
    shell.change_dir(workspace);
    let text = cmd!(shell, "cargo metadata --format-version 1 --locked")
        .quiet()
        .read()
        .map_err(|error| fault(&error))?;
    let metadata: Metadata = serde_json::from_str(&text).map_err(|error| fault(&error))?;
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let licence = package.license.as_deref().unwrap_or("none");
        if !allowed(licence, &deny.licenses.allow) {
            wrong.push(format!(
                "{} {} has the licence {licence}",
                package.name, package.version
            ));
        }
        // Our own packages have no source; everything else comes from the registry, never from git.
        if package
            .source
            .as_deref()
            .is_some_and(|source| !source.starts_with("registry+"))
        {
            wrong.push(format!(
                "{} {} is not from the package registry",
                package.name, package.version
            ));
        }
    }
    if wrong.is_empty() {
        Ok(metadata.packages.len())
    } else {
        Err(Fault::failed(wrong.join("\n")))
    }
}

/// Whether an SPDX expression is allowed: one alternative must be allowed as a whole. Reads `OR`
/// and `AND` with brackets of one level, as crates write them.
fn allowed(expression: &str, allow: &BTreeSet<String>) -> bool {
    let plain = expression.replace('/', " OR ");
    if let (Some(open), Some(close)) = (plain.find('('), plain.find(')')) {
        let inner = allowed(&plain[open + 1..close], allow);
        let token = if inner { "\u{1}" } else { "\u{2}" };
        return allowed(
            &format!("{}{token}{}", &plain[..open], &plain[close + 1..]),
            allow,
        );
    }
    plain.split(" OR ").any(|choice| {
        choice
            .split(" AND ")
            .all(|one| one.trim() == "\u{1}" || allow.contains(one.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alternative_must_be_allowed_as_a_whole() {
        let allow = BTreeSet::from(["MIT".to_owned(), "Unicode-3.0".to_owned()]);
        for good in [
            "MIT",
            "MIT OR Apache-2.0",
            "Apache-2.0/MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
        ] {
            assert!(allowed(good, &allow), "{good}");
        }
        for bad in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "none",
            "(GPL-3.0 OR Apache-2.0) AND MIT",
        ] {
            assert!(!allowed(bad, &allow), "{bad}");
        }
    }
}
