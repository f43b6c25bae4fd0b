//! The patterns of `${X#p}`, `${X%p}` and `${X/p/r}`, with `*`, `?` and escapes as in BuildKit's
//! expansion. `None` means that BuildKit refuses the pattern, or that its versions differ.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Star,
    Any,
    Char(char),
}

/// Which of several matches counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Greed {
    Shortest,
    Longest,
}

/// With more steps than this the answer is `None`. No honest Dockerfile comes near it.
const MOST_STEPS: usize = 1 << 20;

/// The most that trimming costs, in the units of a budget. A step costs less than a byte.
pub(super) fn cost_of_trimming(value: &str, pattern: &str) -> usize {
    let steps = (pattern.len() + 1).saturating_mul(value.len() + 1);
    steps.min(MOST_STEPS) / 8
}

/// The most that replacing costs.
pub(super) fn cost_of_replacing(value: &str, pattern: &str) -> usize {
    let steps = (pattern.len() + 1)
        .saturating_mul(value.len() + 1)
        .saturating_mul(value.len() / 2 + 1);
    steps.min(MOST_STEPS) / 8
}

fn tokens(pattern: &str) -> Option<Vec<Token>> {
    let mut out = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(match c {
            '*' => Token::Star,
            '?' => Token::Any,
            '\\' => match chars.next()? {
                c @ ('}' | '/' | '*' | '?' | '\\') => Token::Char(c),
                _ => return None,
            },
            c => Token::Char(c),
        });
    }
    Some(out)
}

/// For each length of a prefix of `text`, whether the whole pattern matches that prefix.
fn matching_lengths(tokens: &[Token], text: &[char]) -> Option<Vec<bool>> {
    if (tokens.len() + 1).checked_mul(text.len() + 1)? > MOST_STEPS {
        return None;
    }
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for token in tokens {
        if *token == Token::Star {
            let first = reached.iter().position(|r| *r).unwrap_or(reached.len());
            reached[first..].fill(true);
            continue;
        }
        for at in (1..reached.len()).rev() {
            let fits = *token == Token::Any || *token == Token::Char(text[at - 1]);
            reached[at] = reached[at - 1] && fits;
        }
        reached[0] = false;
    }
    Some(reached)
}

fn preferred(lengths: &[bool], greed: Greed) -> Option<usize> {
    match greed {
        Greed::Shortest => lengths.iter().position(|r| *r),
        Greed::Longest => lengths.iter().rposition(|r| *r),
    }
}

/// Whether a wildcard may meet a line end. BuildKit's regular expressions do not cross one. That
/// is not modelled: such values have no answer.
fn crosses_lines(tokens: &[Token], value: &str) -> bool {
    value.contains('\n') && tokens.iter().any(|t| !matches!(t, Token::Char(_)))
}

/// `${X#p}` and `${X##p}`.
pub(super) fn without_prefix(value: &str, pattern: &str, greed: Greed) -> Option<String> {
    let tokens = tokens(pattern)?;
    if crosses_lines(&tokens, value) {
        return None;
    }
    let text: Vec<char> = value.chars().collect();
    let cut = preferred(&matching_lengths(&tokens, &text)?, greed).unwrap_or(0);
    Some(text[cut..].iter().collect())
}

/// `${X%p}` and `${X%%p}`.
pub(super) fn without_suffix(value: &str, pattern: &str, greed: Greed) -> Option<String> {
    let mut tokens = tokens(pattern)?;
    if crosses_lines(&tokens, value) {
        return None;
    }
    tokens.reverse();
    let backwards: Vec<char> = value.chars().rev().collect();
    let cut = preferred(&matching_lengths(&tokens, &backwards)?, greed).unwrap_or(0);
    Some(backwards[cut..].iter().rev().collect())
}

/// `${X/p/r}` and, with `all`, `${X//p/r}`.
pub(super) fn replaced(value: &str, pattern: &str, with: &str, all: bool) -> Option<String> {
    let tokens = tokens(pattern)?;
    let matches_nothing = tokens.iter().all(|t| *t == Token::Star);
    // Go's ReplaceAll gives `$` a special meaning and has a rule for empty matches.
    if crosses_lines(&tokens, value) || (all && (matches_nothing || with.contains('$'))) {
        return None;
    }
    let text: Vec<char> = value.chars().collect();
    let mut out = String::new();
    let mut at = 0;
    let mut steps = 0usize;
    while at <= text.len() {
        steps = steps.checked_add((tokens.len() + 1) * (text.len() - at + 1))?;
        if steps > MOST_STEPS {
            return None;
        }
        if let Some(length) = preferred(&matching_lengths(&tokens, &text[at..])?, Greed::Longest) {
            out.push_str(with);
            at += length;
            if !all {
                out.extend(&text[at..]);
                return Some(out);
            }
        } else {
            out.extend(text.get(at));
            at += 1;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Greed::{Longest, Shortest};

    #[test]
    fn one_hash_takes_the_shortest_prefix_two_the_longest() {
        assert_eq!(without_prefix("a/b/c", "*/", Shortest).unwrap(), "b/c");
        assert_eq!(without_prefix("a/b/c", "*/", Longest).unwrap(), "c");
        assert_eq!(without_prefix("a/b/c", "x*", Longest).unwrap(), "a/b/c");
    }

    #[test]
    fn one_percent_takes_the_shortest_suffix_two_the_longest() {
        assert_eq!(without_suffix("a.b.c", ".*", Shortest).unwrap(), "a.b");
        assert_eq!(without_suffix("a.b.c", ".*", Longest).unwrap(), "a");
        assert_eq!(without_suffix("v1", "?", Shortest).unwrap(), "v");
    }

    #[test]
    fn an_escaped_star_is_a_star() {
        assert_eq!(without_prefix("*x", "\\*", Shortest).unwrap(), "x");
        assert_eq!(without_prefix("yx", "\\*", Shortest).unwrap(), "yx");
        assert_eq!(without_prefix("x", "\\x", Shortest), None);
    }

    #[test]
    fn one_slash_replaces_once_two_everywhere() {
        assert_eq!(replaced("a-b-c", "-", "_", false).unwrap(), "a_b-c");
        assert_eq!(replaced("a-b-c", "-", "_", true).unwrap(), "a_b_c");
        assert_eq!(replaced("a-b-c", "x", "_", true).unwrap(), "a-b-c");
        assert_eq!(replaced("a/b", "\\/", "", false).unwrap(), "ab");
    }

    #[test]
    fn what_go_would_give_its_own_meaning_has_no_answer() {
        assert_eq!(replaced("abc", "b", "$1", true), None);
        assert_eq!(replaced("abc", "*", "x", true), None);
        assert_eq!(without_prefix("a\nb", "*", Longest), None);
    }
}
