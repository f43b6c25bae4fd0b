//! What changed since an earlier image, folder by folder.
//!
//! The folder sizes of each image that passed are kept. Of an image with many folders only the
//! heavy ones are kept, so that the file stays small.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::count::{Contents, Weight, folders, is_most};
use super::{ImageSize, Maker, SizedFolder};
use crate::outside::state::{self, State};
use crate::verify::finding::Origin;
use crate::verify::layers::{LayeredImage, View};

/// The kind of the files.
const KIND: &str = "xtask-sizes";
/// Their format. 1: the first.
const FORMAT: u32 = 1;

/// What is kept of one stage's image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSizes {
    /// The image's id.
    pub image: String,
    /// When the image was verified.
    pub at: String,
    /// One summary for each platform.
    pub platforms: BTreeMap<String, Summary>,
}

/// The sizes of one platform's folders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Folders with fewer bytes are left out.
    floor: u64,
    /// Bytes of all archives, uncompressed.
    plain: u64,
    /// The folders by path. The root's path is empty.
    folders: BTreeMap<String, Weight>,
    /// The layers, lowest first. Files of earlier programs have none.
    #[serde(default)]
    layers: Vec<LayerSummary>,
}

/// A layer, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerSummary {
    /// The digest of its blob.
    pub digest: String,
    /// Bytes of its archive, uncompressed.
    pub plain: u64,
    /// Who made it.
    pub from: Origin,
    /// The line of the stage's own Dockerfile.
    pub line: Option<usize>,
    /// The instruction that made it, in a form that may be shown.
    pub instruction: String,
}

/// What changed since an earlier image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Since {
    /// The earlier image's id.
    pub image: String,
    /// When the earlier image was verified.
    pub at: String,
    /// Whether the image is the earlier image.
    pub is_same: bool,
    /// Bytes of all archives of the earlier image, uncompressed.
    pub plain: u64,
    /// Folders whose content grew or shrank, the greatest change first.
    pub folders: Vec<SizeChange>,
}

/// A folder that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SizeChange {
    /// Its path, without a leading slash.
    pub path: String,
    /// What the folder held before. `None` if it did not exist or was too small to be kept.
    pub before: Option<Weight>,
    /// What the folder holds now. `None` if it does not exist or is too small.
    pub after: Option<Weight>,
    /// Whether one folder in it accounts for nearly the whole change.
    #[serde(skip)]
    pub is_shell: bool,
}

impl SizeChange {
    /// By how many bytes the folder changed.
    pub fn delta(&self) -> i128 {
        let bytes = |weight: Option<Weight>| weight.map_or(0, |weight| i128::from(weight.bytes));
        bytes(self.after) - bytes(self.before)
    }
}

impl Summary {
    /// The summary of an image. There is one maker for each layer.
    pub fn of(image: &LayeredImage, view: &View<'_>, makers: &[Maker]) -> Self {
        let (floor, folders) = folders(&Contents::of(view));
        let plain = image.layers.iter().map(|layer| layer.plain).sum();
        let layers = image.layers.iter().zip(makers);
        let layers = layers.map(|(layer, maker)| LayerSummary {
            digest: layer.digest.to_string(),
            plain: layer.plain,
            from: maker.from,
            line: maker.line,
            instruction: maker.instruction.clone(),
        });
        Self {
            layers: layers.collect(),
            ..Self::from(floor, plain, &folders)
        }
    }

    /// Bytes of all archives, uncompressed.
    pub const fn plain(&self) -> u64 {
        self.plain
    }

    /// The layers, lowest first.
    pub fn layers(&self) -> &[LayerSummary] {
        &self.layers
    }

