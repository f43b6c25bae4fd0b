//! Values with `${…}` in them.
//!
//! `${name}` is a variable of `[vars]`; `${source.commit}` and its like are facts of the stage's
//! source; `$$` is a dollar. The caller looks values up as late as possible: the commit may
//! cost a call of git.

use std::fmt;

/// A value that may mention others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Name(String),
}

impl Template {
    /// Reads `text`; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                plain.push('$');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let Some((name, after)) = after.split_once('}') else {
                    return Err("`${` is never closed by `}`".into());
                };
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(Part::Name(name.to_owned()));
                rest = after;
            } else {
                return Err("a lone `$`: write `${name}` for a variable, `$$` for a dollar".into());
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    /// A value that mentions nothing.
    pub fn of_text(text: &str) -> Self {
        Self {
            parts: vec![Part::Text(text.to_owned())],
        }
    }

    /// The names that the value mentions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// Replaces the names that `known` has a value for. The others stay for `expand`.
    #[must_use]
    pub fn settle(self, known: impl Fn(&str) -> Option<String>) -> Self {
        let parts = self.parts.into_iter().map(|part| match part {
            Part::Name(name) => known(&name).map_or(Part::Name(name), Part::Text),
            text @ Part::Text(_) => text,
        });
        Self {
            parts: parts.collect(),
        }
    }

    /// The finished value; `look_up` gives what each remaining name stands for.
    pub fn expand<E>(
        &self,
        mut look_up: impl FnMut(&str) -> Result<String, E>,
    ) -> Result<String, E> {
        let mut value = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => value.push_str(text),
                Part::Name(name) => value.push_str(&look_up(name)?),
            }
        }
        Ok(value)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(&text.replace('$', "$$")),
            Part::Name(name) => write!(f, "${{{name}}}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upper(name: &str) -> Result<String, std::convert::Infallible> {
        Ok(name.to_uppercase())
    }

    #[test]
    fn names_are_replaced_and_a_doubled_dollar_is_one() {
        let template = Template::parse("v${a}-${b.c}-$$x").unwrap();
        assert_eq!(template.expand(upper), Ok("vA-B.C-$x".to_owned()));
        assert_eq!(template.names().collect::<Vec<_>>(), ["a", "b.c"]);
        assert_eq!(template.to_string(), "v${a}-${b.c}-$$x");
    }

    #[test]
    fn what_is_known_now_is_settled_and_the_rest_waits() {
        let template = Template::parse("${a}${b}").unwrap();
        let template = template.settle(|name| (name == "a").then(|| "1".to_owned()));
        assert_eq!(template.to_string(), "1${b}");
    }

    #[test]
    fn a_lone_dollar_and_an_open_brace_are_mistakes() {
        assert!(Template::parse("$x").is_err());
        assert!(Template::parse("${x").is_err());
    }
}
