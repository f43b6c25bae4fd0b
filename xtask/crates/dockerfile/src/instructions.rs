//! Reads logical lines into typed instructions, with variables unexpanded.
//!
//! An instruction keeps only the parts that matter to what a build uses.

use super::flags::{self, JsonWords, Split};
use super::heredoc;
use super::lines::{self, Logical};
use super::mount::{self, Mount};

/// What one instruction says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Instruction {
    From {
        image: String,
        name: Option<String>,
        platform: Option<String>,
    },
    Arg(Vec<(String, Option<String>)>),
    Env(Vec<(String, String)>),
    Copy(Copy),
    Add(Copy),
    Run(Vec<Mount>),
    /// The trigger as BuildKit stores it.
    Onbuild(String),
    /// Cannot change what the build uses.
    Other,
    /// BuildKit refuses it, or only a newer BuildKit knows it. The text is the reason.
    Unreadable(String),
}

/// A COPY or an ADD.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Copy {
    /// Without heredocs.
    pub(super) sources: Vec<String>,
    pub(super) from: Option<String>,
    pub(super) parents: bool,
    pub(super) exclude: Vec<String>,
    pub(super) checksum: Option<String>,
}

/// Reads one logical line.
pub(super) fn read(logical: &Logical, escape: char) -> Instruction {
    match flags::split(&logical.text, escape).and_then(|split| typed(logical, &split, escape)) {
        Ok(instruction) => instruction,
        Err(why) => Instruction::Unreadable(why),
    }
}

fn typed(logical: &Logical, split: &Split, escape: char) -> Result<Instruction, String> {
    let rest = split.rest.as_str();
    match split.keyword.as_str() {
        "FROM" => from(split),
        "ARG" => arg(rest, escape),
        "ENV" => pairs(rest, escape).map(Instruction::Env),
        "COPY" => copy(split, &COPY_FLAGS).map(Instruction::Copy),
        "ADD" => copy(split, &ADD_FLAGS).map(Instruction::Add),
        "RUN" => run(split),
        "ONBUILD" => onbuild(logical, rest),
        known if flags::KEYWORDS.contains(&known) => Ok(Instruction::Other),
        unknown => Err(format!("`{unknown}` is not an instruction")),
    }
}

fn from(split: &Split) -> Result<Instruction, String> {
    let mut flags = Flags::read(&split.flags, &[("platform", Shape::Text)])?;
    let words = flags::blank_words(&split.rest);
    let (image, name) = match words.as_slice() {
        [image] => (image, None),
        [image, r#as, name] if r#as.eq_ignore_ascii_case("as") => (image, Some(name)),
        _ => return Err("FROM takes an image, or an image `AS` a name".to_owned()),
    };
    let name = name.map(|name| name.to_lowercase());
    if let Some(name) = name.as_deref().filter(|name| !is_stage_name(name)) {
        return Err(format!("`{name}` cannot name a Dockerfile stage"));
    }
    Ok(Instruction::From {
        image: image.clone(),
        name,
        platform: flags.text("platform"),
    })
}

fn is_stage_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(allowed)
}

fn arg(rest: &str, escape: char) -> Result<Instruction, String> {
    let words = flags::quoted_words(rest, escape);
    if words.is_empty() {
        return Err("ARG names no argument".to_owned());
    }
    let pairs = words.into_iter().map(|word| match word.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (word, None),
    });
    let pairs: Vec<_> = pairs.collect();
    // Docker 26 resolves quotes and variables in names, newer versions do not.
    let is_plain = |key: &str| {
        key.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    };
    if let Some((key, _)) = pairs
        .iter()
        .find(|(key, _)| key.is_empty() || !is_plain(key))
    {
        return Err(format!("`{key}` cannot name an argument"));
    }
    Ok(Instruction::Arg(pairs))
}

/// The names and values of an ENV or a LABEL.
pub(super) fn pairs(rest: &str, escape: char) -> Result<Vec<(String, String)>, String> {
    let words = flags::quoted_words(rest, escape);
    let Some(first) = words.first() else {
        return Err("ENV names no variable".to_owned());
    };
    if !first.contains('=') {
        let pair = flags::key_and_rest(rest).ok_or("ENV has a name without a value")?;
        return Ok(vec![pair]);
    }
    let pairs = words.iter().map(|word| word.split_once('='));
    let pairs = pairs.map(|pair| pair.map(|(k, v)| (k.to_owned(), v.to_owned())));
    let pairs: Option<Vec<_>> = pairs.collect();
    pairs.ok_or_else(|| "ENV has a word without `=`".to_owned())
}

