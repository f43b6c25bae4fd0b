//! The policy that buildx finds beside a Dockerfile.
//!
//! From 0.31 on buildx evaluates `<Dockerfile>.rego` for every source of a build, without being
//! asked. The policy can refuse a source, or pin it to another image, and it sees all build
//! arguments (docker/buildx `build/opt.go` as of v0.31.0 and v0.36.1: read, not tried). An older
//! buildx ignores the file. Asking for buildx's version costs more than a run with nothing to do,
//! so the file always counts.
//!
//! Finds out which policies look at more than their own text. Does not evaluate them.

use super::folder::read;
use crate::contexts::Tracer;
use crate::fault::{Fault, Result};
use camino::Utf8Path;

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePolicy {
    /// The file's name.
    pub name: String,
    /// The hash of its text.
    pub hash: String,
    /// What it looks at beside its own text, for people: ``calls `load_json` ``. No key can follow
    /// that.
    pub looks_at: Option<String>,
}

impl SourcePolicy {
    /// What it looks at beside its own text, with its name.
    pub fn told(&self) -> Option<String> {
        let looks_at = self.looks_at.as_ref()?;
        Some(format!("{}, which {looks_at}", self.name))
    }
}

/// The policy of a Dockerfile, if there is one.
pub(super) fn beside(dockerfile: &Utf8Path, tracer: &Tracer<'_>) -> Result<Option<SourcePolicy>> {
    let path = Utf8Path::new(&format!("{dockerfile}.rego")).to_owned();
    let Ok(meta) = path.symlink_metadata() else {
        tracer.looked_up(path.as_std_path(), None);
        return Ok(None);
    };
    if meta.is_symlink() {
        tracer.followed(path.as_std_path());
        // A link that leads nowhere counts as no policy for buildx.
        if !path.exists() {
            return Ok(None);
        }
    }
    if !path.is_file() {
        return Err(Fault::usage(format!(
            "{path} is not a file, so buildx cannot read it as the policy of the Dockerfile beside it: give it another name"
        )));
    }
    let text = read(&path, "policy", tracer)?;
    Ok(Some(SourcePolicy {
        name: path.file_name().unwrap_or_default().to_owned(),
        hash: blake3::hash(&text).to_hex().to_string(),
        looks_at: looks_at(&String::from_utf8_lossy(&text)),
    }))
}

/// Functions that read files, ask addresses, or give another value each time (docker/buildx
/// `policy/funcs.go`, `policy/builtins.go`, `policy/builtins.rego`).
const FUNCTIONS: [&str; 18] = [
    "load_json",
    "verify_git_signature",
    "verify_http_pgp_signature",
    "artifact_attestation",
    "github_attestation",
    "github_release_attestation",
    "docker_github_builder",
    "docker_github_builder_tag",
    "docker_github_builder_bundle",
    "time.now_ns",
    "rand.intn",
    "uuid.rfc4122",
    "http.send",
    "net.lookup_ip_addr",
    "opa.runtime",
    // These see every field of what they are given.
    "json.marshal",
    "object.get",
    "walk",
];

/// What a registry says of an image beside its manifest and config. It may be added later.
const FIELDS: [&str; 3] = ["signatures", "hasProvenance", "provenance"];

fn looks_at(text: &str) -> Option<String> {
    if let Some(made) = made_name(text) {
        return Some(made);
    }
    for word in words(text) {
        if word == "data" || word.starts_with("data.") {
            return Some(format!("reads `{word}`"));
        }
        if FUNCTIONS.contains(&word.as_str()) {
            return Some(format!("calls `{word}`"));
        }
        let mut parts = word.split('.');
        if let Some(field) = parts.find(|part| FIELDS.contains(part)) {
            return Some(format!("reads `{field}`"));
        }
    }
    None
}

/// What makes a name that the text does not spell out, so that it cannot be recognised.
fn made_name(text: &str) -> Option<String> {
    if text.contains("\\u") {
        return Some("spells a name with `\\u`".to_owned());
    }
    let dense: String = text.split_whitespace().collect();
    let makes = ["input[", "image["].into_iter().find(|place| {
        let mut after = dense.split(place).skip(1);
        after.any(|rest| !rest.starts_with('"'))
    });
    makes.map(|place| format!("makes a name behind `{place}`"))
}

/// The names in a text, dots included, and its strings. Comments are left out.
fn words(text: &str) -> Vec<String> {
    // Such a string may contain code.
    if text.contains("$\"") || text.contains("$`") {
        let is_of_a_name = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let words = text
            .split(|c| !is_of_a_name(c))
            .filter(|word| !word.is_empty());
        return words
            .map(|word| word.trim_matches('.').to_owned())
            .collect();
    }
    let mut words = Vec::new();
    let mut word = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c.is_alphanumeric() || c == '_' || c == '.' {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        match c {
            '#' => {
                chars.find(|c| *c == '\n');
            }
            '"' => {
                while let Some(c) = chars.next() {
                    match c {
                        '"' | '\n' => break,
                        '\\' => word.extend(chars.next()),
                        c => word.push(c),
                    }
                }
                words.push(std::mem::take(&mut word));
            }
            '`' => words.push(chars.by_ref().take_while(|c| *c != '`').collect()),
            _ => {}
        }
    }
    words.push(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_looks_at_more_than_itself_is_known_by_its_names() {
        for (text, said) in [
            ("import data.lib.images\n", "reads `data.lib.images`"),
            ("a := data . lib", "reads `data`"),
            ("a if opa.runtime().env.X", "calls `opa.runtime`"),
            (
                "a := net.lookup_ip_addr(\"a\")",
                "calls `net.lookup_ip_addr`",
            ),
            (
                "a := input.image[concat(\"\", [\"sig\", \"natures\"])]",
                "makes a name behind `image[`",
            ),
            (
                "a := input.image[\"has\\u0050rovenance\"]",
                "spells a name with `\\u`",
            ),
            ("a if load_json(\"x.json\").y", "calls `load_json`"),
            ("t := time.now_ns()", "calls `time.now_ns`"),
            (
                "a if docker_github_builder(input.image, \"o/r\")",
                "calls `docker_github_builder`",
            ),
            ("some s in input.image.signatures", "reads `signatures`"),
            ("x := input.image[\"provenance\"]", "reads `provenance`"),
            (
                "x := object.get(input.image, `hasProvenance`, 1)",
                "calls `object.get`",
            ),
            ("x := $\"a {load_json(\\\"x\\\")}\"", "calls `load_json`"),
        ] {
            assert_eq!(looks_at(text).as_deref(), Some(said), "{text}");
        }
    }

    #[test]
    fn a_policy_of_its_own_text_alone_is_not() {
        let text = "package docker\nimport rego.v1\n# load_json(\"x\"), import data.x\n\
                    default allow := false\nallow if input.image.repo == \"python\"\n\
                    deny_msg contains msg if { msg := sprintf(\"no signatures for %s: load_json\", [input.image.ref]) }\n\
                    allow if pin_image(input.image, \"sha256:0\")\n\
                    decision := {\"allow\": allow, \"deny_msg\": deny_msg}\n";
        assert_eq!(looks_at(text), None);
    }
}
