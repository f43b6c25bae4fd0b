//! Where sources are on this machine: a local checkout, the environment's override, or the tree
//! that was fetched at the locked commit. Nothing is fetched here.

pub mod facts;
pub mod tree;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use crate::fault::{Fault, Result};
use crate::graphfile::lock::Lock;
use crate::graphfile::spec::{Place, Source, SourceId, Spec, names};
use crate::outside::state::State;

/// The folder of a fetched source, with one tree for each commit.
pub fn folder(state: &State, source: &str) -> Utf8PathBuf {
    state.path("sources").join(source)
}

/// Where the fetched objects of a source are, in its folder. A git repository holds either SHA-1 or
/// SHA-256 commits, so each kind has a folder of its own.
pub fn objects(folder: &Utf8Path, commit: &str) -> Utf8PathBuf {
    folder.join(if commit.len() == 64 {
        "objects-sha256.git"
    } else {
        "objects.git"
    })
}

/// The tree of a commit in the folder of a fetched source, if it is there.
pub fn tree_of(folder: &Utf8Path, commit: &str) -> Option<Utf8PathBuf> {
    let tree = folder.join(commit);
    let is_folder = tree.symlink_metadata().is_ok_and(|meta| meta.is_dir());
    is_folder.then_some(tree)
}

/// Finds every source: a checkout that the environment or the file names, else the tree that was
/// fetched at the locked commit.
pub fn find(spec: &mut Spec, state: &State, lock: &Lock) {
    for at in 0..spec.sources.len() {
        let place = place(spec, &spec.sources[at], state, lock);
        spec.sources[at].place = place;
    }
}

fn place(spec: &Spec, source: &Source, state: &State, lock: &Lock) -> Place {
    let variable = names::source_variable(&source.name);
    let local = |path: &Utf8Path, who: &str| {
        let root = checkout(source, path, who);
        match root.and_then(|root| laid_out(spec, source, root)) {
            Ok(root) => Place::Local { root },
            Err(fault) => Place::Wrong(fault),
        }
    };
    if let Some(path) = spec.options.sources.get(&source.name) {
        return local(path, "it was put");
    }
    if let Some(path) = std::env::var_os(&variable) {
        return match path.to_str().filter(|path| !path.is_empty()) {
            Some(path) => local(path.into(), &format!("{variable} says")),
            None => Place::Wrong(Fault::usage(format!(
                "{variable} holds no path: point it at a checkout of `{}`",
                source.name
            ))),
        };
    }
    if let Some(path) = &source.path {
        return local(&spec.root.join(path), &format!("{} says", spec.file));
    }
    let name = &source.name;
    let Some(git) = &source.git else {
        return Place::Wrong(Fault::usage(format!(
            "unknown source `{name}`: no `[source.{name}]` declares it"
        )));
    };
    let fetched = lock.commit(name, git).and_then(|commit| {
        let tree = tree_of(&folder(state, name), commit)?;
        Some((tree.canonicalize_utf8().ok()?, commit.to_owned()))
    });
    let Some((root, commit)) = fetched else {
        return Place::Unfetched(Fault::lacks(format!(
            "source `{name}` is not on this machine: `{}` fetches {} of {}, or set {variable} to a checkout of it",
            spec.call.command("sync"),
            git.rev,
            git.url
        )));
    };
    match laid_out(spec, source, root) {
        Ok(root) => Place::Fetched { root, commit },
        Err(fault) => Place::Wrong(fault),
    }
}

/// Returns `root` if it has every folder of the source's `layout`.
fn laid_out(spec: &Spec, source: &Source, root: Utf8PathBuf) -> Result<Utf8PathBuf> {
    let missing = |folder: &&Utf8PathBuf| !root.join(folder).is_dir();
    match source.layout.iter().find(missing) {
        None => Ok(root),
        Some(missing) => Err(Fault::lacks(format!(
            "source `{}` at {root} has no folder `{missing}`, which `layout` in {} wants: it is a checkout of something else, or of a release with another layout",
            source.name, spec.file
        ))),
    }
}

