//! Reads manifests, indexes and image configurations, with the media types of Docker and OCI
//! (opencontainers/image-spec; distribution's "Image Manifest V 2, Schema 2").
//!
//! The bytes come from others, so nothing in them is trusted.

use serde::Deserialize;

use reference::is_sha256;

/// The accepted media types, for the Accept header.
pub const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// The content of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manifest {
    /// An index of images for several platforms.
    Index(Vec<Entry>),
    /// The manifest of one image.
    Image {
        /// The digest of its configuration, `sha256:…`.
        config: String,
    },
}

/// One image of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The digest of the image's manifest, `sha256:…`.
    pub digest: String,
    /// The platform in normal form. `None` if only the image's configuration says it.
    pub platform: Option<String>,
}

/// The content of an image's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Whether the image has ONBUILD triggers.
    pub onbuild: bool,
    /// The platform in normal form.
    pub platform: Option<String>,
    /// When the image was made, as RFC 3339. `None` for images that hide it.
    pub created: Option<String>,
}

/// The media type of a manifest. Servers that keep manifests as plain files send another one, so
/// the manifest's own word goes before those.
pub fn media_type(header: Option<&str>, body: &[u8]) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw {
        media_type: Option<String>,
        manifests: Option<serde::de::IgnoredAny>,
    }
    let sent = header.unwrap_or_default().split(';').next();
    let sent = sent.unwrap_or_default().trim();
    if sent.starts_with("application/vnd.") {
        return sent.to_owned();
    }
    let raw: Option<Raw> = serde_json::from_slice(body).ok();
    match raw {
        Some(Raw {
            media_type: Some(own),
            ..
        }) => own,
        Some(Raw {
            manifests: Some(_), ..
        }) => "application/vnd.oci.image.index.v1+json".to_owned(),
        _ => "application/vnd.oci.image.manifest.v1+json".to_owned(),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: u32,
    manifests: Option<Vec<RawEntry>>,
    config: Option<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

#[derive(Deserialize)]
struct RawEntry {
    digest: String,
    platform: Option<RawPlatform>,
    #[serde(default)]
    annotations: serde_json::Map<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct RawPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

impl RawEntry {
    /// Whether the entry is an attestation and not an image
    /// (docs.docker.com/build/metadata/attestations/attestation-storage).
    fn attests(&self) -> bool {
        let is_unknown =
            |platform: &RawPlatform| platform.os == "unknown" && platform.architecture == "unknown";
        self.annotations.contains_key("vnd.docker.reference.type")
            || self.platform.as_ref().is_some_and(is_unknown)
    }
}

impl RawPlatform {
    fn normal(&self) -> Option<String> {
        let Self {
            os,
            architecture,
            variant,
        } = self;
        let whole = match variant.as_deref() {
            None | Some("") => format!("{os}/{architecture}"),
            Some(variant) => format!("{os}/{architecture}/{variant}"),
        };
        reference::platform::normal(&whole)
    }
}

/// Reads a manifest. The error is a clause.
pub fn read(body: &[u8]) -> Result<Manifest, String> {
    let raw: Raw = serde_json::from_slice(body)
        .map_err(|error| format!("it is not a manifest (line {})", error.line()))?;
    if raw.schema_version != 2 {
        return Err(format!(
            "it is a manifest of the old schema {}, which current builders do not take",
            raw.schema_version
        ));
    }
    let checked = |digest: String| {
        if is_sha256(&digest) {
            Ok(digest)
        } else {
            Err("it names a part by something else than a SHA-256 digest".to_owned())
        }
    };
    match (raw.manifests, raw.config) {
        (Some(manifests), None) => {
            let images = manifests.into_iter().filter(|entry| !entry.attests());
            let entries = images.map(|entry| {
                Ok(Entry {
                    digest: checked(entry.digest)?,
                    platform: entry.platform.and_then(|platform| platform.normal()),
                })
            });
            Ok(Manifest::Index(entries.collect::<Result<_, String>>()?))
        }
        (None, Some(config)) => Ok(Manifest::Image {
            config: checked(config.digest)?,
        }),
        _ => Err("it is neither an image's manifest nor an index".to_owned()),
    }
}

/// Reads an image's configuration. The error is a clause.
pub fn read_config(body: &[u8]) -> Result<Config, String> {
    #[derive(Deserialize)]
    struct RawConfig {
        created: Option<String>,
        #[serde(flatten)]
        platform: RawPlatform,
    }
    let wrong = |error: serde_json::Error| {
        format!("its configuration is malformed (line {})", error.line())
    };
    let whole: serde_json::Value = serde_json::from_slice(body).map_err(wrong)?;
    let onbuild = has_triggers(&whole);
    let raw: RawConfig = serde_json::from_value(whole).map_err(wrong)?;
    // Reproducible images carry the first moment of a calendar instead of their date.
    let is_real =
        |time: &String| !time.starts_with("1970-01-01T00:00:0") && !time.starts_with("000");
    Ok(Config {
        onbuild,
        platform: raw.platform.normal(),
        created: raw.created.filter(is_real),
    })
}

/// Whether a configuration has ONBUILD triggers. Like Go, BuildKit reads field names in any case,
/// so any spelling counts, at any depth.
fn has_triggers(value: &serde_json::Value) -> bool {
    let serde_json::Value::Object(fields) = value else {
        return false;
    };
    fields.iter().any(|(name, value)| {
        let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        (name.eq_ignore_ascii_case("OnBuild") && !is_empty) || has_triggers(value)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(digit: &str) -> String {
        format!("sha256:{}", digit.repeat(64))
    }

    #[test]
    fn an_index_gives_its_images_and_leaves_attestations_out() {
        let (a, b, c, d) = (hex("a"), hex("b"), hex("c"), hex("d"));
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[
            {{"digest":"{a}","size":1,"platform":{{"os":"linux","architecture":"amd64"}}}},
            {{"digest":"{b}","size":1,"platform":{{"os":"linux","architecture":"arm64","variant":"v8"}}}},
            {{"digest":"{c}","size":1,"platform":{{"os":"unknown","architecture":"unknown"}},"annotations":{{"vnd.docker.reference.type":"attestation-manifest"}}}},
            {{"digest":"{d}","size":1}}]}}"#
        );
        let entry = |digest: String, platform: Option<&str>| Entry {
            digest,
            platform: platform.map(str::to_owned),
        };
        let expected = Manifest::Index(vec![
            entry(a, Some("linux/amd64")),
            entry(b, Some("linux/arm64")),
            entry(d, None),
        ]);
        assert_eq!(read(text.as_bytes()), Ok(expected));
    }

    #[test]
    fn a_manifest_gives_its_configuration_and_what_is_none_is_refused() {
        let config = hex("c");
        let text = format!(r#"{{"schemaVersion":2,"config":{{"digest":"{config}"}},"layers":[]}}"#);
        assert_eq!(read(text.as_bytes()), Ok(Manifest::Image { config }));
        for (wrong, why) in [
            ("", "it is not a manifest"),
            ("<html>", "it is not a manifest"),
            ("{}", "it is not a manifest"),
            (r#"{"schemaVersion":1}"#, "old schema"),
            (r#"{"schemaVersion":2}"#, "neither"),
            (
                r#"{"schemaVersion":2,"config":{"digest":"sha512:00"}}"#,
                "SHA-256",
            ),
            (
                r#"{"schemaVersion":2,"manifests":[{"digest":"../x"}]}"#,
                "SHA-256",
            ),
        ] {
            let error = read(wrong.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{wrong}: {error}");
        }
        for end in 0..text.len() {
            assert!(read(&text.as_bytes()[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn a_configuration_tells_triggers_platform_and_age() {
        let config = |text: &str| read_config(text.as_bytes());
        let full = r#"{"architecture":"arm","variant":"v7","os":"linux","created":"2026-01-02T03:04:05Z","config":{"OnBuild":["COPY . ."]}}"#;
        assert_eq!(
            config(full),
            Ok(Config {
                onbuild: true,
                platform: Some("linux/arm/v7".into()),
                created: Some("2026-01-02T03:04:05Z".into()),
            })
        );
        for none in [
            r#"{"config":null}"#,
            r#"{"config":{"OnBuild":[]}}"#,
            "{}",
            r#"{"config":{"OnBuild":null},"created":"1970-01-01T00:00:00Z"}"#,
        ] {
            let config = config(none).unwrap();
            assert!(!config.onbuild && config.created.is_none(), "{none}");
        }
        for (text, says) in [
            (r#"{"Config":{"onbuild":["RUN x"]}}"#, true),
            (r#"{"config":{"ONBUILD":["RUN x"],"OnBuild":[]}}"#, true),
            (r#"{"config":{"Labels":{"x":"OnBuild"}}}"#, false),
        ] {
            assert_eq!(config(text).unwrap().onbuild, says, "{text}");
        }
        assert!(config("[]").is_err());
    }

    #[test]
    fn a_media_type_is_the_servers_unless_it_keeps_plain_files() {
        let own = br#"{"mediaType":"application/vnd.own"}"#;
        let index = "application/vnd.oci.image.index.v1+json";
        let image = "application/vnd.oci.image.manifest.v1+json";
        for (header, body, is) in [
            (
                Some("application/vnd.x+json; charset=utf-8"),
                &own[..],
                "application/vnd.x+json",
            ),
            (Some("application/json"), own, "application/vnd.own"),
            (None, br#"{"manifests":[]}"#, index),
            (Some("text/plain"), b"{}", image),
            (None, b"", image),
        ] {
            assert_eq!(media_type(header, body), is, "{header:?}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_the_readers_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
            odd in r#"(\{|\}|\[|\]|,|:|"schemaVersion"|2|"manifests"|"config"|"digest"|"platform"|null|"é"){0,24}"#,
        ) {
            for body in [bytes.as_slice(), odd.as_bytes()] {
                let _ = read(body);
                let _ = read_config(body);
            }
        }
    }
}
