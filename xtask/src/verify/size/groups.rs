//! Kinds of files that an image can often do without.

use serde::Serialize;

use super::count::{Contents, Weight, folders};
use crate::verify::layers::LayerPlace;

/// All files of one kind. A content counts in the first kind that all its names belong to, so that
/// the sums of several kinds can be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The kind.
    pub name: &'static str,
    /// How much smaller the image would be without them.
    #[serde(flatten)]
    pub weight: Weight,
    /// The bytes in each layer, by the layer's position.
    pub layers: Vec<(usize, u64)>,
    /// The folder that holds most of the kind's bytes, without a leading slash.
    pub folder: String,
    /// How to leave them out.
    pub remedy: &'static str,
}

/// How files of a kind are recognised.
struct Kind {
    name: &'static str,
    is: fn(&NamedPath<'_>) -> bool,
    remedy: &'static str,
}

const KINDS: [Kind; 5] = [
    Kind {
        name: "caches",
        is: is_cache,
        remedy: "RUN --mount=type=cache, or clean up in the RUN that fills them",
    },
    Kind {
        name: "bytecode",
        is: is_bytecode,
        remedy: "PYTHONDONTWRITEBYTECODE=1 while building; without it, programs start more slowly",
    },
    Kind {
        name: "build tools",
        is: is_build_tool,
        remedy: "compile in a Dockerfile stage of its own, and COPY --from it what was made",
    },
    Kind {
        name: "documentation",
        is: is_documentation,
        remedy: "apt's path-exclude, or remove it in the RUN that installs it",
    },
    Kind {
        name: "locales",
        is: is_locale,
        remedy: "apt's path-exclude, or remove them in the RUN that installs them",
    },
];

/// A path split into its folders and its name.
struct NamedPath<'p> {
    folders: Vec<&'p [u8]>,
    name: &'p [u8],
}

impl<'p> NamedPath<'p> {
    fn of(path: &'p [u8]) -> Self {
        let mut folders: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        let name = folders.pop().unwrap_or_default();
        Self { folders, name }
    }

    /// Whether the path lies in this folder of the image.
    fn is_in(&self, folder: &str) -> bool {
        let mut own = self.folders.iter();
        folder
            .split('/')
            .all(|part| own.next().is_some_and(|own| *own == part.as_bytes()))
    }

    /// Whether the path lies in a folder of this name.
    fn is_below(&self, name: &str) -> bool {
        self.folders.contains(&name.as_bytes())
    }
}

fn is_cache(path: &NamedPath<'_>) -> bool {
    const FOLDERS: [&str; 11] = [
        "var/lib/apt/lists",
        "var/cache",
        "var/tmp",
        "tmp",
        "usr/local/share/.cache",
        "root/.cargo/registry",
        "usr/local/cargo/registry",
        "root/go/pkg/mod",
        "go/pkg/mod",
        "etc/apk/cache",
        "root/.gradle",
    ];
    const NAMES: [&str; 5] = [".cache", "_cacache", ".npm", ".yarn-cache", ".pnpm-store"];
    FOLDERS.iter().any(|folder| path.is_in(folder)) || NAMES.iter().any(|name| path.is_below(name))
}

fn is_bytecode(path: &NamedPath<'_>) -> bool {
    path.name.ends_with(b".pyc") || path.name.ends_with(b".pyo")
}

fn is_build_tool(path: &NamedPath<'_>) -> bool {
    const FOLDERS: [&str; 10] = [
        "usr/include",
        "usr/local/include",
        "usr/lib/gcc",
        "usr/libexec/gcc",
        "usr/share/cmake",
        "usr/share/pkgconfig",
        "usr/local/go",
        "usr/local/rustup",
        "root/.rustup",
        "usr/lib/go",
    ];
    const PROGRAMS: [&str; 24] = [
        "gcc", "g++", "cc", "c++", "cpp", "clang", "clang++", "gfortran", "ld", "as", "ar", "nm",
        "objcopy", "objdump", "ranlib", "strip", "make", "cmake", "ninja", "rustc", "cargo",
        "javac", "gold", "dwp",
    ];
    let is_static = path.name.ends_with(b".a") && path.is_below("lib");
    let is_program = path.folders.last().is_some_and(|folder| *folder == b"bin") && {
        let name = String::from_utf8_lossy(path.name);
        // `x86_64-linux-gnu-gcc-12` is gcc; so is `gcc-12`.
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
        let name = name.strip_suffix(".bfd").unwrap_or(name);
        let tool = |name: &str| PROGRAMS.contains(&name);
        let target = name.find("-linux-").and_then(|at| {
            let rest = &name[at + "-linux-".len()..];
            rest.split_once('-').map(|(_, tool)| tool)
        });
        tool(name) || target.is_some_and(tool)
    };
    is_static || is_program || FOLDERS.iter().any(|folder| path.is_in(folder))
}

fn is_documentation(path: &NamedPath<'_>) -> bool {
    ["usr", "usr/local"].iter().any(|root| {
        [
            "share/doc",
            "share/man",
            "share/info",
            "share/gtk-doc",
            "man",
        ]
        .iter()
        .any(|folder| path.is_in(&format!("{root}/{folder}")))
    })
}

fn is_locale(path: &NamedPath<'_>) -> bool {
    let folders = ["usr/share/locale", "usr/share/i18n", "usr/lib/locale"];
    folders.iter().any(|folder| path.is_in(folder))
}

/// All kinds that the image has files of.
pub(super) fn of(contents: &Contents<'_>) -> Vec<Group> {
    let mut kinds: [Vec<usize>; KINDS.len()] = [const { Vec::new() }; KINDS.len()];
    for (number, content) in contents.0.iter().enumerate() {
        // Leaving out one kind frees a content only if all its names are of that kind.
        let names: Vec<NamedPath<'_>> = content
            .names
            .iter()
            .map(|name| NamedPath::of(name))
            .collect();
        let kind = KINDS.iter().position(|kind| names.iter().all(kind.is));
        if let Some(kind) = kind {
            kinds[kind].push(number);
        }
    }
    let found = KINDS.iter().zip(kinds).filter(|(_, all)| !all.is_empty());
    found
        .map(|(kind, all)| group(kind, contents, &all))
        .collect()
}

fn group(kind: &Kind, contents: &Contents<'_>, numbers: &[usize]) -> Group {
    let own = numbers.iter().map(|number| &contents.0[*number]);
    let own = Contents(own.cloned().collect());
    let mut layers: Vec<(usize, u64)> = Vec::new();
    for content in &own.0 {
        let LayerPlace { layer, .. } = content.place;
        match layers.iter_mut().find(|(number, _)| *number == layer) {
            Some((_, bytes)) => *bytes += content.bytes,
            None => layers.push((layer, content.bytes)),
        }
    }
    layers.sort_unstable();
    let (_, folders) = folders(&own);
    let heaviest = folders.into_iter().find(|folder| !folder.is_shell);
    Group {
        name: kind.name,
        weight: own.total(),
        layers,
        folder: heaviest.map_or_else(String::new, |folder| folder.path),
        remedy: kind.remedy,
    }
}
