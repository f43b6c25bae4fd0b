//! Where an image is: the handle by which a record finds it again.

use camino::Utf8Path;

/// The scheme of the handle of an image in a registry. No name in an engine begins with it.
const REGISTRY: &str = "registry://";
/// The scheme of the handle of an image in the OCI layout of the state folder.
const LAYOUT: &str = "oci-layout://";

/// The place of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImagePlace {
    /// The engine's store, under this reference.
    Engine(String),
    /// A registry: `host/path@sha256:…`.
    Registry(String),
    /// The OCI layout of the state folder, by the digest of the manifest or index.
    Layout(String),
}

impl ImagePlace {
    /// Reads a handle. A handle without a scheme is a reference in the engine's store.
    pub fn of(handle: &str) -> Self {
        if let Some(reference) = handle.strip_prefix(REGISTRY) {
            Self::Registry(reference.to_owned())
        } else if let Some(digest) = handle.strip_prefix(LAYOUT) {
            Self::Layout(digest.to_owned())
        } else {
            Self::Engine(handle.to_owned())
        }
    }

    /// What buildx takes for the image as a named context. `layout` is the folder of the layout.
    pub fn context(&self, layout: &Utf8Path) -> String {
        match self {
            Self::Engine(reference) | Self::Registry(reference) => {
                format!("docker-image://{reference}")
            }
            Self::Layout(digest) => format!("oci-layout://{layout}@{digest}"),
        }
    }

    /// The place for people.
    pub fn shown(&self) -> String {
        match self {
            Self::Engine(reference) | Self::Registry(reference) => reference.clone(),
            Self::Layout(digest) => format!("{digest} of the OCI layout"),
        }
    }

    /// The handle.
    pub fn handle(&self) -> String {
        match self {
            Self::Engine(reference) => reference.clone(),
            Self::Registry(reference) => format!("{REGISTRY}{reference}"),
            Self::Layout(digest) => format!("{LAYOUT}{digest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_says_where_an_image_is() {
        for place in [
            ImagePlace::Engine("localhost:1/xtask/0/a:1".to_owned()),
            ImagePlace::Registry("r.example/t/images@sha256:1".to_owned()),
            ImagePlace::Layout("sha256:1".to_owned()),
        ] {
            assert_eq!(ImagePlace::of(&place.handle()), place);
        }
    }
}
