//! Random trees, paths and ignore lines, with the names and kinds of entries that tools have ever
//! read in different ways.

use super::state::State;
use super::tree::{Node, Tree};
use crate::support::random::Random;

/// Plain names. They are few, so that patterns match and moves collide.
const PLAIN: [&str; 14] = [
    "a", "b", "ab", "abc", "c.txt", "d.md", "src", "lib", "web", "run.sh", "x1", "x2", "y.txt", "z",
];
const ODD: [&[u8]; 20] = [
    b"a b",
    b"[id]",
    b"(group)",
    b"[...slug]",
    "\u{fc}.txt".as_bytes(),
    "\u{65e5}\u{672c}".as_bytes(),
    b"a*b",
    b"q?",
    b"back\\slash",
    b"#hash",
    b"!bang",
    b"-dash",
    b".hidden",
    b"..two",
    b"line\nfeed",
    b"\xff\xfe",
    b" lead",
    b"trail ",
    b"$A",
    b"'quote\"",
];
const MODES: [u32; 8] = [0o644, 0o644, 0o755, 0o600, 0o664, 0o4755, 0o444, 0o1755];

pub fn name(random: &mut Random) -> Vec<u8> {
    if random.percent(80) {
        random.one_of(&PLAIN).as_bytes().to_vec()
    } else {
        random.one_of(&ODD).to_vec()
    }
}

pub fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() {
        name.to_vec()
    } else {
        [folder, b"/", name].concat()
    }
}

/// An unused path in a folder that exists.
pub fn free_path(random: &mut Random, tree: &Tree) -> Vec<u8> {
    let folders = tree.folders();
    loop {
        let folder = &folders[random.place(folders.len())];
        let path = join(folder, &name(random));
        if !tree.0.contains_key(&path) {
            return path;
        }
    }
}

pub fn mode(random: &mut Random) -> u32 {
    random.one_of(&MODES)
}

pub fn content(random: &mut Random) -> Vec<u8> {
    match random.below(10) {
        0 => Vec::new(),
        1 => vec![b'x'; random.place(200_000)],
        2 => archive(random),
        _ => format!("{:04}\n", random.below(10_000)).into_bytes(),
    }
}

/// A tar archive with one file, which ADD unpacks (POSIX.1-1988, "ustar").
fn archive(random: &mut Random) -> Vec<u8> {
    let content = format!("{:04}\n", random.below(10_000));
    let mut block = [0; 512];
    let mut put =
        |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, "packed/one");
    put(100, "0000644\x000000000\x000000000\x00");
    put(
        124,
        &format!("{:011o}\x0000000000000\x00        0", content.len()),
    );
    put(257, "ustar\x0000");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\x00 ").as_bytes());
    let mut archive = [&block[..], content.as_bytes()].concat();
    archive.resize(512 + 512 + 1024, 0);
    archive
}

pub fn file(random: &mut Random, state: &mut State) -> Node {
    let (mode, content) = (mode(random), content(random));
    let stamp = state.tick();
    Node::File {
        mode,
        content,
        stamp,
        note: random.percent(5).then_some(1),
    }
}

/// A target for a link: an existing path, relative to the root, or a special target.
pub fn link_target(random: &mut Random, tree: &Tree) -> Vec<u8> {
    let special: [&[u8]; 8] = [
        b"..",
        b".",
        b"nowhere",
        b"/etc/hostname",
        b"../../..",
        b"../x1",
        b"a/../b",
        b"/",
    ];
    let paths: Vec<&Vec<u8>> = tree.0.keys().collect();
    if paths.is_empty() || random.percent(30) {
        return random.one_of(&special).to_vec();
    }
    let path = paths[random.place(paths.len())];
    match random.below(4) {
        0 => [b"/", &path[..]].concat(),
        1 => [b"../", &path[..]].concat(),
        2 => path.rsplit(|byte| *byte == b'/').next().unwrap().to_vec(),
        _ => path.clone(),
    }
}

pub fn link(random: &mut Random, tree: &Tree) -> Node {
    Node::Link(link_target(random, tree))
}

/// Fills the tree of a state.
pub fn tree(random: &mut Random, state: &mut State) {
    for _ in 0..4 + random.below(11) {
        let path = free_path(random, &state.tree);
        let node = match random.below(100) {
            0..60 => file(random, state),
            60..82 => Node::Folder,
            82..95 => link(random, &state.tree),
            _ => Node::Fifo { mode: mode(random) },
        };
        state.tree.put(&path, node);
    }
}

/// A path of the tree that can be written as text.
pub fn known_path(random: &mut Random, tree: &Tree) -> Option<String> {
    let all = tree.0.keys();
    let texts: Vec<&str> = all
        .filter_map(|path| std::str::from_utf8(path).ok())
        .filter(|path| !path.contains('\n'))
        .collect();
    (!texts.is_empty()).then(|| texts[random.place(texts.len())].to_owned())
}

/// The path with a part of it replaced by a wildcard.
pub fn globbed(random: &mut Random, path: &str) -> String {
    let mut names: Vec<String> = path.split('/').map(str::to_owned).collect();
    let at = random.place(names.len());
    let name: Vec<char> = names[at].chars().collect();
    let rest = |from: usize| name[from..].iter().collect::<String>();
    names[at] = match random.below(10) {
        0 => "*".to_owned(),
        1..4 => format!("{}*", name[0]),
        4..6 => format!("?{}", rest(1)),
        6 => format!("[a-m]{}", rest(1)),
        7..9 => format!("*{}", name[name.len() - 1]),
        _ => format!("[^{}]*", name[0]),
    };
    names.join("/")
}

/// A line of an ignore file.
pub fn ignore_line(random: &mut Random, tree: &Tree) -> String {
    let Some(path) = known_path(random, tree) else {
        return "*".to_owned();
    };
    let last = path.rsplit('/').next().unwrap_or_default().to_owned();
    let pattern = match random.below(16) {
        0..4 => path,
        4 => format!("/{path}"),
        5 => format!("{path}/"),
        6 => format!("**/{last}"),
        7 => format!("{path}/**"),
        8 => format!("{path}/*"),
        9..12 => globbed(random, &path),
        12 => "*".to_owned(),
        13 => format!("**/*{}", random.one_of(&[".txt", ".md", "b", "1"])),
        14 => format!("./{path}/../{last}"),
        _ => random
            .one_of(&["# comment", "", "  ", "..", "[b-a]", "**", "*/*"])
            .to_owned(),
    };
    match random.below(8) {
        0..2 => format!("!{pattern}"),
        2 => format!("  {pattern} "),
        _ => pattern,
    }
}

pub fn ignore_file(random: &mut Random, tree: &Tree) -> Vec<String> {
    let count = 1 + random.below(5);
    (0..count).map(|_| ignore_line(random, tree)).collect()
}
