//! Reads images as streams: engine exports and OCI layouts, in one pass and without unpacking
//! anything. Gives layers, their entries, what rules find in them, and the file system that the
//! layers make together (README.md).

mod archive;
mod decompress;
mod digest;
mod entry;
mod error;
mod folder;
mod head;
mod image;
mod layer;
mod limits;
mod model;
mod path;
mod pipe;
mod reading;
mod rule;
mod scan;
mod shelf;
mod strict;
mod table;
mod tar;
#[cfg(test)]
mod tests;
mod view;

#[cfg(test)]
pub(in crate::verify) use tests::support as made;

pub use decompress::Compression;
pub use digest::Digest;
pub use entry::{Entry, Head, Interpreter, MemberKind};
pub use error::{Cause, Unread};
pub use image::{FoundImages, LayeredImage, PlatformPart};
pub use layer::Layer;
pub use limits::Limits;
pub use model::{ImageFacts, Instruction};
pub use path::shown;
pub use reading::Reading;
pub use rule::{ContentFinding, ContentRule, Findings, Wish};
pub use shelf::Known;
pub use table::FileTable;
pub use view::{LayerPlace, Node, PathChange, PathEvent, View};
