//! `prune`: what nobody needs goes, and nothing else, on engines of the tests' own.

mod local;
mod registry;

use serde_json::Value;

use super::Project;

fn pruned(project: &Project, arguments: &[&str]) -> Value {
    let ran = project.run(&[&["prune", "--yes", "--json"], arguments].concat());
    serde_json::from_str(&ran.ends(0).stdout).unwrap()
}
