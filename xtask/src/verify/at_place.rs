//! Images read from the OCI layout of the state.

use std::sync::Arc;

use camino::Utf8Path;

use super::kept::KeptLayers;
use super::layers::{Digest, FoundImages, Limits, Reading};
use crate::fault::{Fault, Result};
use crate::freshness::planner::Workspace;
use crate::outside::index::INDEX;
use crate::outside::push;
use crate::outside::state::CallFolder;

/// A folder that lists images of the layout and leads to its blobs: the layout itself lists none.
pub fn listed(work: &Workspace, digests: &[String]) -> Result<CallFolder> {
    let fault = |error: &dyn std::fmt::Display| {
        let folder = work.layout.folder();
        Fault::lacks(format!("cannot read images in {folder}: {error}"))
    };
    let calls = work.state.call_folder().map_err(|error| fault(&error))?;
    let list = |digest: &String| {
        let bytes = work.layout.read(digest)?;
        let is_index = !work.layout.manifest(digest)?.manifests.is_empty();
        let media_type = if is_index { INDEX } else { push::MANIFEST };
        Ok(serde_json::json!({"mediaType": media_type, "digest": digest, "size": bytes.len()}))
    };
    let listed: std::io::Result<Vec<_>> = digests.iter().map(list).collect();
    let listed = listed.map_err(|error| fault(&error))?;
    let top = serde_json::json!({"schemaVersion": 2, "manifests": listed}).to_string();
    let folder: &Utf8Path = calls.path();
    std::fs::write(folder.join("index.json"), top).map_err(|error| fault(&error))?;
    std::fs::write(
        folder.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .map_err(|error| fault(&error))?;
    let blobs = std::path::absolute(work.layout.folder().join("blobs"));
    let blobs = blobs.map_err(|error| fault(&error))?;
    std::os::unix::fs::symlink(blobs, folder.join("blobs")).map_err(|error| fault(&error))?;
    Ok(calls)
}

/// Reads images of the layout.
pub fn from_layout(
    work: &Workspace,
    digests: &[String],
    reading: Reading<'_>,
) -> Result<Vec<FoundImages>> {
    let listed = listed(work, digests)?;
    Ok(reading.folder(listed.path(), digests))
}

/// Reads images of the layout for nothing but whether they are whole: every layer must have the
/// digest that names it, and decompressed the one in the configuration. Layers that a verification
/// has read are not read again.
pub fn whole(work: &Workspace, digests: &[String]) -> Result<Vec<FoundImages>> {
    let kept = KeptLayers::of(&work.state);
    let reading = Reading {
        limits: Limits::default(),
        rules: &mut [],
        known: &|digest| kept.get(digest, &[]),
    };
    let found = from_layout(work, digests, reading)?;
    kept.keep(found.iter().flat_map(FoundImages::images));
    Ok(found)
}

/// Whether a verification has read the layer with this digest.
pub fn is_known_layer(work: &Workspace, digest: &str) -> bool {
    let kept = KeptLayers::of(&work.state);
    let digest: Option<Digest> = digest.parse().ok();
    digest
        .and_then(|digest| kept.get(&digest, &[]))
        .map(Arc::into_inner)
        .is_some()
}
