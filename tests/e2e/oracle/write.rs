//! Random instructions and Dockerfiles, with all forms in which instructions name what they read.
//!
//! Every destination of a `--link` contains the nonce, since such a step depends on nothing before
//! it.

use super::grow;
use super::recipe::{NONCE, Recipe, Stage};
use super::tree::{Node, Tree};
use crate::support::random::Random;

const VARIABLES: [&str; 4] = ["A", "C", "E", "P"];
const WORDS: [&str; 6] = ["one", "two", "x1", "a", "src", "three"];
pub const STAGE_NAMES: [&str; 6] = ["one", "two", "tools", "app", "dev", "last"];

/// Writes instructions for one place of a Dockerfile.
pub struct Writer<'a> {
    pub random: &'a mut Random,
    pub tree: &'a Tree,
    /// The earlier stages.
    pub earlier: &'a [Stage],
    /// Whether there is a shell for RUN.
    pub shell: bool,
    /// The names that the stage's own ARG and ENV have declared so far.
    pub declared: Vec<String>,
}

/// The names that these instructions declare.
pub fn declared(lines: &[String]) -> Vec<String> {
    let of_line = |line: &String| {
        let rest = line.strip_prefix("ARG ").or(line.strip_prefix("ENV "))?;
        rest.split(['=', ' ']).next().map(str::to_owned)
    };
    lines.iter().filter_map(of_line).collect()
}

