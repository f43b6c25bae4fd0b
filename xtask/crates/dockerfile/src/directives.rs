//! Finds the frontend that reads the Dockerfile, as BuildKit finds `# syntax=`, and tells Docker's
//! own frontends from others.

use std::collections::BTreeMap;

use super::lines::directive;

/// The frontend that `BUILDKIT_SYNTAX` or the file asks for.
pub(super) fn frontend(text: &[u8], args: &BTreeMap<String, String>) -> Option<String> {
    match args
        .get("BUILDKIT_SYNTAX")
        .filter(|syntax| !syntax.is_empty())
    {
        Some(syntax) => Some(first_word(syntax)),
        None => {
            let text = String::from_utf8_lossy(text);
            in_file(text.strip_prefix('\u{feff}').unwrap_or(&text), true)
        }
    }
}

/// Whether every version of BuildKit hands the text to a frontend that is not Docker's own. Docker
/// 26 does not see a `# syntax=` behind a byte order mark or behind `# check=`.
pub(super) fn surely_names_another(text: &[u8], args: &BTreeMap<String, String>) -> bool {
    let syntax = match frontend(&[], args) {
        Some(given) => Some(given),
        None => in_file(&String::from_utf8_lossy(text), false),
    };
    syntax.is_some_and(|syntax| is_another(&syntax))
}

/// Whether `syntax` names an image that is not one of Docker's own frontends.
pub(super) fn is_another(syntax: &str) -> bool {
    reference::normalise(syntax).is_some() && !is_known(syntax)
}

fn in_file(text: &str, knows_check: bool) -> Option<String> {
    let text = match text.strip_prefix("#!") {
        Some(shebang) => shebang.split_once('\n').map_or("", |(_, rest)| rest),
        None => text,
    };
    let by_comment = |comment: &str| {
        let lines = text.lines().map_while(|line| directive(line, comment));
        lines
            .into_iter()
            .take_while(|(key, _)| knows_check || *key != "check")
            .find(|(key, _)| *key == "syntax")
            .map(|(_, value)| first_word(value))
    };
    by_comment("#").or_else(|| by_comment("//")).or_else(|| {
        let json: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
        Some(json.get("syntax")?.as_str()?.to_owned())
    })
}

fn first_word(value: &str) -> String {
    value.split(' ').next().unwrap_or_default().to_owned()
}

/// Whether `syntax` is one of Docker's own frontends, from the first one that reads heredocs.
pub(super) fn is_known(syntax: &str) -> bool {
    let Some(image) = reference::normalise(syntax) else {
        return false;
    };
    if image.registry != "docker.io" {
        return false;
    }
    let tag = image.tag.as_deref().unwrap_or_default();
    match image.repository.as_str() {
        "docker/dockerfile-upstream" => true,
        "docker/dockerfile" => is_known_version(tag),
        _ => false,
    }
}

fn is_known_version(tag: &str) -> bool {
    let number = tag.split('-').next().unwrap_or_default();
    let mut parts = number.split('.');
    let is_first = parts.next() == Some("1");
    let minor = parts.next().map(str::parse::<u32>);
    is_first && minor.is_none_or(|minor| minor.is_ok_and(|minor| minor >= 4))
}
