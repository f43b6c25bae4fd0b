//! What an image contains (SPDX 2.3, "Package information"; `CycloneDX` 1.6, "components").

use std::fmt;

use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::error::{Error, shown};
use crate::predicate::PredicateType;

/// The packages that a bill of materials lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packages {
    /// The format of the list.
    pub format: BillFormat,
    /// The version of the format, as the list spells it: `SPDX-2.3`, `1.5`.
    pub version: String,
    /// How many packages the list has. `CycloneDX` nests components; each one counts.
    pub count: usize,
    /// The first packages that have a name.
    pub first: Vec<Package>,
}

/// The format of a bill of materials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BillFormat {
    /// SPDX 2, as JSON.
    Spdx,
    /// `CycloneDX`, as JSON.
    CycloneDx,
}

/// A package, for a report. Long texts are cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, if the list says it.
    pub version: Option<String>,
}

/// Reads the packages of a statement. `None` if its type is another.
pub(crate) fn read(
    place: &str,
    kind: &PredicateType,
    bytes: &[u8],
    few: usize,
) -> Result<Option<Packages>, Error> {
    let place = format!("the list of packages in {place}");
    let (format, names) = match kind {
        PredicateType::Spdx => (BillFormat::Spdx, &SPDX),
        PredicateType::CycloneDx => (BillFormat::CycloneDx, &CYCLONE_DX),
        _ => return Ok(None),
    };
    let mut found = Found {
        few,
        ..Found::default()
    };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let walk = Walk {
        names,
        found: &mut found,
        depth: Depth::Statement,
    };
    let read = walk.deserialize(&mut json).and_then(|()| json.end());
    read.map_err(|error| Error::json(&place, &error))?;
    let Some(version) = found.version.map(|version| shown(&version)) else {
        return Err(Error::unfit(place, format!("has no {}", names.version)));
    };
    if format == BillFormat::Spdx && !version.starts_with("SPDX-2.") {
        return Err(Error::unfit(place, format!("is '{version}', not SPDX 2")));
    }
    Ok(Some(Packages {
        format,
        version,
        count: found.count,
        first: found.first,
    }))
}

/// The names of the fields in a format.
struct Fields {
    version: &'static str,
    list: &'static str,
    package_version: &'static str,
    /// The field of a package that holds further packages.
    nested: Option<&'static str>,
}

/// SPDX 2.3, "Document creation information" and "Package information".
const SPDX: Fields = Fields {
    version: "spdxVersion",
    list: "packages",
    package_version: "versionInfo",
    nested: None,
};
/// `CycloneDX` 1.6, "specVersion" and "components".
const CYCLONE_DX: Fields = Fields {
    version: "specVersion",
    list: "components",
    package_version: "version",
    nested: Some("components"),
};

#[derive(Default)]
struct Found {
    few: usize,
    version: Option<String>,
    count: usize,
    first: Vec<Package>,
}

/// Where in the statement the walk is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Statement,
    Document,
    List,
    Package,
}

/// Walks through a statement and keeps only what is asked for, however long it is.
struct Walk<'a> {
    names: &'a Fields,
    found: &'a mut Found,
    depth: Depth,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.depth {
            Depth::List => "a list of packages",
            Depth::Statement | Depth::Document | Depth::Package => "an object",
        })
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        match self.depth {
            Depth::List => Ok(()),
            _ => Err(E::custom("null is not an object")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if self.depth != Depth::List {
            return Err(A::Error::custom("a list is not an object"));
        }
        while let Some(()) = list.next_element_seed(Walk {
            names: self.names,
            found: &mut *self.found,
            depth: Depth::Package,
        })? {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Walk {
            names,
            found,
            depth,
        } = self;
        // A package comes before those that are nested in it, so its place is taken first.
        let place = found.first.len();
        let is_wanted = depth == Depth::Package && place < found.few;
        let (mut name, mut version, mut lists) = (None, None, 0);
        if depth == Depth::Package {
            found.count += 1;
        }
        while let Some(key) = map.next_key::<String>()? {
            let key = key.as_str();
            let below = match depth {
                Depth::List => return Err(A::Error::custom("an object is not a list")),
                Depth::Statement => (key == "predicate").then_some(Depth::Document),
                Depth::Document => (key == names.list).then_some(Depth::List),
                Depth::Package => (names.nested == Some(key)).then_some(Depth::List),
            };
            if let Some(depth) = below {
                lists += 1;
                if lists > 1 {
                    return Err(A::Error::custom(format!("'{key}' occurs twice")));
                }
                map.next_value_seed(Walk {
                    names,
                    found: &mut *found,
                    depth,
                })?;
            } else if depth == Depth::Document && key == names.version {
                found.version = Some(map.next_value()?);
            } else if is_wanted && key == "name" {
                name = map.next_value::<Lenient>()?.0;
            } else if is_wanted && key == names.package_version {
                version = map.next_value::<Lenient>()?.0;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        if let (true, Some(name)) = (is_wanted, name) {
            let place = place.min(found.first.len());
            found.first.insert(place, Package { name, version });
            found.first.truncate(found.few);
        }
        Ok(())
    }
}

/// A text that may be `null`, cut for a report.
#[derive(Deserialize)]
#[serde(from = "Option<String>")]
struct Lenient(Option<String>);

impl From<Option<String>> for Lenient {
    fn from(text: Option<String>) -> Self {
        Self(
            text.filter(|text| !text.is_empty())
                .map(|text| shown(&text)),
        )
    }
}