    /// The heaviest folders. A folder with one that holds nearly all of its bytes is left out, as
    /// that one says more.
    pub fn heaviest(&self, most: usize) -> Vec<(&str, Weight)> {
        let within = |folder: &str, path: &str| {
            let inner = path.strip_prefix(folder);
            inner.is_some_and(|inner| inner.len() > 1 && inner.starts_with('/'))
        };
        let is_shell = |folder: &str, weight: Weight| {
            let inner = self.folders.iter().filter(|(path, _)| within(folder, path));
            is_most(inner.map(|(_, weight)| weight.bytes).max(), weight.bytes)
        };
        let folders = self
            .folders
            .iter()
            .filter(|(path, weight)| !path.is_empty() && !is_shell(path, **weight));
        let mut folders: Vec<(&str, Weight)> = folders
            .map(|(path, weight)| (path.as_str(), *weight))
            .collect();
        folders.sort_by_key(|(path, weight)| (std::cmp::Reverse(weight.bytes), *path));
        folders.truncate(most);
        folders
    }

    fn from(floor: u64, plain: u64, folders: &[SizedFolder]) -> Self {
        let folders = folders.iter();
        let folders = folders.map(|folder| (folder.path.clone(), folder.weight));
        Self {
            floor,
            plain,
            folders: folders.collect(),
            layers: Vec::new(),
        }
    }

    /// What changed from this image to a later one. Changes below the larger floor of the two are
    /// left out, as folders of that size may be listed in one image only.
    pub(super) fn to(&self, later: &Self) -> Vec<SizeChange> {
        let floor = self.floor.max(later.floor);
        let paths = self.folders.keys().chain(later.folders.keys());
        let mut paths: Vec<&String> = paths.collect();
        paths.sort_unstable();
        paths.dedup();
        let changes = paths.into_iter().filter_map(|path| {
            let change = SizeChange {
                path: path.clone(),
                before: self.folders.get(path).copied(),
                after: later.folders.get(path).copied(),
                is_shell: path.is_empty(),
            };
            let delta = change.delta().unsigned_abs();
            (change.before != change.after && delta >= u128::from(floor)).then_some(change)
        });
        let mut changes: Vec<SizeChange> = changes.collect();
        let mut greatest: HashMap<String, u64> = HashMap::new();
        let size =
            |change: &SizeChange| u64::try_from(change.delta().unsigned_abs()).unwrap_or(u64::MAX);
        for change in changes.iter().filter(|change| !change.path.is_empty()) {
            let parent = change
                .path
                .rsplit_once('/')
                .map_or("", |(parent, _)| parent);
            let most = greatest.entry(parent.to_owned()).or_default();
            *most = size(change).max(*most);
        }
        for change in &mut changes {
            let part = greatest.get(&change.path).copied();
            change.is_shell |= is_most(part, size(change));
        }
        changes.sort_by(|one, other| {
            let greater = size(other).cmp(&size(one));
            greater.then_with(|| one.path.cmp(&other.path))
        });
        changes
    }
}

impl KeptSizes {
    /// What changed from the kept image to this image of the stage.
    pub fn since(&self, image: &str, size: &ImageSize) -> Option<Since> {
        let before = self.platforms.get(&size.platform)?;
        Some(Since {
            image: self.image.clone(),
            at: self.at.clone(),
            is_same: self.image == image,
            plain: before.plain,
            folders: before.to(&Summary::from(size.floor, size.plain, &size.folders)),
        })
    }

    /// The sizes of the stage's last image that passed, if they can be read.
    pub fn recall(state: &State, stage: &str) -> Option<Self> {
        let sealed = state::read(&file(state, stage)).ok()??;
        let content = state::unseal(KIND, FORMAT, &sealed).ok()?;
        serde_json::from_slice(content).ok()
    }

    /// Replaces the sizes that are kept of the stage.
    pub fn save(&self, state: &State, stage: &str) -> std::io::Result<()> {
        let content = serde_json::to_vec(self)?;
        state::write_sealed(&file(state, stage), KIND, FORMAT, &[&content])
    }
}

fn file(state: &State, stage: &str) -> camino::Utf8PathBuf {
    let name = &blake3::hash(stage.as_bytes()).to_hex()[..16];
    state.path("verified").join("sizes").join(name)
}
