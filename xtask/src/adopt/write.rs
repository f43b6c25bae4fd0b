//! The graph file, with comments that say where each stage comes from and what could not be
//! decided.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use camino::Utf8Path;

use super::found::{Found, FoundContext, FoundPlace, FoundStage};
use super::workflows::is_default;
use crate::shown;

/// How a line begins that holds the hash of what a stage was made from.
pub const MARK: &str = "# init: ";
/// How many hexadecimal digits the hash has.
const DIGITS: usize = 12;

/// The whole file. `sources` are the trees beside the graph file, by name.
pub fn graph_file(found: &Found, sources: &BTreeMap<String, String>) -> String {
    let program = shown::program();
    let mut text = format!(
        "# The container images of this repository, as `{program} init` found them. `{program} plan` shows\n\
         # what a build would do, and `{program} init --check` what has changed in the files below since.\n",
    );
    for file in &found.read {
        let _ = writeln!(text, "#   {}", one_line(file));
    }
    let asked = found
        .stages
        .iter()
        .map(|stage| stage.questions.len())
        .sum::<usize>();
    if asked > 0 {
        text += "#\n# What could not be decided stands in lines that begin with `# ?`. Remove them once they are answered.\n";
    }
    text += "\nversion = 1\n";
    if found.holds_state {
        text += "\n# What this program remembers lies in the user's cache folder, as a context below holds this whole\n\
                 # folder. To have it in target/xtask, write `target/xtask/graph-*` as the last line of .dockerignore.\n\
                 state = \"cache\"\n";
    }
    if !found.vars.is_empty() {
        text += "\n# Their values come from the environment, as compose takes them.\n[vars]\n";
        for (name, var) in &found.vars {
            let (name, default) = (key(name), quoted(&var.default));
            let _ = writeln!(
                text,
                "{name} = {{ env = {}, default = {default} }}",
                quoted_key(&name)
            );
        }
    }
    for (name, path) in sources {
        let _ = write!(text, "\n[source.{}]\npath = {}\n", key(name), quoted(path));
    }
    for stage in &found.stages {
        text.push('\n');
        write_stage(&mut text, stage);
    }
    if !found.groups.is_empty() {
        text += "\n[group]\n";
        for (name, members) in &found.groups {
            let _ = writeln!(text, "{} = {}", key(name), list(members));
        }
    }
    if let Some(stack) = &found.stack {
        let _ = writeln!(
            text,
            "\n# `{program} verify` runs the images as this stack, beside whatever else runs.\n[stack]"
        );
        if let Some(source) = &stack.source {
            let _ = writeln!(text, "source = {}", quoted(source));
        }
        let _ = writeln!(text, "compose = {}", quoted(stack.compose.as_str()));
        if let Some(file) = &stack.env_file {
            let _ = writeln!(text, "env-file = {}", quoted(file.as_str()));
        }
    }
    let left: Vec<&String> = found.left.iter().chain(&found.unread).collect();
    if !left.is_empty() {
        text += "\n# Seen and not taken:\n";
        for left in left {
            let _ = writeln!(text, "#   {}", one_line(left));
        }
    }
    text
}

fn write_stage(text: &mut String, stage: &FoundStage) {
    let _ = writeln!(text, "# From {}.", one_line(&stage.origins.join("; ")));
    for question in &stage.questions {
        let _ = writeln!(text, "# ? {}", one_line(question));
    }
    if !stage.volatile.is_empty() {
        *text += "# What is `volatile` builds nothing again by itself: the image keeps its last value.\n";
    }
    let body = body(stage);
    let _ = writeln!(text, "{MARK}{}", hash(&body));
    text.push_str(&body);
}

/// The hash that tells whether a stage would be made differently today.
pub fn hash(body: &str) -> String {
    blake3::hash(body.as_bytes()).to_hex()[..DIGITS].to_owned()
}

