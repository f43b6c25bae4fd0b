//! Splits one joined line as BuildKit does: keyword, flags, the rest, and the words of the rest.

use serde_json::Value as Json;

/// A joined line before its words are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Split {
    /// In capitals.
    pub(super) keyword: String,
    /// `--name=value` as written, quotes and escapes resolved.
    pub(super) flags: Vec<String>,
    pub(super) rest: String,
}

pub(super) const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Splits a joined line. An error is the end of a sentence for a message.
pub(super) fn split(line: &str, escape: char) -> Result<Split, String> {
    let line = line.trim();
    let (keyword, arguments) = match line.find(is_blank) {
        Some(at) => (&line[..at], line[at..].trim_start_matches(is_blank)),
        None => (line, ""),
    };
    let (flags, rest) = builder_flags(arguments, escape);
    // Docker 26 uses `\` as the escape in flags, whatever the directive says.
    if escape != '\\' && builder_flags(arguments, '\\') != (flags.clone(), rest.clone()) {
        return Err("BuildKit's versions read its flags differently".to_owned());
    }
    Ok(Split {
        keyword: keyword.to_ascii_uppercase(),
        flags,
        rest: rest.trim().to_owned(),
    })
}

/// The first word of a joined line, in capitals.
pub(super) fn keyword(line: &str) -> String {
    let word = line.trim().split(is_blank).next();
    word.unwrap_or_default().to_ascii_uppercase()
}

/// Whether BuildKit may look for heredocs on this line.
pub(super) fn may_carry_heredocs(line: &str, escape: char) -> bool {
    let Ok(mut split_line) = split(line, escape) else {
        return true;
    };
    if split_line.keyword == "ONBUILD" {
        match split(&split_line.rest, escape) {
            Ok(inner) => split_line = inner,
            Err(_) => return true,
        }
    }
    match split_line.keyword.as_str() {
        "ADD" | "COPY" | "RUN" => !matches!(json_words(&split_line.rest), JsonWords::Words(_)),
        _ => false,
    }
}

/// Whether these lines can be read as instructions.
pub(super) fn starts_an_instruction(raw: &[&str]) -> bool {
    let inner = raw
        .iter()
        .map(|l| l.trim())
        .find(|l| !l.is_empty() && !l.starts_with('#'));
    inner.is_none_or(|line| {
        let word = line.split(is_blank).next().unwrap_or_default();
        KEYWORDS.iter().any(|k| k.eq_ignore_ascii_case(word)) || word.ends_with(['\\', '`'])
    })
}

fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Spaces,
    Word,
    Quote(u8),
}

/// The flags in front of the arguments, and the rest. BuildKit goes byte by byte here, so a byte
/// outside ASCII becomes the character with that number.
fn builder_flags(arguments: &str, escape: char) -> (Vec<String>, String) {
    let bytes = arguments.as_bytes();
    let from = |at: usize| String::from_utf8_lossy(&bytes[at..]).into_owned();
    let mut flags = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    let mut phase = Phase::Spaces;
    let mut at = 0;
    while at < bytes.len() {
        let c = char::from(bytes[at]);
        match phase {
            Phase::Spaces if c.is_whitespace() => {
                at += 1;
                continue;
            }
            Phase::Spaces if !bytes[at..].starts_with(b"--") => return (flags, from(at)),
            Phase::Spaces | Phase::Word if c.is_whitespace() => {
                phase = Phase::Spaces;
                if word == "--" {
                    return (flags, from(at));
                }
                if quoted || !word.is_empty() {
                    flags.push(std::mem::take(&mut word));
                }
                quoted = false;
                at += 1;
                continue;
            }
            Phase::Spaces | Phase::Word if c == '\'' || c == '"' => {
                phase = Phase::Quote(bytes[at]);
                quoted = true;
                at += 1;
                continue;
            }
            Phase::Spaces => phase = Phase::Word,
            Phase::Quote(quote) if bytes[at] == quote => {
                phase = Phase::Word;
                at += 1;
                continue;
            }
            Phase::Word | Phase::Quote(_) => {}
        }
        if c == escape {
            at += 1;
            if at == bytes.len() {
                break;
            }
        }
        word.push(char::from(bytes[at]));
        at += 1;
    }
    if phase != Phase::Spaces && word != "--" && (quoted || !word.is_empty()) {
        flags.push(word);
    }
    (flags, String::new())
}

/// The result of reading a rest that may be a JSON array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum JsonWords {
    /// An array of strings.
    Words(Vec<String>),
    /// Not JSON: the words count.
    Plain,
    /// BuildKit refuses it, or its versions differ.
    Doubtful,
}

/// Reads the exec form.
pub(super) fn json_words(rest: &str) -> JsonWords {
    let rest = rest.trim_start();
    if !rest.starts_with('[') {
        return JsonWords::Plain;
    }
    let strings = |items: Vec<Json>| {
        let words = items.into_iter().map(|item| match item {
            Json::String(text) => Some(text),
            _ => None,
        });
        words
            .collect::<Option<Vec<_>>>()
            .map_or(JsonWords::Doubtful, JsonWords::Words)
    };
    match serde_json::from_str::<Vec<Json>>(rest) {
        Ok(items) => strings(items),
        // Go repairs what Rust refuses: lone surrogates and control bytes of broken text.
        Err(_) if rest.contains("\\u") || rest.contains('\u{fffd}') => JsonWords::Doubtful,
        // Docker 26 reads the array and ignores what follows it.
        Err(_) => match serde_json::Deserializer::from_str(rest)
            .into_iter::<Vec<Json>>()
            .next()
        {
            Some(Ok(_)) => JsonWords::Doubtful,
            _ => JsonWords::Plain,
        },
    }
}

/// The words of `rest`, split at blanks only.
pub(super) fn blank_words(rest: &str) -> Vec<String> {
    rest.split(is_blank)
        .filter(|w| !w.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The key and the value of the older form `ENV key value with blanks`.
pub(super) fn key_and_rest(rest: &str) -> Option<(String, String)> {
    let (key, value) = rest.split_once(is_blank)?;
    Some((
        key.to_owned(),
        value.trim_start_matches(is_blank).to_owned(),
    ))
}

/// Words with quotes and escapes kept, as ARG, ENV and LABEL are split.
pub(super) fn quoted_words(rest: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut any = false;
    let mut quote = None;
    let mut chars = rest.chars().peekable();
    while let Some(c) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            if any || !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            any = false;
            continue;
        }
        match quote {
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                any = true;
            }
            Some(open) if c == open => quote = None,
            _ => {}
        }
        if c == escape && quote != Some('\'') {
            match chars.next() {
                Some(escaped) => word.extend([c, escaped]),
                None => quote = None,
            }
            continue;
        }
        word.push(c);
    }
    if any || !word.is_empty() {
        words.push(word);
    }
    words
}
