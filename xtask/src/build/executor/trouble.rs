//! What is wrong with the machine if docker cannot build: the words that buildx and podman have for
//! it, and what helps.

use camino::{Utf8Path, Utf8PathBuf};

use crate::outside::engine;

/// Why `docker` does not know the command: it has no buildx, or it is another program.
pub(super) fn no_buildx() -> String {
    match engine::podman() {
        Some(version) => format!(
            "`docker` is podman here ({version}), which has no BuildKit: {}",
            engine::NOT_PODMAN
        ),
        None => "`docker` has no `buildx`: install Docker's buildx plugin".to_owned(),
    }
}

/// What helps if buildx cannot write its own files: `mkdir /home/x/.docker/buildx: permission
/// denied` (tried with buildx 0.13.1).
pub(super) fn unwritable(error: &str) -> Option<String> {
    let buildx = std::env::var("BUILDX_CONFIG").ok();
    let buildx = buildx
        .filter(|path| !path.is_empty())
        .map(Utf8PathBuf::from);
    let folder = buildx.or_else(|| Some(engine::config_folder()?.join("buildx")))?;
    is_about(error, &folder).then(|| {
        format!(
            "buildx cannot write its own files ({error}): set BUILDX_CONFIG to a folder that can be written, or DOCKER_CONFIG, which moves docker's logins and contexts too"
        )
    })
}

/// Whether `error` says that `folder`, a folder above it or an entry in it could not be written.
fn is_about(error: &str, folder: &Utf8Path) -> bool {
    let Some((call, why)) = error.rsplit_once(": ") else {
        return false;
    };
    if !matches!(why, "permission denied" | "read-only file system") {
        return false;
    }
    let path = call.split_once(' ').map(|(_, path)| Utf8Path::new(path));
    path.is_some_and(|path| {
        path.is_absolute() && (path.starts_with(folder) || folder.starts_with(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fault_of_buildx_own_folder_is_about_it() {
        let is = |error| is_about(error, Utf8Path::new("/home/x/.docker/buildx"));
        assert!(is("mkdir /home/x/.docker/buildx: permission denied"));
        assert!(is("mkdir /home/x: permission denied"));
        assert!(is(
            "open /home/x/.docker/buildx/.lock: read-only file system"
        ));
        assert!(!is(
            "open /home/x/.docker/buildx/.lock: no such file or directory"
        ));
        assert!(!is("open /home/x/code/a: permission denied"));
        assert!(!is("permission denied"));
        assert!(!is("open .docker: permission denied"));
    }
}
