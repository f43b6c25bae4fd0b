//! Finds the heredocs that a line announces, and their bodies.
//!
//! A heredoc word follows BuildKit's rule: `<<EOF`, `3<<-"EOF"`, and the newer `<< EOF`.

use std::collections::HashMap;

use super::words::{self, HeredocRules, Trouble};

/// One heredoc of an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heredoc {
    pub(super) name: String,
    /// `<<-`: leading tabs do not count.
    pub(super) chomp: bool,
    /// Whether variables in the body are expanded: no part of the word was quoted.
    pub(super) expand: bool,
    pub(super) body: String,
}

/// The heredocs that a joined line announces, with empty bodies.
pub(super) fn announced(line: &str, spaces_after_arrows: bool) -> Result<Vec<Heredoc>, String> {
    let rules = HeredocRules {
        keep_quotes: true,
        keep_escapes: true,
        spaces_after_arrows,
    };
    let Some(words) = words::words(line, rules).map_err(told)? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for word in words {
        found.extend(from_word(&word, spaces_after_arrows)?);
    }
    Ok(found)
}

/// The heredoc that a word announces, if any.
pub(super) fn from_word(word: &str, spaces: bool) -> Result<Option<Heredoc>, String> {
    let after_number = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let Some(rest) = after_number.strip_prefix("<<") else {
        return Ok(None);
    };
    let (rest, chomp) = match rest.strip_prefix('-') {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let rest = if spaces {
        rest.trim_start_matches(['\t', '\n', '\r', '\u{c}', ' '])
    } else {
        rest
    };
    if rest.is_empty() || rest.contains('<') {
        return Ok(None);
    }
    let rules = |keep_quotes| HeredocRules {
        keep_quotes,
        keep_escapes: false,
        spaces_after_arrows: spaces,
    };
    let refused = || format!("the heredoc word `{word}` is not a word");
    let plain = words::words(rest, rules(false))
        .map_err(told)?
        .ok_or_else(refused)?;
    let [name] = plain.as_slice() else {
        return Ok(None);
    };
    let kept = words::words(rest, rules(true))
        .map_err(told)?
        .ok_or_else(refused)?;
    let [raw] = kept.as_slice() else {
        return Err(refused());
    };
    let quotes = |text: &str| text.matches(['\'', '"']).count();
    Ok(Some(Heredoc {
        name: name.clone(),
        chomp,
        expand: quotes(name) == quotes(raw),
        body: String::new(),
    }))
}

/// The lines that could end a heredoc, by its name. A file may announce as many heredocs as it has
/// lines and end none of them, so a search per heredoc would be quadratic.
#[derive(Debug, Default)]
pub(super) struct Ends<'t> {
    whole: HashMap<&'t str, Vec<usize>>,
    without_tabs: HashMap<&'t str, Vec<usize>>,
}

impl<'t> Ends<'t> {
    pub(super) fn new(raw: &[&'t str]) -> Self {
        let mut ends = Self::default();
        for (at, line) in raw.iter().enumerate() {
            let line = line.trim_end_matches(['\r', '\n']);
            ends.whole.entry(line).or_default().push(at);
            let line = line.trim_start_matches('\t');
            ends.without_tabs.entry(line).or_default().push(at);
        }
        ends
    }

    /// The lines that end the announced heredocs. The first heredoc begins at line `from`, each
    /// further one behind the end of the previous.
    pub(super) fn of(&self, announced: &[Heredoc], mut from: usize) -> Option<Vec<usize>> {
        let mut found = Vec::with_capacity(announced.len());
        for heredoc in announced {
            let lines = if heredoc.chomp {
                &self.without_tabs
            } else {
                &self.whole
            };
            let lines = lines.get(heredoc.name.as_str())?;
            let end = *lines.get(lines.partition_point(|line| *line < from))?;
            found.push(end);
            from = end + 1;
        }
        Some(found)
    }
}

/// Fills the bodies from the lines between `from` and the `ends`.
pub(super) fn filled(
    announced: Vec<Heredoc>,
    raw: &[&str],
    mut from: usize,
    ends: &[usize],
) -> Vec<Heredoc> {
    let bodies = announced.into_iter().zip(ends).map(|(heredoc, end)| {
        let body = raw[from..*end].concat();
        from = end + 1;
        Heredoc { body, ..heredoc }
    });
    bodies.collect()
}

fn told(trouble: Trouble) -> String {
    match trouble {
        Trouble::Undecided(name) => format!("it depends on `{name}`"),
        Trouble::Refused(why) => why,
        Trouble::TrimsNothing(trimmed) => trimmed.clause(),
    }
}
