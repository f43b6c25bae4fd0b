//! Reads TOML tables through serde, one mistake at a time.
//!
//! serde stops at the first error. To report all of them, a table that could not be read is read
//! again without the entry that holds the error.

use std::fmt;

use serde::de::{self, DeserializeOwned, Deserializer, IntoDeserializer as _, Visitor};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistakes::{Mistake, Mistakes, Span};

/// One table of the file, still unread, with its place.
pub type TomlTable<'t> = Spanned<DeTable<'t>>;

/// Parses `text`; every syntax error becomes a mistake.
pub fn parse<'t>(text: &'t str, mistakes: &mut Mistakes<'_>) -> TomlTable<'t> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        mistakes.push(Mistake::at(
            span,
            format!("this is not TOML: {}", error.message()),
            "here",
        ));
    }
    table
}

/// Takes the table called `name` out of `table`. Any other value of that name is a mistake.
pub fn take<'t>(
    table: &mut DeTable<'t>,
    name: &str,
    mistakes: &mut Mistakes<'_>,
) -> Option<TomlTable<'t>> {
    let value = table.remove(name)?;
    as_table(name, value, mistakes)
}

/// `value` as a table; anything else is a mistake.
pub fn as_table<'t>(
    name: &str,
    value: Spanned<DeValue<'t>>,
    mistakes: &mut Mistakes<'_>,
) -> Option<TomlTable<'t>> {
    let span = value.span();
    match value.into_inner() {
        DeValue::Table(table) => Some(Spanned::new(span, table)),
        other => {
            let found = other.type_str();
            let title = format!("`{name}` must be a table, not {found}");
            mistakes.push(Mistake::at(span, title, format!("found {found}")));
            None
        }
    }
}

/// Reads a whole table as `T`. Entries that are wrong are reported and left out of the result.
pub fn read<T: DeserializeOwned + Default>(
    what: &str,
    mut table: TomlTable<'_>,
    mistakes: &mut Mistakes<'_>,
) -> T {
    let known = fields_of::<T>();
    report_unknown(what, table.get_mut(), known, mistakes);
    read_entries(what, table, mistakes)
}

/// Reads a table whose keys are names of the user's own.
pub fn read_map<T: DeserializeOwned + Default + IntoIterator + Extend<T::Item>>(
    what: &str,
    table: TomlTable<'_>,
    mistakes: &mut Mistakes<'_>,
) -> T {
    let span = table.span();
    let mut all = T::default();
    // One entry at a time, so that a mistake does not cause all others to be read again.
    for (key, value) in table.into_inner() {
        let mut one = DeTable::default();
        one.insert(key, value);
        let one = Spanned::new(span.clone(), one);
        all.extend(read_entries::<T>(what, one, mistakes));
    }
    all
}

fn read_entries<T: DeserializeOwned + Default>(
    what: &str,
    mut table: TomlTable<'_>,
    mistakes: &mut Mistakes<'_>,
) -> T {
    loop {
        let error = match T::deserialize(table.clone().into_deserializer()) {
            Ok(read) => return read,
            Err(error) => error,
        };
        let Some(fault) = entry_at_fault(&table, &error) else {
            mistakes.push(Mistake::at(
                table.span(),
                format!("{what}: {}", error.message()),
                "here",
            ));
            return T::default();
        };
        let span = error.span().unwrap_or_else(|| table.span());
        let (title, label) = describe(what, &fault, &error);
        mistakes.push(suggest(Mistake::at(span, title, label), error.message()));
        table.get_mut().remove(fault.as_str());
    }
}

/// Reports and removes the entries of `table` that are not in `known`.
pub fn report_unknown(
    what: &str,
    table: &mut DeTable<'_>,
    known: &[&'static str],
    mistakes: &mut Mistakes<'_>,
) {
    let unknown: Vec<(String, Span)> = table
        .keys()
        .filter(|key| !known.contains(&key.get_ref().as_ref()))
        .map(|key| (key.get_ref().to_string(), key.span()))
        .collect();
    for (name, span) in unknown {
        table.remove(name.as_str());
        let mistake = Mistake::at(
            span,
            format!("unknown field `{name}` in {what}"),
            format!("expected one of {}", list(known)),
        );
        mistakes.push_near(mistake, &name, || known.iter().copied());
    }
}

/// `` `a`, `b`, `c` ``.
fn list(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn describe(what: &str, field: &str, error: &toml::de::Error) -> (String, String) {
    let message = error.message();
    if message.starts_with("unknown field") {
        let (head, tail) = message
            .split_once(", expected ")
            .unwrap_or((message, "another field"));
        return (
            format!("{head} in `{field}` of {what}"),
            format!("expected {tail}"),
        );
    }
    let named = || {
        let (found, expected) = message.split_once(", expected ")?;
        Some((found.strip_prefix("invalid type: ")?, wanted(expected)?))
    };
    match named() {
        Some((found, wanted)) => (
            format!("`{field}` of {what} must be {wanted}"),
            format!("found {found}"),
        ),
        None => (
            format!("`{field}` of {what} is not valid"),
            message.to_owned(),
        ),
    }
}

/// What serde expects, in words of the file.
fn wanted(expected: &str) -> Option<&'static str> {
    Some(match expected {
        "i64" | "u32" | "u64" | "integer" => "a whole number",
        "a boolean" => "`true` or `false`",
        "a string" => "text in quotes",
        "a sequence" => "a list, like `[\"a\", \"b\"]`",
        "a map" => "a table",
        "a TOML datetime" => "a day without quotes, like 2027-01-31",
        _ => return None,
    })
}

/// Adds `did you mean …?` for an unknown field of a nested table. Only serde's message names it.
fn suggest(mistake: Mistake, message: &str) -> Mistake {
    let mut quoted = message.split('`').skip(1).step_by(2);
    match quoted.next() {
        Some(given) if message.starts_with("unknown field") => mistake.did_you_mean(given, quoted),
        _ => mistake,
    }
}

/// The entry of `table` in which the error lies.
fn entry_at_fault(table: &TomlTable<'_>, error: &toml::de::Error) -> Option<String> {
    let place = error.span()?;
    let holds = |span: Span| span.start <= place.start && place.end <= span.end;
    table
        .get_ref()
        .iter()
        .find(|(key, value)| holds(key.span()) || holds(value.span()))
        // The span of a nested `[a.b]` table covers its header only. Then it is the nearest entry
        // before the error.
        .or_else(|| {
            table
                .get_ref()
                .iter()
                .filter(|(key, _)| key.span().start <= place.start)
                .max_by_key(|(key, _)| key.span().start)
        })
        .map(|(key, _)| key.get_ref().to_string())
}

/// The field names of a struct, learned from the struct itself: its `Deserialize` asks for them.
pub fn fields_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut fields: &'static [&'static str] = &[];
    // The probe gives no value, so an error is expected.
    let _ = T::deserialize(Probe(&mut fields));
    fields
}

struct Probe<'f>(&'f mut &'static [&'static str]);

#[derive(Debug)]
struct Asked;

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("asked")
    }
}

impl std::error::Error for Asked {}

impl de::Error for Asked {
    fn custom<M: fmt::Display>(_: M) -> Self {
        Self
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Asked;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Asked> {
        Err(Asked)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Asked> {
        *self.0 = fields;
        Err(Asked)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
