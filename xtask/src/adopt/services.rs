//! Which services run the images of stages, and the compose file that runs most of them.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use super::found::{Found, FoundStack, Witness, split_reference};
use super::repository::Repository;
use super::values::interpolate;

/// A service of a compose file.
#[derive(Debug)]
pub struct Service {
    /// The file.
    pub file: Utf8PathBuf,
    /// Its name.
    pub name: String,
    /// The image that it runs; `None` if it builds one.
    pub image: Option<String>,
}

/// Gives the stages the services that run their images, and takes the compose file that runs most
/// of them. `services` are those of the tree.
pub fn map(tree: &Repository, found: &mut Found, services: &[Service]) {
    let mut used: Vec<(&Utf8Path, usize)> = Vec::new();
    let mut taken: BTreeSet<&str> = BTreeSet::new();
    for run in services {
        let mut vars = found.vars.clone();
        let image = run.image.as_deref();
        let image = image.map(|image| interpolate(image, &mut vars));
        let stage = found.stages.iter_mut().find(|stage| match &image {
            None => stage.evidence == Witness::Compose && stage.services.contains(&run.name),
            Some(Ok(image)) => stage.image.as_deref() == Some(split_reference(image).0),
            Some(Err(_)) => false,
        });
        let Some(stage) = stage else {
            continue;
        };
        match used.iter_mut().find(|(file, _)| *file == run.file) {
            Some((_, count)) => *count += 1,
            None => used.push((&run.file, 1)),
        }
        if !taken.insert(&run.name) {
            continue;
        }
        stage.services.insert(run.name.clone());
        if let (true, Some(Ok(image))) = (stage.tags.is_empty(), &image) {
            let tag = split_reference(image).1.unwrap_or("latest");
            stage.tags.push(tag.to_owned());
            found.vars = vars;
        }
    }
    // Of those that run equally many, the first.
    let most = used.iter().rev().max_by_key(|(_, count)| *count);
    let Some((compose, _)) = most else {
        return;
    };
    let folder = compose.parent().unwrap_or(Utf8Path::new(""));
    let has_own = tree.root.join(folder).join(".env").is_file();
    let example = folder.join(".env.example");
    let env_file = (!has_own && tree.root.join(&example).is_file()).then_some(example);
    found.stack.get_or_insert(FoundStack {
        source: tree.source.clone(),
        compose: (*compose).to_owned(),
        env_file,
    });
}