/// The absolute root of a source, or of the graph file's own folder for `None`.
pub fn root(spec: &Spec, source: Option<SourceId>) -> Result<Utf8PathBuf> {
    let Some(id) = source else {
        return Ok(spec.root.clone());
    };
    let source = &spec.sources[id.index()];
    match &source.place {
        Place::Local { root } | Place::Fetched { root, .. } => Ok(root.clone()),
        Place::Unfetched(fault) | Place::Wrong(fault) => Err(fault.clone()),
        Place::Unsought => Err(Fault::lacks(format!(
            "source `{}` was not looked for",
            source.name
        ))),
    }
}

fn checkout(source: &Source, path: &Utf8Path, who: &str) -> Result<Utf8PathBuf> {
    let name = &source.name;
    let root = path.canonicalize_utf8().map_err(|error| {
        Fault::lacks(format!(
            "source `{name}` is not where {who}, {path}: {error}"
        ))
    })?;
    if root.is_dir() {
        Ok(root)
    } else {
        Err(Fault::lacks(format!(
            "source `{name}` is not where {who}: {path} is not a folder"
        )))
    }
}

/// `path` below `root`, both without links. A link that leads out of the root is refused.
pub fn inside(root: &Utf8Path, path: &Utf8Path, what: &str) -> Result<Utf8PathBuf> {
    if let Some(real) = without_links(root, path) {
        return Ok(real);
    }
    let whole = root.join(path);
    let real = whole.canonicalize_utf8().map_err(|error| {
        let why = if error.kind() == std::io::ErrorKind::NotFound {
            "it does not exist".into()
        } else {
            error.to_string()
        };
        Fault::usage(format!("{what} {whole}: {why}"))
    })?;
    if real.starts_with(root) {
        Ok(real)
    } else {
        Err(Fault::usage(format!(
            "{what} {whole} leads out of its root {root} by a link, to {real}: remove the link, or name a path below the root"
        )))
    }
}

/// The Dockerfile below `root` that a path means. If there is no `Dockerfile` but a `dockerfile`,
/// buildx takes that (docker/buildx `build/build.go`; tried with 0.13.1).
pub fn dockerfile(root: &Utf8Path, path: &Utf8Path) -> Utf8PathBuf {
    let is_there = |path: &Utf8Path| root.join(path).symlink_metadata().is_ok();
    let lower = path.with_file_name("dockerfile");
    if path.file_name() == Some("Dockerfile") && !is_there(path) && is_there(&lower) {
        lower
    } else {
        path.to_owned()
    }
}

/// `path` below `root`, if it exists and no part of it is a link: then it is resolved, as `root`
/// is. Resolving it as a whole would look at every folder above the root again, for every stage.
fn without_links(root: &Utf8Path, path: &Utf8Path) -> Option<Utf8PathBuf> {
    let mut real = root.to_owned();
    for part in path.components() {
        let Utf8Component::Normal(name) = part else {
            return None;
        };
        real.push(name);
        if real.symlink_metadata().ok()?.is_symlink() {
            return None;
        }
    }
    Some(real)
}

/// How to get the files that git left out of a source.
pub fn remedy(spec: &Spec, source: Option<SourceId>) -> Result<tree::Remedy> {
    let known = source.map(|id| &spec.sources[id.index()]);
    Ok(match known {
        Some(Source {
            place: Place::Fetched { .. },
            name,
            ..
        }) => tree::Remedy::PointElsewhere(names::source_variable(name)),
        _ => tree::Remedy::Fill(root(spec, source)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_gives_what_resolving_gives_and_leaves_links_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        let root = root.canonicalize_utf8().unwrap();
        std::fs::create_dir_all(root.join("a/b c")).unwrap();
        std::fs::write(root.join("a/b c/[f]"), "").unwrap();
        std::os::unix::fs::symlink("a", root.join("link")).unwrap();
        std::os::unix::fs::symlink("/etc", root.join("out")).unwrap();
        for path in ["", "a", "a/b c", "a/b c/[f]"] {
            let real = root.join(path).canonicalize_utf8().unwrap();
            assert_eq!(without_links(&root, path.into()), Some(real), "{path}");
        }
        for path in ["link", "link/b c", "out/passwd", "none", "a/b c/[f]/x"] {
            assert_eq!(without_links(&root, path.into()), None, "{path}");
        }
        assert_eq!(
            inside(&root, "link/b c".into(), "x").unwrap(),
            root.join("a/b c")
        );
        assert!(inside(&root, "out".into(), "x").is_err());
    }
}
