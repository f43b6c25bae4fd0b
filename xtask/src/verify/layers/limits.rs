//! The limits on what is read of an image.

/// Bounds on time and memory. An image beyond one of them counts as not read whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Uncompressed bytes of one layer, holes of sparse files included.
    pub layer: u64,
    /// Uncompressed bytes of all layers of one reading.
    pub total: u64,
    /// Uncompressed bytes for each compressed byte. Gzip reaches 1,032, on zeros only.
    pub ratio: u64,
    /// The ratio is not checked while a layer has at most this many uncompressed bytes.
    pub ratio_from: u64,
    /// Entries of one layer.
    pub entries: usize,
    /// Bytes of all names of one layer, link targets included.
    pub names: usize,
    /// Bytes of one name. Linux takes no longer path.
    pub name: usize,
    /// Bytes of one extended header. Go's reader refuses longer ones.
    pub header: u64,
    /// Data segments of one sparse file.
    pub segments: usize,
    /// Bytes of one manifest or configuration.
    pub document: u64,
    /// Bytes of all manifests and configurations of one reading.
    pub documents: u64,
    /// Blobs of one reading.
    pub blobs: usize,
    /// Layers of one image. Overlay file systems take 500 at most.
    pub layers: usize,
    /// How far back a zstd frame may refer. The decoder keeps this many bytes in memory.
    pub window: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            layer: 64 << 30,
            total: 256 << 30,
            ratio: 200,
            ratio_from: 1 << 30,
            entries: 2_000_000,
            names: 128 << 20,
            name: 4096,
            header: 1 << 20,
            segments: 1 << 16,
            document: 8 << 20,
            documents: 64 << 20,
            blobs: 20_000,
            layers: 500,
            window: 64 << 20,
        }
    }
}
