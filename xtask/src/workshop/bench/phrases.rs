//! The words of the section about speed. The code knows them in English; a document in another
//! language brings its own, in a comment that readers do not see:
//!
//! ```text
//! <!-- bench phrases
//! nothing to do = …
//! -->
//! ```

use std::collections::BTreeMap;

/// The phrases that a document brings for those of the code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Phrases {
    of_english: BTreeMap<String, String>,
}

impl Phrases {
    /// The phrases in the comment of a document, none if it has no such comment.
    pub fn of(document: &str) -> Self {
        let comment = document
            .split_once("<!-- bench phrases\n")
            .and_then(|(_, behind)| behind.split_once("-->"))
            .map_or("", |(comment, _)| comment);
        let pairs = comment.lines().filter_map(|line| line.split_once(" = "));
        let of_english = pairs
            .map(|(english, own)| (english.trim().to_owned(), own.trim().to_owned()))
            .collect();
        Self { of_english }
    }

    /// The document's phrase for an English one.
    pub fn get(&self, english: &str) -> Option<&str> {
        self.of_english.get(english).map(String::as_str)
    }
}

/// What a case measures, in a few words.
pub fn title(case: &str) -> &str {
    match case {
        "noop" => "nothing to do",
        "change" => "one file changed",
        "cold" => "every file hashed for the first time",
        "build" => "two images of 300 MB, without a cache",
        "crowded" => "nothing to do, 500 more images in the engine",
        "stages" => "nothing to do, 10,000 stages",
        "growth" => "nothing to do, ever more files",
        "verify" => "four images of 300 MB verified",
        "empty machine" => "what is to do, on a machine that starts empty",
        "one of 20" => "one file changed, 20 images",
        other => other,
    }
}

/// The command of a row, and what is special about it.
pub fn command(what: &str) -> (&str, Option<&str>) {
    match what.split_once(", ") {
        Some((command, special)) => (command, Some(special)),
        None => (what, None),
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::super::Case;
    use super::*;

    #[test]
    fn a_document_brings_its_own_phrases_in_a_comment() {
        let text =
            "text\n<!-- bench phrases\nnothing to do = rien\nload = charge = x\n-->\na = b\n";
        let phrases = Phrases::of(text);
        assert_eq!(phrases.get("nothing to do"), Some("rien"));
        assert_eq!(phrases.get("load"), Some("charge = x"));
        assert_eq!(phrases.get("a"), None);
        assert_eq!(Phrases::of("a = b\n"), Phrases::default());
    }

    #[test]
    fn every_case_has_a_title() {
        for case in Case::value_variants() {
            let name = case.to_possible_value().unwrap();
            let name = name.get_name();
            // Its two parts have titles of their own.
            assert!(name == "shipping" || title(name) != name, "{name}");
        }
        for part in ["empty machine", "one of 20"] {
            assert_ne!(title(part), part);
        }
    }
}
