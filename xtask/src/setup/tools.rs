//! Programs and libraries that host commands need: finds them on the machine, and describes the
//! missing ones to a person.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use camino::Utf8PathBuf;

use super::packages::System;

/// Where libraries have their descriptions (pkg-config(1)). Below each folder there may be one for
/// each kind of machine.
const LIBRARIES: [&str; 5] = [
    "/usr/lib",
    "/usr/lib64",
    "/usr/share",
    "/usr/local/lib",
    "/usr/local/share",
];

/// A program on PATH.
pub fn on_path(program: &str) -> Option<Utf8PathBuf> {
    let path = std::env::var_os("PATH")?;
    let runs = |file: &Utf8PathBuf| {
        let meta = std::fs::metadata(file);
        meta.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(&path)
        .filter_map(|folder| Utf8PathBuf::from_path_buf(folder).ok())
        .map(|folder| folder.join(program))
        .find(runs)
}

/// Whether a program of this name is on the path, or pkg-config knows a library by it.
pub fn is_there(name: &str) -> bool {
    on_path(name).is_some() || has_library(name)
}

/// The needs that are not there.
pub fn lacking(needs: &[String]) -> Vec<&str> {
    let missing = needs.iter().filter(|name| !is_there(name));
    missing.map(String::as_str).collect()
}

/// The needs that are not there, with the packages that bring them; `None` if all are there.
pub fn told(needs: &[String], system: Option<System>) -> Option<String> {
    let missing = lacking(needs);
    if missing.is_empty() {
        return None;
    }
    let one = |name: &&str| match package(name, system) {
        Some(package) => format!("`{name}` ({package})"),
        None => format!("`{name}`"),
    };
    let shown: Vec<String> = missing.iter().map(one).collect();
    let installed = |name: &&str| system.is_some_and(|it| it.brings(name).is_some());
    let remedy = if missing.iter().all(installed) {
        "`cargo xtask setup` installs what is missing"
    } else {
        "install what is missing"
    };
    Some(format!(
        "{}, not found on this machine: {remedy}",
        shown.join(", ")
    ))
}

/// The package that brings a tool, for people. If the system's packages are not known, Debian's
/// name serves as a hint.
pub fn package(name: &str, system: Option<System>) -> Option<String> {
    let brought = |system: System| system.brings(name)?.first().copied();
    Some(match system {
        Some(system) => {
            let package = brought(system)?;
            // The release from which apt takes the package is not part of its name.
            let bare = package.split('/').next().unwrap_or(package);
            format!("package {bare}")
        }
        None => format!("on Debian package {}", brought(System::Debian)?),
    })
}

fn has_library(name: &str) -> bool {
    let file = format!("{name}.pc");
    let given = std::env::var_os("PKG_CONFIG_PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&given).collect();
    for top in LIBRARIES.map(Path::new) {
        folders.push(top.join("pkgconfig"));
        let kinds = top.read_dir().into_iter().flatten().flatten();
        // `/usr/lib/x86_64-linux-gnu`.
        let kinds = kinds.filter(|entry| entry.file_name().to_string_lossy().contains("-linux-"));
        folders.extend(kinds.map(|entry| entry.path().join("pkgconfig")));
    }
    folders.iter().any(|folder| folder.join(&file).is_file())
}
