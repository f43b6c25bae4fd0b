//! Reads the text behind a `$`: the forms `$X`, `${X}` and those with a modifier.

use super::lexer::Lexer;
use super::pattern::{self, Greed};
use super::words::{ENDLESS, Trimmed, Trouble, Value};

impl Lexer<'_, '_> {
    pub(super) fn dollar(&mut self) -> Result<(String, Option<String>), Trouble> {
        self.chars.next();
        if self.chars.next_if_eq(&'{').is_none() {
            let name = self.name()?;
            if name.is_empty() {
                return Ok(("$".to_owned(), None));
            }
            return Ok(match self.look_up(&name)? {
                Value::Known(text) => (text.to_string(), None),
                Value::Unset if self.rules.heredocs.is_some() => (format!("${name}"), None),
                Value::Blank | Value::Unset => (String::new(), None),
                Value::Unknown => (String::new(), Some(name)),
            });
        }
        match self.chars.peek() {
            None => return refused("a `}` is missing"),
            Some('{' | '}' | ':') => return refused("a `${` has no name behind it"),
            Some(_) => {}
        }
        let name = self.name()?;
        match self.chars.next() {
            Some('}') => Ok(match self.look_up(&name)? {
                Value::Known(text) => (text.to_string(), None),
                Value::Unset if self.rules.heredocs.is_some() => (format!("${{{name}}}"), None),
                Value::Blank | Value::Unset => (String::new(), None),
                Value::Unknown => (String::new(), Some(name)),
            }),
            Some(':') => match self.chars.next() {
                Some(c @ ('-' | '+' | '?')) => self.alternative(&name, c, true),
                _ => refused("a `${…:` has a modifier that BuildKit does not know"),
            },
            Some(c @ ('-' | '+' | '?')) => self.alternative(&name, c, false),
            Some(c @ ('#' | '%')) => self.trimmed(&name, c),
            Some('/') => self.replaced(&name),
            _ => refused("a `${` has a modifier that BuildKit does not know"),
        }
    }

    fn alternative(
        &mut self,
        name: &str,
        modifier: char,
        empty_is_unset: bool,
    ) -> Result<(String, Option<String>), Trouble> {
        let word = self.until(Some('}'), false)?;
        let value = self.look_up(name)?;
        if value == Value::Unset && self.rules.heredocs.is_some() {
            let colon = if empty_is_unset { ":" } else { "" };
            return Ok((format!("${{{name}{colon}{modifier}{}}}", word.text), None));
        }
        let has_value = match &value {
            Value::Known(text) => !(empty_is_unset && text.is_empty()),
            Value::Blank if empty_is_unset => false,
            Value::Unset => false,
            Value::Blank | Value::Unknown => return Ok((String::new(), Some(name.to_owned()))),
        };
        let own = match value {
            Value::Known(text) => text.to_string(),
            _ => String::new(),
        };
        match (modifier, has_value) {
            ('-', false) | ('+', true) => Ok((word.text, word.hangs_on)),
            ('+', false) => Ok((String::new(), None)),
            ('?', false) => Err(Trouble::Refused(format!("`{name}` must have a value"))),
            _ => Ok((own, None)),
        }
    }

    fn trimmed(&mut self, name: &str, side: char) -> Result<(String, Option<String>), Trouble> {
        let word = self.until(Some('}'), true)?;
        let value = self.look_up(name)?;
        let is_left =
            self.rules.heredocs.is_some() && matches!(value, Value::Unset | Value::Unknown);
        if !is_left && word.text.is_empty() && word.hangs_on.is_none() {
            let name = name.to_owned();
            return Err(Trouble::TrimsNothing(Trimmed { name, side }));
        }
        let value = match value {
            Value::Known(text) => text.to_string(),
            Value::Unset if self.rules.heredocs.is_some() => {
                return Ok((format!("${{{name}{side}{}}}", word.text), None));
            }
            Value::Blank | Value::Unset => String::new(),
            Value::Unknown => return Ok((String::new(), Some(name.to_owned()))),
        };
        if word.hangs_on.is_some() {
            return Ok((String::new(), word.hangs_on));
        }
        let (pattern, greed) = match word.text.strip_prefix(side) {
            Some(rest) => (rest, Greed::Longest),
            None => (word.text.as_str(), Greed::Shortest),
        };
        self.spend(pattern::cost_of_trimming(&value, pattern))?;
        let trimmed = match side {
            '#' => pattern::without_prefix(&value, pattern, greed),
            _ => pattern::without_suffix(&value, pattern, greed),
        };
        by_pattern(name, trimmed)
    }

    fn replaced(&mut self, name: &str) -> Result<(String, Option<String>), Trouble> {
        let all = self.chars.next_if_eq(&'/').is_some();
        let pattern = self.until(Some('/'), true)?;
        let with = self.until(Some('}'), true)?;
        let value = match self.look_up(name)? {
            Value::Known(text) => text.to_string(),
            Value::Unset if self.rules.heredocs.is_some() => {
                return Ok((format!("${{{name}/{}/{}}}", pattern.text, with.text), None));
            }
            Value::Blank | Value::Unset => String::new(),
            Value::Unknown => return Ok((String::new(), Some(name.to_owned()))),
        };
        if let Some(on) = pattern.hangs_on.or(with.hangs_on) {
            return Ok((String::new(), Some(on)));
        }
        self.spend(pattern::cost_of_replacing(&value, &pattern.text))?;
        let replaced = pattern::replaced(&value, &pattern.text, &with.text, all);
        by_pattern(name, replaced)
    }

    fn look_up(&mut self, name: &str) -> Result<Value, Trouble> {
        if self.rules.heredocs.is_none() {
            self.used.insert(name.to_owned());
        }
        let value = self.env.value(name);
        if let Value::Known(text) = &value {
            self.spend(text.len())?;
        }
        Ok(value)
    }

    /// Takes `cost` of the budget. Looking up a long value often costs more than the text's length.
    fn spend(&self, cost: usize) -> Result<(), Trouble> {
        if self.env.spend(cost) {
            return Ok(());
        }
        Err(Trouble::Refused(ENDLESS.to_owned()))
    }

    /// A name: letters, digits and `_`; only digits if a digit comes first; or one special sign.
    /// Beyond ASCII, the Unicode version that BuildKit was built with decides which characters are
    /// letters and digits.
    fn name(&mut self) -> Result<String, Trouble> {
        let mut name = String::new();
        let Some(&first) = self.chars.peek() else {
            return Ok(name);
        };
        if matches!(first, '@' | '*' | '#' | '?' | '-' | '$' | '!') {
            name.extend(self.chars.next());
            return Ok(name);
        }
        let is_number = first.is_ascii_digit();
        let is_of_it =
            |c: &char| c.is_ascii_digit() || !is_number && (c.is_ascii_alphabetic() || *c == '_');
        while let Some(c) = self.chars.next_if(is_of_it) {
            name.push(c);
        }
        match self.chars.peek() {
            Some(c) if !c.is_ascii() => {
                let why =
                    format!("it is unclear whether `{c}` after `${name}` is part of that name");
                Err(Trouble::Refused(why))
            }
            _ => Ok(name),
        }
    }
}

fn refused(why: &str) -> Result<(String, Option<String>), Trouble> {
    Err(Trouble::Refused(why.to_owned()))
}

fn by_pattern(name: &str, result: Option<String>) -> Result<(String, Option<String>), Trouble> {
    match result {
        Some(text) => Ok((text, None)),
        None => Err(Trouble::Refused(format!(
            "the pattern for `{name}` is unusual"
        ))),
    }
}
