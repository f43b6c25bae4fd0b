//! Puts small images into a real registry, over the registry's own protocol. If the engine pushed
//! them, its builder would already know them.

use serde_json::json;
use ureq::Agent;

use super::registry::digest;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Puts an image with one file, `/id`, under `name:tag`. The file has its own content for each
/// platform. Returns the digest of the whole.
pub fn push(registry: &str, name: &str, platforms: &[(&str, &str)]) -> String {
    let (repository, tag) = name.rsplit_once(':').unwrap();
    let base = format!("http://{registry}/v2/{repository}");
    let agent = Agent::new_with_defaults();
    let blob = |bytes: &[u8]| {
        let begun = agent
            .post(format!("{base}/blobs/uploads/"))
            .send_empty()
            .unwrap();
        let place = begun.headers()["location"].to_str().unwrap().to_owned();
        let joint = if place.contains('?') { '&' } else { '?' };
        let url = format!("{place}{joint}digest={}", digest(bytes));
        agent.put(url).send(bytes).unwrap();
        json!({"digest": digest(bytes), "size": bytes.len()})
    };
    let put = |name: &str, kind: &str, bytes: &[u8]| {
        let url = format!("{base}/manifests/{name}");
        agent.put(url).content_type(kind).send(bytes).unwrap();
        digest(bytes)
    };
    let mut entries = Vec::new();
    for (platform, content) in platforms {
        let (os, arch) = platform.split_once('/').unwrap();
        let layer = tar("id", content.as_bytes());
        let config = json!({
            "architecture": arch, "os": os, "created": "2026-11-20T10:00:00Z", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
        });
        let mut layer = blob(&layer);
        layer["mediaType"] = "application/vnd.oci.image.layer.v1.tar".into();
        let mut config = blob(&serde_json::to_vec(&config).unwrap());
        config["mediaType"] = "application/vnd.oci.image.config.v1+json".into();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer],
        });
        let manifest = serde_json::to_vec(&manifest).unwrap();
        put(&digest(&manifest), MANIFEST, &manifest);
        entries.push(json!({
            "mediaType": MANIFEST, "digest": digest(&manifest), "size": manifest.len(),
            "platform": {"os": os, "architecture": arch},
        }));
    }
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
    put(tag, INDEX, &serde_json::to_vec(&index).unwrap())
}

/// A tar archive with one file (POSIX.1-1988's ustar).
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut field =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    field(0, name);
    field(100, "0000644");
    field(108, "0000000");
    field(116, "0000000");
    field(124, &format!("{:011o}", content.len()));
    field(136, "00000000000");
    field(148, "        ");
    field(156, "0");
    field(257, "ustar\u{0}00");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\u{0} ").as_bytes());
    let mut archive = header.to_vec();
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    archive
}
