//! One state of a case: everything that BuildKit and the program are given, as files and as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::recipe::Recipe;
use super::tree::{Node, Tree};

/// Where the Dockerfile is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At the root of the context.
    Root,
    /// In a folder of the context.
    Nested,
    /// Beside the context.
    Outside,
}

impl Place {
    pub fn dockerfile(self) -> &'static str {
        match self {
            Self::Root => "ctx/Dockerfile",
            Self::Nested => "ctx/docker/image.Dockerfile",
            Self::Outside => "recipe/Dockerfile",
        }
    }
}

/// Which lines of the Dockerfile end with a carriage return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returns {
    /// None.
    No,
    /// All lines, and those of the ignore files, in front of the line feed.
    All,
    /// One line, in front of the line feed. Its number is taken modulo the number of lines.
    One(usize),
    /// One line, in place of the line feed. Its number is taken modulo the number of lines.
    Alone(usize),
}

impl Returns {
    fn put_into(self, text: &str) -> String {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let ended = |(at, line): (usize, &&str)| {
            let is_it = |wanted: usize| wanted % lines.len() == at;
            let text = line.strip_suffix('\n').unwrap_or(line);
            match self {
                Self::All => format!("{text}\r\n"),
                Self::One(wanted) if is_it(wanted) => format!("{text}\r\n"),
                Self::Alone(wanted) if is_it(wanted) => format!("{text}\r"),
                _ => (*line).to_owned(),
            }
        };
        lines.iter().enumerate().map(ended).collect()
    }
}

#[derive(Debug, Clone)]
pub struct State {
    /// The context, without the Dockerfile and the ignore files.
    pub tree: Tree,
    pub place: Place,
    pub recipe: Recipe,
    pub returns: Returns,
    /// What the host command of another stage writes to `ctx/made`, if there is such a command.
    pub made: Option<u8>,
    /// The lines of the context's own ignore file.
    pub own: Option<Vec<String>>,
    /// The lines of the Dockerfile's ignore file, which replaces it.
    pub beside: Option<Vec<String>>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    pub target: Option<String>,
    /// The time of the next file that is written.
    pub clock: u64,
    /// Whether all files have the same time, as after `git archive` and reproducible tools.
    pub one_time: bool,
}

impl State {
    pub fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// The text of the Dockerfile.
    fn dockerfile(&self, nonce: &str) -> String {
        self.returns.put_into(&self.recipe.text(nonce))
    }

    /// Whether a line begins like a FROM. A Dockerfile without a FROM may take the whole engine
    /// down (Docker 26.1.5), and the program must refuse it.
    pub fn has_from(&self) -> bool {
        let text = self.dockerfile("");
        text.split('\n').any(|line| line.starts_with("FROM "))
    }

    /// All files of the case, with its nonce in the Dockerfile.
    pub fn files(&self, nonce: &str) -> Tree {
        let mut files = Tree::default();
        files.put(b"ctx", Node::Folder);
        for (path, node) in &self.tree.0 {
            files.put(&[b"ctx/", &path[..]].concat(), node.clone());
        }
        let dockerfile = self.place.dockerfile();
        files.put(dockerfile.as_bytes(), text(&self.dockerfile(nonce)));
        let ignore = |lines: &Vec<String>| match self.returns {
            Returns::All => text(&lines.join("\r\n")),
            _ => text(&lines.join("\n")),
        };
        if let Some(lines) = &self.own {
            files.put(b"ctx/.dockerignore", ignore(lines));
        }
        if let Some(lines) = &self.beside {
            let path = format!("{dockerfile}.dockerignore");
            files.put(path.as_bytes(), ignore(lines));
        }
        if let Some(made) = self.made {
            files.put(b"maker/Dockerfile", text("FROM scratch\nCOPY seed /\n"));
            files.put(b"maker/seed", text(&made.to_string()));
        }
        if self.one_time {
            for node in files.0.values_mut() {
                if let Node::File { stamp, .. } = node {
                    *stamp = 0;
                }
            }
        }
        files
    }

    /// Whether both states give BuildKit and the program the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.files("") == other.files("") && self.args == other.args && self.target == other.target
    }

    /// The state as text, for messages.
    pub fn shown(&self, nonce: &str) -> String {
        let mut out = self.tree.listing();
        let lines = |lines: &Option<Vec<String>>| lines.as_ref().map(|lines| lines.join("\n"));
        for (name, lines) in [
            (".dockerignore", lines(&self.own)),
            ("the Dockerfile's own ignore file", lines(&self.beside)),
            (self.place.dockerfile(), Some(self.dockerfile(nonce))),
        ] {
            if let Some(lines) = lines {
                let _ = writeln!(out, "--- {name}\n{lines}");
            }
        }
        let _ = writeln!(
            out,
            "--- arguments {:?}, target {:?}, made {:?}",
            self.args, self.target, self.made
        );
        out
    }
}

/// A file whose time is derived from its text, so that another text has another time.
fn text(text: &str) -> Node {
    let hash = blake3::hash(text.as_bytes());
    let [a, b, c, ..] = *hash.as_bytes();
    Node::File {
        mode: 0o644,
        content: text.as_bytes().to_vec(),
        stamp: 1_000_000 + u64::from(u32::from_le_bytes([a, b, c, 0])),
        note: None,
    }
}