const COPY_FLAGS: [(&str, Shape); 6] = [
    ("chown", Shape::Text),
    ("from", Shape::Text),
    ("chmod", Shape::Text),
    ("link", Shape::Switch),
    ("exclude", Shape::Many),
    ("parents", Shape::Switch),
];

const ADD_FLAGS: [(&str, Shape); 7] = [
    ("chown", Shape::Text),
    ("chmod", Shape::Text),
    ("link", Shape::Switch),
    ("keep-git-dir", Shape::Switch),
    ("checksum", Shape::Text),
    ("unpack", Shape::Switch),
    ("exclude", Shape::Many),
];

fn copy(split: &Split, known: &[(&'static str, Shape)]) -> Result<Copy, String> {
    let mut flags = Flags::read(&split.flags, known)?;
    let mut words = match flags::json_words(&split.rest) {
        JsonWords::Words(words) => words,
        JsonWords::Plain => flags::blank_words(&split.rest),
        JsonWords::Doubtful => return Err("its JSON form is unusual".to_owned()),
    };
    if words.len() < 2 {
        return Err(format!(
            "{} needs a source and a destination",
            split.keyword
        ));
    }
    words.pop();
    let is_heredoc = |word: &str| matches!(heredoc::from_word(word, true), Ok(Some(_)));
    words.retain(|word| !is_heredoc(word));
    Ok(Copy {
        sources: words,
        from: flags.text("from").filter(|from| !from.is_empty()),
        parents: flags.switch("parents"),
        exclude: flags.many("exclude"),
        checksum: flags.text("checksum").filter(|sum| !sum.is_empty()),
    })
}

const RUN_FLAGS: [(&str, Shape); 4] = [
    ("mount", Shape::Many),
    ("network", Shape::Text),
    ("security", Shape::Text),
    ("device", Shape::Many),
];

fn run(split: &Split) -> Result<Instruction, String> {
    let mut flags = Flags::read(&split.flags, &RUN_FLAGS)?;
    let mounts = flags.many("mount");
    let mounts: Result<_, _> = mounts.iter().map(|text| mount::fields(text)).collect();
    mounts.map(Instruction::Run)
}

fn onbuild(logical: &Logical, rest: &str) -> Result<Instruction, String> {
    let keyword = rest
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_uppercase();
    if keyword.is_empty() || ["ONBUILD", "MAINTAINER", "FROM"].contains(&keyword.as_str()) {
        return Err(format!("ONBUILD cannot hold `{keyword}`"));
    }
    let trimmed = logical.text.trim_start();
    let after = trimmed
        .get("ONBUILD".len()..)
        .unwrap_or_default()
        .trim_start_matches(lines::go_space);
    let mut trigger = after.to_owned();
    for heredoc in &logical.heredocs {
        trigger.push('\n');
        trigger.push_str(&heredoc.body);
        trigger.push_str(&heredoc.name);
    }
    Ok(Instruction::Onbuild(trigger))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Text,
    Switch,
    Many,
}

struct Flags(Vec<(&'static str, String)>);

impl Flags {
    fn read(flags: &[String], known: &[(&'static str, Shape)]) -> Result<Self, String> {
        let mut read: Vec<(&'static str, String)> = Vec::new();
        for flag in flags {
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (flag.as_str(), None),
            };
            let bare = name.strip_prefix("--").unwrap_or(name);
            let Some((name, shape)) = known.iter().find(|(known, _)| *known == bare) else {
                return Err(format!("its flag `{name}` is unknown"));
            };
            if *shape != Shape::Many && read.iter().any(|(seen, _)| seen == name) {
                return Err(format!("its flag `--{name}` appears twice"));
            }
            let value = match (shape, value.map(str::to_lowercase).as_deref()) {
                (Shape::Switch, None | Some("true")) => "true".to_owned(),
                (Shape::Switch, Some("false")) => "false".to_owned(),
                (Shape::Text | Shape::Many, Some(_)) => value.unwrap_or_default().to_owned(),
                _ => return Err(format!("its flag `--{name}` has no fitting value")),
            };
            read.push((*name, value));
        }
        Ok(Self(read))
    }

    fn text(&mut self, name: &str) -> Option<String> {
        self.many(name).pop()
    }

    fn switch(&mut self, name: &str) -> bool {
        self.text(name).as_deref() == Some("true")
    }

    fn many(&mut self, name: &str) -> Vec<String> {
        let (taken, kept) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(n, _)| *n == name);
        self.0 = kept;
        Vec::into_iter(taken).map(|(_, value)| value).collect()
    }
}
