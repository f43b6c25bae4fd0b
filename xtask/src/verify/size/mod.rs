//! Counts what the bytes of an image are: which folders and files weigh most, which bytes are
//! shipped and can no longer be read, which contents are stored twice, which kinds of files could
//! be left out, and what changed since an earlier image.
//!
//! The size of a file is that of its content, holes included. Hard links share one content, which
//! counts once, at the first of its names.

mod change;
mod count;
mod groups;
mod told;
mod waste;

#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::verify::finding::Origin;
use crate::verify::layers::{Compression, LayeredImage, View, shown};

pub use change::{KeptSizes, LayerSummary, Since, SizeChange, Summary};
pub use count::Weight;
pub use groups::Group;
pub use told::{Told, comparison, text};
pub use waste::{Duplicate, Overwritten, Shadow};

/// How many files are listed.
const FILES: usize = 100;

/// Who made a layer, as the caller found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maker {
    /// Who made it.
    pub from: Origin,
    /// The line of the stage's own Dockerfile.
    pub line: Option<usize>,
    /// The instruction, in a form that may be shown.
    pub instruction: String,
}

/// A layer and its sizes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerSize {
    /// Its position; the lowest is 0.
    pub number: usize,
    /// The digest of its blob.
    pub digest: String,
    /// Who made it.
    pub from: Origin,
    /// The line of the stage's own Dockerfile.
    pub line: Option<usize>,
    /// The instruction that made it.
    pub instruction: String,
    /// Bytes of its archive, uncompressed: files and their headers.
    pub plain: u64,
    /// Bytes of its blob, as the source has it.
    pub stored: u64,
    /// How the blob is compressed: `none`, `gzip`, `zstd`.
    pub compression: &'static str,
    /// All its files.
    pub files: Weight,
    /// Bytes of those files that no path of the image leads to any more.
    pub shadowed: u64,
}

/// The sizes of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageSize {
    /// The platform, as `linux/amd64`.
    pub platform: String,
    /// Its layers, lowest first.
    pub layers: Vec<LayerSize>,
    /// Bytes of all archives, uncompressed.
    pub plain: u64,
    /// Bytes of all blobs, as the source has them.
    pub stored: u64,
    /// The files that a container sees.
    pub visible: Weight,
    /// Folders with fewer bytes are left out of `folders`. 0 if all folders are listed.
    pub floor: u64,
    /// Folders with all that is in them.
    pub folders: Vec<SizedFolder>,
    /// The heaviest files.
    pub files: Vec<SizedFile>,
    /// Bytes that are downloaded although no path leads to them.
    pub shadowed: u64,
    /// Those bytes by the layers that ship and hide them, the most first.
    pub shadows: Vec<Shadow>,
    /// Those bytes by path.
    pub overwritten: Vec<Overwritten>,
    /// Bytes of all copies of a content but the first.
    pub duplicated: u64,
    /// Contents that several separate files have, the most costly first.
    pub duplicates: Vec<Duplicate>,
    /// Kinds of files that an image can often do without.
    pub groups: Vec<Group>,
    /// What changed since an earlier image of the same platform.
    pub since: Option<Since>,
}

/// A folder with all that is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SizedFolder {
    /// Its path, without a leading slash.
    pub path: String,
    /// The weight of everything in the folder.
    #[serde(flatten)]
    pub weight: Weight,
    /// Whether one folder in it holds nearly all of its bytes, so that naming that folder is
    /// enough.
    #[serde(skip)]
    pub is_shell: bool,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SizedFile {
    /// The first of its paths, without a leading slash.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
    /// The position of its layer.
    pub layer: usize,
}

impl ImageSize {
    /// Counts an image. There is one maker for each layer.
    pub fn of(image: &LayeredImage, view: &View<'_>, makers: &[Maker]) -> Self {
        let contents = count::Contents::of(view);
        let (shadows, overwritten) = waste::overwritten(view);
        let duplicates = waste::duplicates(view, &contents);
        let layers = layers(image, view, makers);
        let (floor, folders) = count::folders(&contents);
        Self {
            platform: image.facts.platform(),
            plain: layers.iter().map(|layer| layer.plain).sum(),
            stored: layers.iter().map(|layer| layer.stored).sum(),
            layers,
            visible: contents.total(),
            floor,
            folders,
            files: contents.heaviest(view, FILES),
            shadowed: shadows.iter().map(|shadow| shadow.weight.bytes).sum(),
            shadows,
            overwritten,
            duplicated: duplicates.iter().map(|same| same.wasted).sum(),
            duplicates,
            groups: groups::of(&contents),
            since: None,
        }
    }

    /// How the source compresses the layers: `gzip`, or `gzip and none`.
    pub fn compression(&self) -> String {
        let mut words: Vec<&str> = self.layers.iter().map(|layer| layer.compression).collect();
        words.sort_unstable();
        words.dedup();
        words.join(" and ")
    }
}

fn layers(image: &LayeredImage, view: &View<'_>, makers: &[Maker]) -> Vec<LayerSize> {
    let shadowed = view.shadowed();
    let all = image.layers.iter().enumerate();
    all.map(|(number, layer)| {
        let mut files = Weight::default();
        let entries = layer
            .table
            .entries()
            .filter(crate::verify::layers::Entry::is_file);
        entries.for_each(|file| files.add(file.size));
        let maker = makers.get(number);
        LayerSize {
            number,
            digest: layer.digest.to_string(),
            from: maker.map_or(Origin::Own, |maker| maker.from),
            line: maker.and_then(|maker| maker.line),
            instruction: maker.map_or_else(String::new, |maker| maker.instruction.clone()),
            plain: layer.plain,
            stored: layer.compressed,
            compression: match layer.compression {
                Compression::None => "none",
                Compression::Gzip => "gzip",
                Compression::Zstd => "zstd",
            },
            files,
            shadowed: shadowed[number],
        }
    })
    .collect()
}

/// A path as people and JSON read it.
fn path(path: &[u8]) -> String {
    shown(path)
}
