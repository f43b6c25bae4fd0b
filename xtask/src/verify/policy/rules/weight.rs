//! What an image should not hold, and how large it may be.

use std::collections::BTreeMap;

use super::{Breach, Breaches};
use crate::graphfile::spec::policy::{Policy, Rule};
use crate::report::words;
use crate::verify::finding::Origin;
use crate::verify::layers::{Layer, shown};

/// Programs that compile. The comparison strips versions and target names.
const COMPILERS: [&str; 10] = [
    "gcc", "g++", "cc", "c++", "clang", "clang++", "rustc", "go", "javac", "gfortran",
];

/// What package managers keep for their next call, which never happens in an image.
const CACHES: [(&str, &str); 9] = [
    ("var/lib/apt/lists", "apt's lists"),
    ("var/cache/apt/archives", "apt's packages"),
    ("var/cache/apk", "apk's cache"),
    ("root/.cache", "root's caches"),
    ("root/.npm", "npm's cache"),
    ("root/.cargo/registry", "cargo's registry"),
    ("usr/local/share/.cache", "yarn's cache"),
    ("var/cache/dnf", "dnf's cache"),
    ("root/go/pkg/mod", "Go's modules"),
];

/// Names of folders that hold tests.
const TESTS: [&[u8]; 4] = [b"tests", b"test", b"__tests__", b"testdata"];

impl Breaches<'_, '_> {
    pub(super) fn budget(&mut self, policy: &Policy) {
        let subject = self.subject;
        let sizes: Vec<u64> = subject
            .image
            .layers
            .iter()
            .map(|layer| size(layer))
            .collect();
        let whole: u64 = sizes.iter().sum();
        let made = subject.made.iter();
        let own = made
            .zip(&sizes)
            .filter(|(made, _)| made.from == Origin::Own);
        let own: u64 = own.map(|(_, size)| size).sum();
        let mut over = |what: &str, is: u64, most: Option<u64>, name: &str| {
            let Some(most) = most.filter(|most| is > *most) else {
                return;
            };
            self.list.push(Breach {
                rule: Rule::Budget,
                layer: None,
                path: None,
                message: format!(
                    "{what} {} ({is} bytes), and `{name}` allows {} ({most} bytes)",
                    words::size(is),
                    words::size(most)
                ),
                remedy: "make it smaller, or raise the budget in the graph file".to_owned(),
            });
        };
        over("the image holds", whole, policy.max_size, "max-size");
        over("the stage adds", own, policy.max_added, "max-added");
    }

    pub(super) fn tests(&mut self) {
        let is_tests = |path: &[u8]| {
            let mut names = path.split(|byte| *byte == b'/');
            let last = path.rsplit(|byte| *byte == b'/').next();
            // Only the outermost folder of tests.
            names.find(|name| TESTS.contains(name)) == last
                && last.is_some_and(|name| TESTS.contains(&name))
                && path
                    .split(|byte| *byte == b'/')
                    .filter(|name| TESTS.contains(name))
                    .count()
                    == 1
        };
        self.folders(
            Rule::Tests,
            is_tests,
            "test folder",
            "leave them out with .dockerignore, or remove them in the RUN that installs them",
        );
    }

    /// Reports one breach for each layer with folders of a kind: their number, their size, the
    /// largest.
    fn folders(&mut self, rule: Rule, is_it: impl Fn(&[u8]) -> bool, what: &str, remedy: &str) {
        let subject = self.subject;
        let mut by_layer: BTreeMap<usize, (usize, u64, u64, Vec<u8>)> = BTreeMap::new();
        for (path, node) in subject.view.nodes() {
            let is_folder = subject.view.entry(node.place).is_folder();
            if !is_folder || !is_it(path) || subject.made(node).from == Origin::Base {
                continue;
            }
            let below = subject.view.below(path);
            let bytes: u64 = below
                .map(|(_, node)| subject.view.entry(node.place).size)
                .sum();
            if bytes == 0 {
                continue;
            }
            let all = by_layer.entry(node.place.layer).or_default();
            all.0 += 1;
            all.1 += bytes;
            if bytes > all.2 {
                (all.2, all.3) = (bytes, path.to_vec());
            }
        }
        for (layer, (count, bytes, _, path)) in by_layer {
            self.add(
                rule,
                Some((layer, &path)),
                format!(
                    "{} of {} in it",
                    words::count(count, what),
                    words::size(bytes)
                ),
                remedy,
            );
        }
    }

    pub(super) fn caches(&mut self) {
        let subject = self.subject;
        for (folder, what) in CACHES {
            let mut by_layer: BTreeMap<usize, u64> = BTreeMap::new();
            for (_, node) in subject.view.below(folder.as_bytes()) {
                let entry = subject.view.entry(node.place);
                *by_layer.entry(node.place.layer).or_default() += entry.size;
            }
            for (layer, bytes) in by_layer.into_iter().filter(|(_, bytes)| *bytes > 0) {
                self.add(
                    Rule::Caches,
                    Some((layer, folder.as_bytes())),
                    format!("{what} are left in the image: {}", words::size(bytes)),
                    "remove it in the RUN that made it, or keep it out with RUN --mount=type=cache",
                );
            }
        }
    }

    pub(super) fn compilers(&mut self) {
        let subject = self.subject;
        let mut by_layer: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
        for folder in subject.path() {
            for (path, node) in subject.view.below(&folder) {
                let name = &path[folder.len() + 1..];
                let entry = subject.view.entry(node.content.unwrap_or(node.place));
                let is_program =
                    entry.is_file() && entry.mode & 0o111 != 0 && !name.contains(&b'/');
                if is_program && is_compiler(&String::from_utf8_lossy(name)) {
                    by_layer
                        .entry(node.place.layer)
                        .or_default()
                        .push(path.to_vec());
                }
            }
        }
        for (layer, mut paths) in by_layer {
            paths.sort();
            paths.dedup();
            let names: Vec<String> = paths.iter().take(4).map(|path| shown(path)).collect();
            let path = paths.first().cloned().unwrap_or_default();
            self.add(
                Rule::Compilers,
                Some((layer, &path)),
                format!("compilers are in the image: {}", names.join(", ")),
                "compile in a stage of its own, and copy what it made",
            );
        }
    }
}

/// The bytes of a layer's files. A file that the layer has twice counts twice.
fn size(layer: &Layer) -> u64 {
    layer.table.entries().map(|entry| entry.size).sum()
}

/// `gcc`, `gcc-12`, `x86_64-linux-gnu-gcc-12`.
fn is_compiler(name: &str) -> bool {
    let version = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    let base = match name.rsplit_once('-') {
        Some((base, tail)) if version(tail) => base,
        _ => name,
    };
    let last = base.rsplit('-').next().unwrap_or(base);
    COMPILERS.contains(&last) && (last == base || base.contains("linux"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_are_known_with_versions_and_targets() {
        for name in [
            "gcc",
            "gcc-12",
            "x86_64-linux-gnu-gcc-12",
            "rustc",
            "go",
            "clang-16",
        ] {
            assert!(is_compiler(name), "{name}");
        }
        for name in [
            "gcc-ar",
            "gccgo-tool",
            "git",
            "goose",
            "ccache",
            "cc-wrapper.sh",
        ] {
            assert!(!is_compiler(name), "{name}");
        }
    }
}
