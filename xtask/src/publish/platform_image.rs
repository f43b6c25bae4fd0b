//! An image that is to be published, for one platform.

use crate::freshness::record::Record;
use crate::graphfile::spec::StageId;
use crate::outside::index::ManifestEntry;

/// An image for one platform, whole in the layout.
pub struct PlatformImage<'r> {
    /// The part, or the stage itself.
    pub id: StageId,
    /// Its record.
    pub record: &'r Record,
    /// `linux/arm64`.
    pub platform: String,
    /// Its manifest.
    pub entry: ManifestEntry,
    /// The digest of its configuration.
    pub config: String,
}
