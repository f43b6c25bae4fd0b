//! From a repository as it is to its graph file.
//!
//! Looks at what already says which images there are: bake files, compose files, CI workflows and
//! Dockerfiles. Nothing is built, and nothing of the repository is run. What these files do not
//! decide becomes a question in a comment.

mod bake;
mod compose;
pub mod drift;
mod expressions;
pub mod found;
mod links;
mod lone;
pub mod repository;
mod services;
mod values;
mod workflows;
pub mod write;

use crate::outside::ask;
use crate::outside::git;
use crate::outside::interrupt::Interrupt;
use found::Found;
use repository::Repository;

/// Everything that the trees say of images.
pub fn look(trees: &[Repository], interrupt: &Interrupt) -> Found {
    let mut found = Found::default();
    let mut all = Vec::new();
    for tree in trees {
        bake::add(tree, &mut found, interrupt);
        all.push(compose::add(tree, &mut found, interrupt));
        workflows::add(tree, &mut found, has_commit(tree, interrupt));
        lone::add(tree, &mut found);
    }
    for (tree, own) in trees.iter().zip(&all) {
        services::map(tree, &mut found, own);
    }
    found.settle_names();
    found.settle_images();
    links::add(trees, &mut found);
    links::share_platforms(&mut found);
    found.keep_mentioned_vars();
    found
}

/// Whether a part of docker is there and answers.
fn works(words: &[&str], interrupt: &Interrupt) -> bool {
    let mut command = ask::docker();
    command.args(words);
    ask::ask(command, interrupt).good
}

/// Whether a tree has a commit that an argument can name.
fn has_commit(tree: &Repository, interrupt: &Interrupt) -> bool {
    let mut command = git::command();
    command
        .arg("-C")
        .arg(&tree.root)
        .args(["rev-parse", "--verify", "HEAD"]);
    git::run(command, interrupt, |_| {}).is_ok()
}