/// The table of a stage, without comments.
pub fn body(stage: &FoundStage) -> String {
    let mut text = format!("[stage.{}]\n", key(&stage.name));
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "{name} = {value}");
        }
    };
    let some = |list: &[String]| (!list.is_empty()).then(|| self::list(list));
    let sorted = |list: &BTreeSet<String>| (!list.is_empty()).then(|| self::list(list));
    let table = |of: &BTreeMap<String, String>| {
        let pairs = of
            .iter()
            .map(|(name, value)| (name.as_str(), quoted(value)));
        (!of.is_empty()).then(|| inline(pairs))
    };
    line("source", stage.source.as_deref().map(quoted));
    line("from", stage.from.as_deref().map(quoted));
    line("context", Some(quoted(folder(&stage.context))));
    let own =
        (!is_default(&stage.context, &stage.dockerfile)).then(|| quoted(stage.dockerfile.as_str()));
    line("dockerfile", own);
    line("target", stage.target.as_deref().map(quoted));
    line("image", stage.image.as_deref().map(quoted));
    line("tags", stage.image.as_ref().and_then(|_| some(&stage.tags)));
    line("platforms", sorted(&stage.platforms));
    line("args", table(&stage.args));
    line("volatile", sorted(&stage.volatile));
    line("labels", table(&stage.labels));
    let contexts = stage.contexts.iter().map(|(name, context)| {
        let value = match context {
            FoundContext::Stage(stage) => format!("{{ stage = {} }}", quoted(stage)),
            FoundContext::Image(image) => format!("{{ image = {} }}", quoted(image)),
            FoundContext::Folder(path) => {
                let source = stage.source.as_deref();
                let source =
                    source.map_or_else(String::new, |name| format!(", source = {}", quoted(name)));
                format!("{{ path = {}{source} }}", quoted(folder(path)))
            }
        };
        (name.as_str(), value)
    });
    line(
        "contexts",
        (!stage.contexts.is_empty()).then(|| inline(contexts)),
    );
    let secrets = stage.secrets.iter().map(|secret| {
        let place = match &secret.place {
            FoundPlace::Env(name) => format!("env = {}", quoted(name)),
            FoundPlace::File(path) => format!("file = {}", quoted(path.as_str())),
        };
        format!("{{ id = {}, {place} }}", quoted(&secret.id))
    });
    let secrets: Vec<String> = secrets.collect();
    line(
        "secrets",
        (!secrets.is_empty()).then(|| format!("[{}]", secrets.join(", "))),
    );
    line("ssh", sorted(&stage.ssh));
    line("network", stage.network.as_deref().map(quoted));
    line("add-hosts", table(&stage.add_hosts));
    line("shm-size", stage.shm_size.as_deref().map(quoted));
    line("ulimit", some(&stage.ulimit));
    line("services", sorted(&stage.services));
    text
}

fn folder(path: &Utf8Path) -> &str {
    if path.as_str().is_empty() {
        "."
    } else {
        path.as_str()
    }
}

/// A TOML string.
pub fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A variable's name as a string; `name` may be quoted as a key already.
fn quoted_key(name: &str) -> String {
    if name.starts_with(['"', '\'']) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(is_bare) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

fn list<'a>(texts: impl IntoIterator<Item = &'a String>) -> String {
    let texts: Vec<String> = texts.into_iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

fn inline<'a>(pairs: impl Iterator<Item = (&'a str, String)>) -> String {
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{} = {value}", key(name)))
        .collect();
    format!("{{ {} }}", pairs.join(", "))
}

/// Text for a comment, which ends with its line, and for a terminal.
pub fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphfile::options::GraphOptions;
    use crate::graphfile::spec;

    #[test]
    fn hostile_texts_stay_texts() {
        let mut stage = FoundStage {
            name: "a.b".into(),
            origins: vec!["x\n[stage.y]".into()],
            dockerfile: "we\"ird/Dockerfile".into(),
            context: "we\"ird".into(),
            ..FoundStage::default()
        };
        stage
            .args
            .insert("A".into(), "\"]\n[stage.z]\n\u{1b}".into());
        stage.ask("why\rnot?");
        let mut found = Found {
            stages: vec![stage],
            ..Found::default()
        };
        let evil = "x\nversion = 1\n[stage.evil]\ncontext = \"a\"\nprepare.run = [\"id\"]\n#";
        found.read.insert(evil.into());
        found.left.push(evil.into());
        found.unread.push(evil.into());
        let text = graph_file(&found, &BTreeMap::new());
        let spec = spec::read("g".into(), "/".into(), &text, &GraphOptions::default());
        let spec = spec.unwrap_or_else(|fault| panic!("{fault}\n{text}"));
        assert_eq!(spec.stages.len(), 1, "{text}");
        assert_eq!(spec.stages[0].context, "we\"ird");
    }
}
