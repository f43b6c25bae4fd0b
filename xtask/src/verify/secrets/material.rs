//! Test material of packages: keys that were made to be published.
//!
//! Python's own tests (`Lib/test`), packages of Python, npm, gems, Go modules and Debian's
//! documentation contain private keys and passwords for their tests. They are public, and no
//! service trusts them. A finding is dropped only if two things agree:
//!
//! - the path: the file belongs to an installed package (the path contains a folder that a package
//!   manager owns; by the Filesystem Hierarchy Standard, /usr/lib and /usr/share are the
//!   distribution's) *and* lies in that package's tests, documentation or examples;
//! - the shape: it has no checksum. A token that its issuer's checksum proves counts even there.
//!
//! The library of GNU TLS contains the keys of its self-tests (`lib/crypto-selftests-pk.c`) and is
//! in every Debian image, so its name alone makes it test material. Cargo's registry holds only
//! published source, whose tests are in the source files.
//!
//! A folder `tests` of an application is not enough, as it was not published. Gitleaks ignores
//! `node_modules` and `lib/python*` altogether; here a key in a package's other folders counts.

/// Folders that a package manager owns. The path below them belongs to a package.
const OWNED: &[&str] = &["site-packages", "dist-packages", "node_modules", "gems"];
/// Such folders whose path has several names.
const OWNED_PATHS: &[&[&str]] = &[&["pkg", "mod"]];
/// Folders that the distribution owns, from the image's root.
const DISTRIBUTION: &[&[&str]] = &[&["usr", "lib"], &["usr", "libexec"], &["usr", "share"]];
/// Folders of tests, examples and documentation.
const TESTS: &[&str] = &[
    "test",
    "tests",
    "testing",
    "testdata",
    "test_data",
    "test-data",
    "spec",
    "specs",
    "selftest",
    "fixtures",
    "examples",
    "example",
    "idle_test",
    "testsuite",
    "test_certs",
    "testutils",
    "__tests__",
    "_test",
    "_tests",
    "certdata",
    "dummyserver",
    "moto_proxy",
    "doc",
    "docs",
];
/// Endings of documentation pages. Programs read no keys from them.
const PAGES: &[&str] = &[".md", ".markdown", ".rst"];

/// Whether a file is test material of an installed package.
pub fn is_material(path: &str) -> bool {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    let Some((name, folders)) = parts.split_last() else {
        return false;
    };
    if let ["usr", "share", "doc", _, ..] = folders {
        return true;
    }
    if name.starts_with("libgnutls.") && folders.iter().any(|folder| folder.starts_with("lib")) {
        return true;
    }
    if folders.windows(2).any(|pair| pair == ["registry", "src"]) {
        return true;
    }
    owner(folders).is_some_and(|package| {
        is_test(name)
            || is_page(name)
            || package
                .iter()
                .any(|folder| TESTS.contains(&folder.to_ascii_lowercase().as_str()))
    })
}

/// The folders below the folder that a package manager owns.
fn owner<'a, 'p>(folders: &'a [&'p str]) -> Option<&'a [&'p str]> {
    if let Some(owned) = DISTRIBUTION.iter().find(|owned| folders.starts_with(owned)) {
        return Some(&folders[owned.len()..]);
    }
    (0..folders.len()).find_map(|at| {
        let rest = &folders[at..];
        if OWNED.contains(&rest[0]) {
            return Some(&rest[1..]);
        }
        // Python's own library: lib/python3.12/test.
        if is_python(rest[0]) && at > 0 && folders[at - 1].starts_with("lib") {
            return Some(&rest[1..]);
        }
        OWNED_PATHS
            .iter()
            .find(|owned| rest.starts_with(owned))
            .map(|owned| &rest[owned.len()..])
    })
}

/// `python3`, `python3.12`.
fn is_python(folder: &str) -> bool {
    folder
        .strip_prefix("python")
        .is_some_and(|version| version.starts_with(['2', '3']))
}

/// `test_x.py`, also compiled; `x_test.go`; `x.test.js`.
fn is_test(name: &str) -> bool {
    name.starts_with("test_")
        || name.contains("_test.")
        || name.contains(".test.")
        || name.contains(".spec.")
}

/// `README.md`.
fn is_page(name: &str) -> bool {
    PAGES
        .iter()
        .any(|end| name.to_ascii_lowercase().ends_with(end))
}
