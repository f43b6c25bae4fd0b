//! Secrets in one line of text: ENV, a label, a build argument, a line of the history.

use super::FoundSecret;
use super::placeholder::Judge;
use super::scanner::{MOST_FOUND, Scanner};
use super::setting::{is_setting, of, words};
use super::view::TextPlace;

/// Looks for secrets in a setting of an image: `in_text("DB_URL", "postgres://…")` for ENV, a label
/// or a build argument; `in_text("", line)` for a line of the history, whose own `NAME=value` words
/// are judged as settings.
pub fn in_text(name: &str, text: &str) -> Vec<FoundSecret> {
    let whole = if name.is_empty() {
        text.to_owned()
    } else {
        format!("{name}={text}")
    };
    let mut scanner = Scanner::at(TextPlace::Settings, whole.len() as u64);
    scanner.feed(whole.as_bytes());
    let mut found = scanner.finish();
    for found in &mut found {
        found.line = None;
    }
    let settings = if name.is_empty() {
        words(text)
    } else {
        vec![(name, text)]
    };
    let settings: Vec<_> = settings
        .into_iter()
        .filter(|(name, value)| is_setting(name, value.as_bytes(), Judge::Strict))
        .collect();
    // If a shape matched, the setting is not reported again.
    if found.is_empty() {
        found.extend(
            settings
                .into_iter()
                .take(MOST_FOUND)
                .map(|(name, value)| of("setting", name, value.as_bytes(), None)),
        );
    }
    found
}
