//! An image index: one name for the images of several platforms
//! (github.com/opencontainers/image-spec, `image-index.md`).

use std::collections::BTreeMap;
use std::io::Write;

use serde::{Deserialize, Serialize};

/// The media type of an index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The manifest of an image for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestEntry {
    /// What the manifest is.
    pub media_type: String,
    /// `sha256:…`
    pub digest: String,
    /// In bytes.
    pub size: u64,
    /// The platform of its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<OciPlatform>,
    /// Notes of whoever made it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A platform as an index writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OciPlatform {
    /// `amd64`
    pub architecture: String,
    /// `linux`
    pub os: String,
    /// `v7`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl OciPlatform {
    /// Reads `linux/arm/v7`.
    pub fn of(platform: &str) -> Self {
        let normal = reference::platform::normal(platform);
        let normal = normal.as_deref().unwrap_or(platform);
        let mut words = normal.split('/').map(str::to_owned);
        let os = words.next().unwrap_or_default();
        Self {
            architecture: words.next().unwrap_or_default(),
            os,
            variant: words.next(),
        }
    }

    /// The usual spelling, such as `linux/arm64`. `None` if it is no platform.
    pub fn normal(&self) -> Option<String> {
        let variant = self.variant.iter().map(String::as_str);
        let words = [self.os.as_str(), &self.architecture].into_iter();
        let words: Vec<&str> = words.chain(variant).collect();
        reference::platform::normal(&words.join("/"))
    }
}

/// An index as bytes, with its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The JSON. The same manifests in the same order give the same bytes.
    pub bytes: Vec<u8>,
    /// `sha256:…`
    pub digest: String,
}

impl Index {
    /// The index of these manifests.
    pub fn of(manifests: &[ManifestEntry]) -> Self {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Whole<'m> {
            schema_version: u32,
            media_type: &'m str,
            manifests: &'m [ManifestEntry],
        }
        let whole = Whole {
            schema_version: 2,
            media_type: INDEX,
            manifests,
        };
        // A struct of texts and numbers is always JSON.
        let bytes = serde_json::to_vec(&whole).unwrap_or_default();
        let digest = digest(&bytes);
        Self { bytes, digest }
    }

    /// It as a manifest of its own.
    pub fn entry(&self) -> ManifestEntry {
        ManifestEntry {
            media_type: INDEX.to_owned(),
            digest: self.digest.clone(),
            size: self.bytes.len() as u64,
            platform: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// The digest of bytes: `sha256:…`.
pub fn digest(bytes: &[u8]) -> String {
    told(&ring::digest::digest(&ring::digest::SHA256, bytes))
}

fn told(digest: &ring::digest::Digest) -> String {
    use std::fmt::Write as _;
    let mut text = "sha256:".to_owned();
    for byte in digest.as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Finds out the digest of what is written through it.
pub struct Digester<W> {
    sink: W,
    hash: ring::digest::Context,
    size: u64,
}

impl<W: Write> Digester<W> {
    /// Writes go on to `sink`.
    pub fn new(sink: W) -> Self {
        Self {
            sink,
            hash: ring::digest::Context::new(&ring::digest::SHA256),
            size: 0,
        }
    }

    /// The digest and the number of bytes.
    pub fn finish(mut self) -> std::io::Result<(String, u64)> {
        self.sink.flush()?;
        Ok((told(&self.hash.finish()), self.size))
    }
}

impl<W: Write> Write for Digester<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.sink.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.sink.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_written_in_its_normal_form() {
        let of = |text: &str| {
            let OciPlatform {
                architecture,
                os,
                variant,
            } = OciPlatform::of(text);
            (os, architecture, variant)
        };
        let (linux, v7) = ("linux".to_owned(), Some("v7".to_owned()));
        assert_eq!(
            of("linux/aarch64"),
            (linux.clone(), "arm64".to_owned(), None)
        );
        assert_eq!(of("linux/arm/v7"), (linux, "arm".to_owned(), v7));
    }

    #[test]
    fn an_index_names_its_manifests_in_order() {
        let part = |digest: &str, platform: &str| ManifestEntry {
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            digest: digest.to_owned(),
            size: 7,
            platform: Some(OciPlatform::of(platform)),
            annotations: BTreeMap::new(),
        };
        let parts = [
            part("sha256:a", "linux/amd64"),
            part("sha256:b", "linux/arm64"),
        ];
        let index = Index::of(&parts);
        assert_eq!(index, Index::of(&parts));
        let read: serde_json::Value = serde_json::from_slice(&index.bytes).unwrap();
        assert_eq!(read["manifests"][1]["platform"]["architecture"], "arm64");
        assert_eq!(read["manifests"][0]["digest"], "sha256:a");
    }
}