impl Writer<'_> {
    pub fn instruction(&mut self) -> String {
        match self.random.below(106) {
            0..44 => self.copy("COPY"),
            44..50 => self.copy("ADD"),
            50..54 => self.heredoc(),
            54..63 => self.copy_from(),
            63..78 if self.shell => self.run(),
            63..84 => self.variable(),
            _ => self.setting(),
        }
    }

    /// An `ARG` or an `ENV`.
    fn variable(&mut self) -> String {
        let name = self.random.one_of(&VARIABLES);
        let value = self.value(name);
        match self.random.below(5) {
            0 if self.random.percent(30) => "ARG TARGETARCH".to_owned(),
            0 => format!("ARG {name}"),
            1 => format!("ARG {name}={value}"),
            2 => format!("ENV {name}={value}"),
            3 => format!("ENV {name}={value} X{name}=\"{value} {}\"", self.mention()),
            _ => format!("ENV {name} {value}"),
        }
    }

    /// A value that fits a name. `P` gets a path of the context.
    pub fn value(&mut self, name: &str) -> String {
        if name == "P" {
            let path = grow::known_path(self.random, self.tree);
            let plain = path.filter(|path| is_plain(path));
            return plain.unwrap_or_else(|| ".".to_owned());
        }
        if self.random.percent(20) {
            return self.mention();
        }
        self.random.one_of(&WORDS).to_owned()
    }

    /// A variable in one of its forms. On an image with unknown variables, only a declared one.
    fn mention(&mut self) -> String {
        let known = self.declared.len();
        let name = if self.shell && known == 0 {
            return self.random.one_of(&WORDS).to_owned();
        } else if known > 0 && (self.shell || self.random.percent(70)) {
            self.declared[self.random.place(known)].clone()
        } else {
            self.random.one_of(&VARIABLES).to_owned()
        };
        let word = self.random.one_of(&WORDS);
        match self.random.below(6) {
            0 | 1 => format!("${name}"),
            2 => format!("${{{name}}}"),
            3 => format!("${{{name}:-{word}}}"),
            4 => format!("${{{name}:+{word}}}"),
            _ => format!("${{{name}-{word}}}"),
        }
    }

    fn setting(&mut self) -> String {
        let word = self.mention();
        match self.random.below(12) {
            0..2 => format!("LABEL v={word}"),
            2..4 => format!("WORKDIR w{word}"),
            4 => format!("WORKDIR /{NONCE}/w{}", self.random.below(3)),
            5 => format!("USER {}", self.random.below(3) * 1000),
            6 => format!("EXPOSE {}", 80 + self.random.below(3)),
            7 => format!("CMD [\"run\", \"{}\"]", self.random.below(9)),
            8 => format!("ENTRYPOINT [\"/run\", \"{word}\"]"),
            9 if self.random.percent(50) => {
                let list = format!("[\"/v{word}\"]");
                format!("VOLUME {}", self.in_disguise(list))
            }
            9 => format!("VOLUME /v{}", self.random.below(3)),
            10 => "HEALTHCHECK NONE".to_owned(),
            _ => format!("ONBUILD COPY {} ./", self.plain_source()),
        }
    }

    fn plain_source(&mut self) -> String {
        let path = grow::known_path(self.random, self.tree);
        path.filter(|path| is_plain(path))
            .unwrap_or_else(|| ".".to_owned())
    }

    fn destination(&mut self, link: bool) -> String {
        let number = self.random.below(4);
        match self.random.below(4) {
            _ if link => format!("/{NONCE}/l{number}/"),
            0 => format!("/{NONCE}/d{number}/"),
            1 if !self.declared.is_empty() => format!("./{}/", self.mention()),
            1 | 2 => format!("./d{number}/"),
            _ => "./".to_owned(),
        }
    }

    /// A COPY or an ADD from the context.
    fn copy(&mut self, keyword: &str) -> String {
        let count = self.random.one_of(&[1, 1, 1, 2, 3]);
        let mut sources: Vec<String> = (0..count).map(|_| self.source()).collect();
        let mut flags = String::new();
        let link = self.random.percent(15);
        if link {
            flags.push_str("--link ");
        }
        if self.random.percent(12) {
            flags.push_str(self.random.one_of(&["--chmod=755 ", "--chmod=0600 "]));
        }
        if self.random.percent(8) {
            flags.push_str(self.random.one_of(&["--chown=1:2 ", "--chown=7 "]));
        }
        let mut destination = self.destination(link);
        let is_file = |source: &String| {
            let node = self.tree.0.get(source.as_bytes());
            matches!(node, Some(Node::File { .. }))
        };
        if count == 1 && is_file(&sources[0]) && self.random.percent(30) {
            destination.push_str("renamed");
        }
        sources.push(destination);
        let plain = sources.iter().all(|word| is_one_word(word));
        if plain && self.random.percent(80) {
            format!("{keyword} {flags}{}", sources.join(" "))
        } else {
            let list = serde_json::json!(sources).to_string();
            let list = self.in_disguise(list);
            format!("{keyword} {flags}{list}")
        }
    }

    /// The same JSON, now and then with dollars as JSON escapes.
    fn in_disguise(&mut self, list: String) -> String {
        if self.random.percent(40) {
            list.replace('$', "\\u0024")
        } else {
            list
        }
    }

    fn source(&mut self) -> String {
        let Some(path) = grow::known_path(self.random, self.tree) else {
            return ".".to_owned();
        };
        match self.random.below(20) {
            0..4 => ".".to_owned(),
            4..7 => grow::globbed(self.random, &path),
            7 => format!("/{path}"),
            8 => format!("./{path}/"),
            9 if !self.shell || self.declared.contains(&"P".to_owned()) => {
                format!("${{P:-{path}}}")
            }
            10 => format!("a/../{path}"),
            // The topmost folder, so that nested entries are reached too.
            11..15 => path.split('/').next().unwrap_or_default().to_owned(),
            _ => escaped(&path, self.random.percent(30)),
        }
    }

    fn heredoc(&mut self) -> String {
        let quote = self.random.one_of(&["", "", "'", "\""]);
        let dash = self.random.one_of(&["", "", "-"]);
        let (word, number) = (self.mention(), self.random.below(90));
        format!(
            "COPY <<{dash}{quote}EOF{quote} ./h{}\nbody {number}\n\t{word}\n# no comment\nEOF",
            number % 3
        )
    }

    /// A COPY of the output of an earlier stage, by the stage's name or number.
    fn copy_from(&mut self) -> String {
        if self.earlier.is_empty() {
            return self.copy("COPY");
        }
        let at = self.random.place(self.earlier.len());
        let named = self.earlier[at].name.clone();
        let from = named.filter(|_| self.random.percent(60));
        let from = from.unwrap_or_else(|| at.to_string());
        let link = self.random.percent(15);
        let source = self.random.one_of(&["", "/.", "/*"]);
        let destination = self.destination(link);
        let link = if link { "--link " } else { "" };
        format!("COPY --from={from} {link}/{NONCE}{source} {destination}")
    }

    fn run(&mut self) -> String {
        let number = self.random.below(9);
        let word = self.mention();
        let path = self.plain_source();
        let earlier = self.earlier.iter();
        let named: Vec<&String> = earlier.filter_map(|stage| stage.name.as_ref()).collect();
        match self.random.below(10) {
            0 => format!("RUN echo {word} > r{number}"),
            1 => format!("RUN [\"/bin/touch\", \"r{number}\"]"),
            2 => format!("RUN <<EOF\necho {word} > h{number}\nEOF"),
            3..6 => {
                format!("RUN --mount=type=bind,source={path},target=/m cp -r /m ./m{number}")
            }
            6 => format!("RUN --mount=target=/m,source={path} ls -l /m > l{number}"),
            7 | 8 if !named.is_empty() => {
                // A mount finds stages only by name. A number is the name of an image there.
                let from = &named[self.random.place(named.len())];
                format!(
                    "RUN --mount=type=bind,from={from},source=/{NONCE},target=/m cp -r /m ./s{number}"
                )
            }
            _ => format!(
                "RUN --mount=type=cache,target=/c,id={NONCE} --mount=type=tmpfs,target=/t echo {number} > c"
            ),
        }
    }

    fn stage(&mut self, from: String, name: Option<String>) -> Stage {
        let mut lines = Vec::new();
        for _ in 0..=self.random.below(5) {
            lines.push(self.instruction());
            self.declared = declared(&lines);
            // An argument is mostly declared because a later instruction uses it.
            if lines.last().is_some_and(|line| line.starts_with("ARG ")) && self.random.percent(80)
            {
                let name = self.declared.last().map_or("A", String::as_str);
                let uses = [
                    format!("LABEL {name}=${name}"),
                    format!("ENV X{name}=${{{name}}}"),
                    format!("WORKDIR w${{{name}:-x}}"),
                ];
                lines.push(uses[self.random.place(uses.len())].clone());
            }
        }
        Stage {
            from,
            name,
            shell: self.shell,
            lines,
        }
    }
}

