//! What can be wrong with an index, an attestation manifest or a statement, and where.

use std::fmt;

/// A fault, and the place of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Where the fault is: `entry 3 of the index`, `statement sha256:…`.
    pub place: String,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The bytes are not the JSON that they should be. The text is a clause with the line.
    Malformed(String),
    /// It is larger than this crate reads or writes.
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The largest size in bytes.
        limit: u64,
    },
    /// It has more parts than this crate reads or writes.
    TooMany {
        /// The largest number.
        limit: usize,
    },
    /// This is no SHA-256 digest.
    NoDigest(String),
    /// The source of blobs and manifests does not have it.
    Missing,
    /// Its bytes do not have the size or the digest that they should have.
    Damaged,
    /// It names another manifest than the one that it is attached to.
    OtherSubject {
        /// The digest of the manifest that it is attached to.
        wanted: String,
        /// Some of what it names instead.
        named: Vec<String>,
    },
    /// It names no manifest at all.
    NoSubject,
    /// The annotation of its layer and the statement itself give different predicate types.
    OtherType {
        /// The type in the annotation.
        annotated: String,
        /// The type in the statement.
        stated: String,
    },
    /// It is well-formed, but something that this crate does not take. The text is a clause.
    Unfit(String),
}

impl Error {
    pub(crate) fn new(place: impl Into<String>, problem: Problem) -> Self {
        Self {
            place: place.into(),
            problem,
        }
    }

    /// A fault of JSON. What the text holds is shown only in part.
    pub(crate) fn json(place: impl Into<String>, error: &serde_json::Error) -> Self {
        Self::new(place, Problem::Malformed(shown(&error.to_string())))
    }

    pub(crate) fn unfit(place: impl Into<String>, clause: impl Into<String>) -> Self {
        Self::new(place, Problem::Unfit(clause.into()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = &self.place;
        match &self.problem {
            Problem::Malformed(why) => write!(f, "{place} is malformed: {why}"),
            Problem::TooLarge { size, limit } => {
                write!(f, "{place} has {size} bytes, the limit is {limit}")
            }
            Problem::TooMany { limit } => write!(f, "{place} has more than {limit} parts"),
            Problem::NoDigest(text) => {
                write!(f, "{place} has '{}' for a sha256 digest", shown(text))
            }
            Problem::Missing => write!(f, "{place} is missing"),
            Problem::Damaged => write!(f, "{place} does not have the size and digest it should"),
            Problem::OtherSubject { wanted, named } => {
                let named = shown(&named.join(", "));
                write!(f, "{place} names {named}, but is attached to {wanted}")
            }
            Problem::NoSubject => write!(f, "{place} names no manifest"),
            Problem::OtherType { annotated, stated } => write!(
                f,
                "{place} is annotated as '{}', but states '{}'",
                shown(annotated),
                shown(stated)
            ),
            Problem::Unfit(clause) => write!(f, "{place} {clause}"),
        }
    }
}

impl std::error::Error for Error {}

/// Why an index could not be read or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError<E> {
    /// Something in the index is wrong, or in what it refers to.
    Content(Error),
    /// The caller's own error from fetching a part.
    Fetch(E),
}

impl<E> From<Error> for ReadError<E> {
    fn from(error: Error) -> Self {
        Self::Content(error)
    }
}

impl<E: fmt::Display> fmt::Display for ReadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content(error) => error.fmt(f),
            Self::Fetch(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for ReadError<E> {}

/// The most characters of somebody else's text that a message or a report shows.
const SHOWN: usize = 200;

/// Text of others, short and without control characters.
pub(crate) fn shown(text: &str) -> String {
    let mut characters = text.chars();
    let safe = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut short: String = characters.by_ref().take(SHOWN).map(safe).collect();
    if characters.next().is_some() {
        short.push('…');
    }
    short
}
