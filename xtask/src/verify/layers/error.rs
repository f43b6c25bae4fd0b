//! Why an image cannot be read whole.

use std::fmt;

use super::digest::Digest;

/// An image that was not read whole, and therefore not judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The name by which the image was asked for.
    pub image: String,
    /// The layer at fault, as the manifest names it.
    pub layer: Option<Digest>,
    /// What is wrong.
    pub cause: Cause,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read the image {} whole: ", self.image)?;
        if let Some(layer) = &self.layer {
            write!(f, "layer {layer} ")?;
        }
        write!(f, "{}; {}", self.cause, self.cause.remedy())
    }
}

impl std::error::Error for Unread {}

/// What is wrong with an image or with one of its layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The source has no such image.
    NoImage,
    /// The source does not have the layer's bytes.
    Absent,
    /// The source lacks the bytes, as the image leaves them on another server.
    Foreign {
        /// Where the image says they are.
        url: String,
    },
    /// The layer is encrypted.
    Encrypted {
        /// The layer's media type.
        media_type: String,
    },
    /// Engines do not unpack the layer's media type.
    MediaType {
        /// The media type.
        media_type: String,
    },
    /// The bytes are not an archive that engines unpack.
    NoArchive,
    /// The bytes do not have the digest that names them.
    WrongDigest {
        /// The digest of the bytes.
        is: Digest,
    },
    /// The uncompressed archive is not the one that the configuration names.
    WrongDiffId {
        /// The digest in the configuration.
        said: Digest,
        /// The digest of the uncompressed archive.
        is: Digest,
    },
    /// The compressed stream is damaged.
    Compression {
        /// The decoder's message.
        why: String,
    },
    /// The archive ends in the middle of an entry.
    Truncated,
    /// The archive breaks the rules of its format, or readers disagree on what it says.
    Archive {
        /// The entry that breaks the rules, or the entry before that place.
        entry: String,
        /// What is wrong with the archive.
        why: String,
    },
    /// The image exceeds a limit.
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A manifest, an index or a configuration is absent or wrong.
    Document {
        /// The document.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The source itself could not be read to its end.
    Source {
        /// The error of the source.
        why: String,
    },
    /// The user ended the run.
    Interrupted,
}

impl Cause {
    pub(super) fn archive(why: impl Into<String>) -> Self {
        Self::Archive {
            entry: String::new(),
            why: why.into(),
        }
    }

    pub(super) fn document(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Document {
            what: what.into(),
            why: why.into(),
        }
    }

    /// Adds the entry's name, unless the cause has one.
    pub(super) fn at(self, path: &[u8]) -> Self {
        match self {
            Self::Archive { entry, why } if entry.is_empty() => Self::Archive {
                entry: super::path::shown(path),
                why,
            },
            cause => cause,
        }
    }

    /// What a person can do.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::NoImage => "build or pull it, then verify again",
            Self::Absent | Self::WrongDigest { .. } | Self::WrongDiffId { .. } => {
                "remove the image with `docker image rm`, then build or pull it again"
            }
            Self::Foreign { .. } => {
                "build it on a base whose layers can all be pulled, or push the base to a registry with its foreign layers"
            }
            Self::Encrypted { .. } => "verify the image before it is encrypted",
            Self::MediaType { .. } | Self::NoArchive => {
                "build it with gzip, zstd or uncompressed layers (`--output type=image,compression=gzip`)"
            }
            Self::Compression { .. } | Self::Truncated | Self::Archive { .. } => {
                "build the layer again with `docker buildx build --no-cache`, or choose another base"
            }
            Self::TooMuch { .. } => "choose a base, or write build steps, that make smaller layers",
            Self::Document { .. } => "build the image again with `docker buildx build`",
            Self::Source { .. } => "see the engine's log, then verify again",
            Self::Interrupted => "verify again",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoImage => f.write_str("there is no such image"),
            Self::Absent => f.write_str("is absent"),
            Self::Foreign { url } => {
                write!(
                    f,
                    "is foreign: its bytes are only at {}",
                    url.escape_debug()
                )
            }
            Self::Encrypted { media_type } => {
                write!(f, "is encrypted ({})", media_type.escape_debug())
            }
            Self::MediaType { media_type } => {
                write!(
                    f,
                    "has the unknown media type `{}`",
                    media_type.escape_debug()
                )
            }
            Self::NoArchive => f.write_str("is neither a tar archive nor a compressed one"),
            Self::WrongDigest { is } => write!(f, "holds other bytes: their digest is {is}"),
            Self::WrongDiffId { said, is } => {
                write!(f, "unpacks to {is}, and the configuration says {said}")
            }
            Self::Compression { why } => write!(f, "cannot be decompressed: {why}"),
            Self::Truncated => f.write_str("ends in the middle of an entry"),
            Self::Archive { entry, why } if entry.is_empty() => {
                write!(f, "is a damaged archive: {why}")
            }
            Self::Archive { entry, why } => {
                write!(f, "is a damaged archive: {why}, at the entry `{entry}`")
            }
            Self::TooMuch { what, limit } => {
                write!(f, "has too much to read: {what} beyond {limit}")
            }
            Self::Document { what, why } => write!(f, "{what} {why}"),
            Self::Source { why } => write!(f, "the stream of images breaks off: {why}"),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}
