//! Lists and objects of JSON that stop at a limit, so that a small text cannot fill the memory.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A list with at most `N` elements. `null` is the empty list, as Go writes it.
#[derive(Debug, Clone)]
pub struct Few<T, const N: usize>(pub Vec<T>);

impl<T, const N: usize> Default for Few<T, N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for Few<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T, const N: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for List<T, N> {
            type Value = Few<T, N>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Few::default())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut kept = Vec::new();
                while let Some(element) = list.next_element()? {
                    if kept.len() == N {
                        return Err(A::Error::custom(format!(
                            "a list has more than {N} elements"
                        )));
                    }
                    kept.push(element);
                }
                Ok(Few(kept))
            }
        }
        deserializer.deserialize_any(List(PhantomData))
    }
}

/// An object with at most `N` members, all of them text. `null` is the empty object.
#[derive(Debug, Clone, Default)]
pub struct Pairs<const N: usize>(pub Vec<(String, String)>);

impl<'de, const N: usize> Deserialize<'de> for Pairs<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<const N: usize>;
        impl<'de, const N: usize> Visitor<'de> for Object<N> {
            type Value = Pairs<N>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Pairs::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut kept = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    if kept.len() == N {
                        return Err(A::Error::custom(format!(
                            "an object has more than {N} members"
                        )));
                    }
                    kept.push(pair);
                }
                Ok(Pairs(kept))
            }
        }
        deserializer.deserialize_any(Object)
    }
}

/// The names of an object's members, without what they hold. `null` is the empty object.
#[derive(Debug, Clone, Default)]
pub struct Names<const N: usize>(pub Vec<String>);

impl<'de, const N: usize> Deserialize<'de> for Names<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<const N: usize>;
        impl<'de, const N: usize> Visitor<'de> for Object<N> {
            type Value = Names<N>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Names::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut kept = Vec::new();
                while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
                    if kept.len() == N {
                        return Err(A::Error::custom(format!(
                            "an object has more than {N} members"
                        )));
                    }
                    kept.push(name);
                }
                Ok(Names(kept))
            }
        }
        deserializer.deserialize_any(Object)
    }
}
