//! What the bytes of an image are.
//!
//! Knows how to count what layers hold: which folders and files weigh most, what is shipped and
//! cannot be read any more, what is stored twice, what kinds of files could be left out, and what
//! changed since an earlier image. Is unaware of policy, of stages and of where images come from.
//!
//! Sizes of files are those of their contents, holes included. Names that are hard links of each
//! other share one content, which counts once, at the first of its names.

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

pub use change::{KeptSizes, Since, SizeChange, Summary};
pub use count::Weight;
pub use groups::Group;
pub use told::{Told, comparison, text};
pub use waste::{Duplicate, Overwritten, Shadow};

/// How many files are listed.
const FILES: usize = 100;

/// Who made a layer, as the caller knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maker {
    /// Who.
    pub from: Origin,
    /// The line of the stage's own Dockerfile.
    pub line: Option<usize>,
    /// The instruction, in a form that may be shown.
    pub instruction: String,
}

/// One layer.
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
    /// Bytes of its archive, unpacked: files and their headers.
    pub plain: u64,
    /// Bytes of its blob, as the source has it.
    pub stored: u64,
    /// How that blob is compressed: `none`, `gzip`, `zstd`.
    pub compression: &'static str,
    /// All its files.
    pub files: Weight,
    /// Bytes of those files that no path of the image leads to any more.
    pub shadowed: u64,
}

/// All that is known of one image's size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageSize {
    /// The platform, as `linux/amd64`.
    pub platform: String,
    /// Its layers, lowest first.
    pub layers: Vec<LayerSize>,
    /// Bytes of all archives, unpacked.
    pub plain: u64,
    /// Bytes of all blobs, as the source has them.
    pub stored: u64,
    /// What a container sees: bytes of files, and how many.
    pub visible: Weight,
    /// The bytes below which folders are left out of `folders`; 0 when all are there.
    pub floor: u64,
    /// Folders with all that is in them.
    pub folders: Vec<SizedFolder>,
    /// The heaviest files.
    pub files: Vec<SizedFile>,
    /// Bytes that are downloaded, and no path leads to them.
    pub shadowed: u64,
    /// Those by the layers that ship and hide them, the most first.
    pub shadows: Vec<Shadow>,
    /// The same by path.
    pub overwritten: Vec<Overwritten>,
    /// Bytes of the second and further copies of a content.
    pub duplicated: u64,
    /// Contents that stand at several paths as separate files, the most costly first.
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
    /// Its content.
    #[serde(flatten)]
    pub weight: Weight,
    /// Whether one folder in it holds nearly all of it, so that naming that one is enough.
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
    /// The position of the layer that it is in.
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

    /// How the layers are compressed in the source: `gzip`, or `gzip and none`.
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

/// A path for people and for JSON.
fn path(path: &[u8]) -> String {
    shown(path)
}
