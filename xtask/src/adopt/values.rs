//! Values of compose files, turned into templates of the graph file.

use std::collections::BTreeMap;

use super::found::{FoundVar, identifier};

/// A value whose variables cannot be expressed in the graph file, and why.
pub type Inexpressible = String;

/// Text without variables as a template: its dollars are doubled.
pub fn plain(text: &str) -> String {
    text.replace('$', "$$")
}

/// Turns compose's `${NAME:-default}` into `${name}`, and adds the variable
/// (docs.docker.com/reference/compose-file/interpolation).
pub fn interpolate(
    text: &str,
    vars: &mut BTreeMap<String, FoundVar>,
) -> Result<String, Inexpressible> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push_str("$$");
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let end = closing(after).ok_or_else(|| format!("`{text}` has no closing brace"))?;
            out.push_str(&braced(&after[..end], vars)?);
            rest = &after[end + 1..];
        } else {
            let end = rest.find(|c: char| !is_of_name(c)).unwrap_or(rest.len());
            if end == 0 {
                out.push_str("$$");
            } else {
                out.push_str(&variable(&rest[..end], "", vars)?);
            }
            rest = &rest[end..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

const fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Where the brace is closed that was opened before the text.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// What stands between the braces: a name, perhaps with a default.
fn braced(inner: &str, vars: &mut BTreeMap<String, FoundVar>) -> Result<String, Inexpressible> {
    let end = inner.find(|c: char| !is_of_name(c)).unwrap_or(inner.len());
    let (name, rest) = inner.split_at(end);
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let mut rest = rest.chars();
    match rest.next() {
        None | Some('?') => variable(name, "", vars),
        Some('-') => {
            // A default may name further variables. Their defaults are the ones that count here.
            let default = default_of(rest.as_str());
            variable(name, &default, vars)
        }
        _ => Err(format!(
            "`${{{inner}}}` is a form that the graph file does not have"
        )),
    }
}

/// The text of a default, with the defaults of the variables in it.
fn default_of(text: &str) -> String {
    let mut inner = BTreeMap::new();
    let Ok(template) = interpolate(text, &mut inner) else {
        return String::new();
    };
    let mut value = template;
    for (name, var) in inner {
        value = value.replace(&format!("${{{name}}}"), &var.default);
    }
    value.replace("$$", "$")
}

fn variable(
    name: &str,
    default: &str,
    vars: &mut BTreeMap<String, FoundVar>,
) -> Result<String, Inexpressible> {
    if identifier(name).is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("`{name}` is not the name of a variable"));
    }
    let known = vars.entry(name.to_owned()).or_default();
    if known.default.is_empty() {
        default.clone_into(&mut known.default);
    }
    if known.default == default || default.is_empty() {
        return Ok(format!("${{{name}}}"));
    }
    Err(format!(
        "`{name}` has two defaults, `{}` and `{default}`",
        known.default
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (Result<String, String>, Vec<(String, String)>) {
        let mut vars = BTreeMap::new();
        let value = interpolate(text, &mut vars);
        let vars = vars.into_iter().map(|(name, var)| (name, var.default));
        (value, vars.collect())
    }

    #[test]
    fn variables_of_compose_become_those_of_the_graph() {
        for (text, template, default) in [
            ("a${TAG}b", "a${TAG}b", ""),
            ("$TAG-x", "${TAG}-x", ""),
            ("${TAG:-1.0}", "${TAG}", "1.0"),
            ("${TAG-1.0}", "${TAG}", "1.0"),
            ("${TAG:?say it}", "${TAG}", ""),
            ("${TAG:-${OTHER:-2}}", "${TAG}", "2"),
        ] {
            let (value, vars) = of(text);
            assert_eq!(value.as_deref(), Ok(template), "{text}");
            assert_eq!(vars, [("TAG".to_owned(), default.to_owned())], "{text}");
        }
        assert_eq!(of("$$5 and $"), (Ok("$$5 and $$".into()), vec![]));
    }

    #[test]
    fn what_the_graph_cannot_say_is_not_guessed() {
        for text in ["${TAG:+x}", "${TAG", "${:-x}", "${A:-1}${A:-2}"] {
            assert!(of(text).0.is_err(), "{text}");
        }
    }
}
