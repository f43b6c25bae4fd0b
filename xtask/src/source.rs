//! Where a stage's paths start on this machine.
//!
//! Knows local checkouts, the environment's overrides, and how to ask git for a commit.
//! Is unaware of what is in a checkout.

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use xshell::{Shell, cmd};

use crate::fault::{Fault, Result};
use crate::spec::{Source, SourceId, Spec};

/// The environment variable that points a source at a local checkout.
pub fn variable(source: &str) -> String {
    let name = source.to_uppercase().replace(['-', '.'], "_");
    format!("XTASK_SOURCE_{name}")
}

/// The absolute root of a source, or of the graph file's own folder for `None`.
pub fn root(spec: &Spec, source: Option<SourceId>) -> Result<Utf8PathBuf> {
    let Some(id) = source else {
        return Ok(spec.root.clone());
    };
    let source = &spec.sources[id.index()];
    let variable = variable(&source.name);
    if let Some(path) = std::env::var_os(&variable) {
        let Some(path) = path.to_str().filter(|path| !path.is_empty()) else {
            return Err(Fault::usage(format!(
                "{variable} holds no path: point it at a checkout of `{}`",
                source.name
            )));
        };
        return checkout(source, Utf8Path::new(path), &format!("{variable} says"));
    }
    if let Some(path) = &source.path {
        return checkout(
            source,
            &spec.root.join(path),
            &format!("{} says", spec.file),
        );
    }
    let from = source
        .git
        .as_ref()
        .map_or_else(String::new, |git| format!(" of {} at {}", git.url, git.rev));
    Err(Fault::lacks(format!(
        "source `{}` is not on this machine: set {variable} to a checkout{from}",
        source.name
    )))
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

/// `path` below `root`, both resolved; a link that leads out of the root is refused.
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
            "{what} {whole} leads out of its root {root} by a link, to {real}"
        )))
    }
}

/// `path` below `root` if it is there and no name in it is a link: then it is resolved, as `root`
/// is. To resolve it as a whole would ask for every folder above the root again, for every stage.
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

/// The commit that is checked out at `root`.
pub fn commit(root: &Utf8Path) -> Result<String> {
    let fault = |error: &dyn std::fmt::Display| {
        Fault::lacks(format!(
            "cannot tell the commit of {root}, which `${{source.commit}}` asks for: {error}"
        ))
    };
    let shell = Shell::new().map_err(|error| fault(&error))?;
    let head = "HEAD^{commit}";
    cmd!(shell, "git -C {root} rev-parse --verify {head}")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .quiet()
        .ignore_stderr()
        .read()
        .map(|out| out.trim().to_owned())
        .map_err(|error| fault(&error))
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