/// A new stage after `earlier`.
pub fn stage(random: &mut Random, tree: &Tree, earlier: &[Stage], with_base: bool) -> Stage {
    let named: Vec<&Stage> = earlier
        .iter()
        .filter(|stage| stage.name.is_some())
        .collect();
    let (from, shell) = match random.below(10) {
        0..3 if with_base => ("base".to_owned(), true),
        3..6 if !named.is_empty() => {
            let parent = named[random.place(named.len())];
            (parent.name.clone().unwrap_or_default(), parent.shell)
        }
        6 => ("${B:-scratch}".to_owned(), false),
        _ => ("scratch".to_owned(), false),
    };
    let is_free = |name: &&str| {
        !named
            .iter()
            .any(|stage| stage.name.as_deref() == Some(*name))
    };
    let free: Vec<&str> = STAGE_NAMES.into_iter().filter(is_free).collect();
    let name = (!free.is_empty() && random.percent(75)).then(|| random.one_of(&free).to_owned());
    let mut writer = Writer {
        random,
        tree,
        earlier,
        shell,
        declared: Vec::new(),
    };
    writer.stage(from, name)
}

/// A line in front of the first FROM.
pub fn head_line(random: &mut Random, tree: &Tree) -> String {
    match random.below(5) {
        0 => "ARG B=scratch".to_owned(),
        1 => "ARG U=unused".to_owned(),
        2 => "ARG A=${U:-one}".to_owned(),
        3 => {
            let path = grow::known_path(random, tree).filter(|path| is_plain(path));
            format!("ARG P={}", path.unwrap_or_else(|| ".".to_owned()))
        }
        _ => format!("ARG C={}", random.one_of(&WORDS)),
    }
}

pub fn recipe(random: &mut Random, tree: &Tree) -> Recipe {
    let with_base = random.percent(50);
    let count = random.below(3);
    let head = (0..count).map(|_| head_line(random, tree)).collect();
    let mut stages: Vec<Stage> = Vec::new();
    for _ in 0..random.one_of(&[1, 2, 2, 3, 3, 4]) {
        let next = stage(random, tree, &stages, with_base);
        stages.push(next);
    }
    // Mostly the last stage uses the others, which would not be built otherwise.
    let last = stages.len() - 1;
    for at in 0..last {
        if random.percent(60) {
            let copy = format!("COPY --from={at} /{NONCE} ./from{at}/");
            let lines = &mut stages[last].lines;
            lines.insert(random.place(lines.len() + 1), copy);
        }
    }
    Recipe {
        escape: if random.percent(4) { '`' } else { '\\' },
        head,
        stages,
    }
}

/// Whether a path is written alike in every form of an instruction.
fn is_plain(path: &str) -> bool {
    path.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte))
}

fn is_one_word(word: &str) -> bool {
    !word.contains([' ', '"', '\'']) && !word.starts_with("[\"")
}

/// The path with its wildcards escaped. The parser removes one of two backslashes.
fn escaped(path: &str, by_class: bool) -> String {
    let mut out = String::new();
    for letter in path.chars() {
        match letter {
            '*' | '?' | '[' if by_class => out.push_str(&format!("[{letter}]")),
            '*' | '?' | '[' => out.push_str(&format!("\\\\{letter}")),
            '\\' | '$' => out.push_str(&format!("\\{letter}")),
            other => out.push(other),
        }
    }
    out
}
