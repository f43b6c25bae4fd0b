//! JSON that all readers understand alike.
//!
//! Go ignores the case of keys, and takes the last of two equal keys. Other readers do not, so that
//! one would judge `User` of a configuration and the other would run `user`. Such documents are
//! refused.

use std::collections::HashSet;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeOwned, DeserializeSeed, Error, MapAccess, SeqAccess, Visitor,
};

/// Keys of objects whose own keys are free names, in which case matters.
const NAMES: [&str; 4] = ["labels", "annotations", "exposedports", "volumes"];

/// Reads a document. Its objects may have these keys in this spelling only.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8], keys: &[&str]) -> Result<T, String> {
    let said = |error: serde_json::Error| format!("is malformed: {error}");
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    Plain {
        keys,
        is_names: false,
    }
    .deserialize(&mut reader)
    .map_err(said)?;
    serde_json::from_slice(bytes).map_err(said)
}

#[derive(Clone, Copy)]
struct Plain<'a> {
    keys: &'a [&'a str],
    is_names: bool,
}

impl<'de> DeserializeSeed<'de> for Plain<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Plain<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let folded = fold(&key);
            let is_names = NAMES.contains(&folded.as_str());
            if !self.is_names
                && let Some(right) = self.keys.iter().find(|right| fold(right) == folded)
                && *right != key
            {
                let key = key.escape_debug();
                return Err(Error::custom(format!("it spells `{right}` as `{key}`")));
            }
            if !seen.insert(if self.is_names { key.clone() } else { folded }) {
                return Err(Error::custom(format!(
                    "it says `{}` twice",
                    key.escape_debug()
                )));
            }
            map.next_value_seed(Plain { is_names, ..self })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list
            .next_element_seed(Plain {
                is_names: false,
                ..self
            })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// The same spelling for all keys that Go takes for equal (`encoding/json`, `foldName`).
fn fold(key: &str) -> String {
    let one = |letter: char| match letter {
        'ſ' => 's',
        '\u{212a}' => 'k',
        letter => letter.to_ascii_lowercase(),
    };
    key.chars().map(one).collect()
}

/// Reads `null` as an empty list or object.
pub(super) fn or_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_two_spellings_is_refused() {
        let read = |text: &str| read::<serde_json::Value>(text.as_bytes(), &["User", "config"]);
        for text in [
            r#"{"config":{"User":"1","user":"0"}}"#,
            r#"{"config":{"user":"0"}}"#,
            r#"{"a":[{"b":1,"b":2}]}"#,
            r#"{"config":{},"Config":{}}"#,
            "{\"config\":{\"u\u{17f}er\":\"0\"}}",
            r#"{"config":{"Labels":{"a":"1","a":"2"}}}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        let good =
            r#"{"config":{"User":"1","Labels":{"user":"a","USER":"b"}},"n":[1,2.5,null,true]}"#;
        read(good).unwrap();
    }
}
