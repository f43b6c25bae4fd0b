//! Settings: a name and a value, as in an image's ENV, a build argument, or `.env`.
//!
//! A name only says that a value is worth judging. The value decides: neither `TOKEN_LIMIT=4000`
//! nor `SECRET_NAME=app` is a secret.

use super::placeholder::{Judge, is_secret, unquoted};
use super::shapes::shape;
use super::{FoundSecret, SECRETS, default_keys};

/// The last words of names whose values are secrets.
const LAST: &[&str] = &[
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "APIKEY",
    "CREDENTIALS",
    "PWD",
    "PASS",
];
/// The last two words of such names.
const LAST_TWO: &[(&str, &str)] = &[
    ("API", "KEY"),
    ("SECRET", "KEY"),
    ("ACCESS", "KEY"),
    ("PRIVATE", "KEY"),
    ("SIGNING", "KEY"),
    ("ENCRYPTION", "KEY"),
    ("AUTH", "KEY"),
    ("ACCOUNT", "KEY"),
    ("DAEMON", "KEY"),
    ("SERVER", "KEY"),
    ("MASTER", "KEY"),
    ("LICENSE", "KEY"),
];
/// Words in names that mark a value as public.
const PUBLIC: &[&str] = &[
    "PUBLIC", "GPG", "PGP", "EXAMPLE", "SAMPLE", "CSRF", "NEXT", "VITE",
];

/// A finding by the name of a setting or a file.
pub fn of(id: &'static str, name: &str, value: &[u8], line: Option<u64>) -> FoundSecret {
    let length = unquoted(value).len();
    // A name can be as long as a whole line, and can contain anything.
    let name: String = name.chars().take(64).collect();
    FoundSecret {
        rule: SECRETS,
        shape: id,
        what: shape(id).map_or("a secret", |shape| shape.what),
        line,
        masked: format!("{name}=… ({length} characters)"),
    }
}

/// Whether a setting's value is a secret. Dify's default keys have a rule of their own.
pub fn is_setting(name: &str, value: &[u8], judge: Judge) -> bool {
    is_secret_name(name) && !default_keys::is_known(unquoted(value)) && is_secret(value, judge)
}

/// Whether a name's last words are those of a secret.
fn is_secret_name(name: &str) -> bool {
    let words = name_words(name);
    if words.iter().any(|word| PUBLIC.contains(&word.as_str())) || name == "PWD" || name == "OLDPWD"
    {
        return false;
    }
    match words.as_slice() {
        [.., before, last] => {
            LAST.contains(&last.as_str()) || LAST_TWO.contains(&(before.as_str(), last.as_str()))
        }
        [only] => LAST.contains(&only.as_str()),
        [] => false,
    }
}

/// The words of `db_password`, `dbPassword`, `db.password`.
fn name_words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for letter in name.chars().take(256) {
        let begins = !letter.is_ascii_alphanumeric()
            || letter.is_ascii_uppercase() && before.is_ascii_lowercase();
        if begins && !words[words.len() - 1].is_empty() {
            words.push(String::new());
        }
        if letter.is_ascii_alphanumeric() {
            let last = words.len() - 1;
            words[last].push(letter.to_ascii_uppercase());
        }
        before = letter;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The `NAME=value` words of a command line.
pub(super) fn words(line: &str) -> Vec<(&str, &str)> {
    let mut pairs = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('=') {
        let start = before
            .rfind(|letter: char| !(letter.is_ascii_alphanumeric() || "_-.".contains(letter)))
            .map_or(0, |at| {
                at + before[at..].chars().next().map_or(1, char::len_utf8)
            });
        let quote = after.chars().next().filter(|first| "\"'".contains(*first));
        let length = match quote {
            Some(quote) => after[1..].find(quote).map_or(after.len(), |at| at + 2),
            None => after
                .find(|letter: char| letter.is_whitespace() || ";&|".contains(letter))
                .unwrap_or(after.len()),
        };
        pairs.push((&before[start..], &after[..length]));
        // A value may contain an equals sign. Its parts are not settings of their own.
        rest = &after[length..];
    }
    pairs
}
