//! Layers that were read before, by digest.
//!
//! The content of a layer depends on its bytes alone. The findings of a rule in that layer depend
//! on the bytes and the rule's version. Both are kept, so that a base is not decompressed again for
//! every image that stands on it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use camino::Utf8PathBuf;

use crate::outside::state::{self, State};
use crate::unpoisoned::Unpoisoned as _;
use crate::verify::layers::{ContentRule, Digest, Layer, LayeredImage};

/// The kind of the files, which their first line names.
const KIND: &str = "xtask-layer";
/// Their format. 1: the first.
const FORMAT: u32 = 1;
/// A layer that no verification has used for this long is removed.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The kept layers of one graph.
#[derive(Debug)]
pub struct KeptLayers {
    folder: Utf8PathBuf,
    /// The layers that this run has used.
    used: Mutex<HashSet<Digest>>,
}

impl KeptLayers {
    /// The kept layers in this state folder.
    pub fn of(state: &State) -> Self {
        Self {
            folder: state.path("verified").join("layers"),
            used: Mutex::default(),
        }
    }

    fn file(&self, digest: &Digest) -> Utf8PathBuf {
        self.folder.join(digest.hex())
    }

    /// The layer with this digest, if all of these rules have looked at it. `None` for a file that
    /// is damaged or lacks a rule: the layer is then read again.
    pub fn get(&self, digest: &Digest, rules: &[Box<dyn ContentRule>]) -> Option<Arc<Layer>> {
        let sealed = state::read(&self.file(digest)).ok()??;
        let content = state::unseal(KIND, FORMAT, &sealed).ok()?;
        let layer = Layer::of_bytes(content)?;
        let is_it = layer.digest == *digest && layer.was_seen_by(rules);
        is_it.then(|| {
            self.used().insert(*digest);
            Arc::new(layer)
        })
    }

    fn used(&self) -> std::sync::MutexGuard<'_, HashSet<Digest>> {
        self.used.lock().unpoisoned()
    }

    /// Keeps the layers of these images and removes those that nothing has used for a month. Errors
    /// are ignored: a layer that is not kept is read again.
    pub fn keep<'i>(&self, images: impl Iterator<Item = &'i LayeredImage>) {
        for layer in images.flat_map(|image| &image.layers) {
            let file = self.file(&layer.digest);
            if self.used().insert(layer.digest) {
                if let Some(bytes) = layer.to_bytes() {
                    let _ = state::write_sealed(&file, KIND, FORMAT, &[&bytes]);
                }
            } else {
                // The file's time says when the layer was last used.
                let file = std::fs::File::options().write(true).open(&file);
                let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
            }
        }
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return;
        };
        for entry in entries.flatten() {
            let modified = entry.metadata().and_then(|meta| meta.modified());
            let age = modified.ok().and_then(|time| time.elapsed().ok());
            if age.is_some_and(|age| age > UNUSED) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}
