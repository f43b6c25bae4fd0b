//! Images: a whole archive, and a plain layer behind digests that are right.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xtask::verify::layers::{Digest, Found, Limits, Reading, View};

/// Small bounds, so that a run that keeps to them is a short one.
fn limits() -> Limits {
    Limits {
        layer: 8 << 20,
        total: 16 << 20,
        ratio_from: 1 << 20,
        window: 8 << 20,
        ..Limits::default()
    }
}

fn read(archive: &[u8]) -> Vec<Found> {
    let reading = Reading {
        limits: limits(),
        rules: &mut [],
        known: &|_| None,
    };
    reading.archive(archive, &[])
}

fn file(archive: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    let start = archive.len();
    archive.resize(start + 512, 0);
    let header = &mut archive[start..];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
    header[148..156].fill(b' ');
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    archive.extend_from_slice(bytes);
    archive.resize(archive.len().next_multiple_of(512), 0);
}

/// The layer with the checksum of each block made right, so that more than the first is read.
fn mended(layer: &[u8]) -> Vec<u8> {
    let mut layer = layer.to_vec();
    for header in layer.chunks_exact_mut(512) {
        if header[500] & 1 == 1 {
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        }
    }
    layer
}

fuzz_target!(|data: &[u8]| {
    read(data);
    for layer in [data.to_vec(), mended(data)] {
        let digest = Digest::of(&layer);
        let config = format!("{{\"rootfs\":{{\"diff_ids\":[\"{digest}\",\"{digest}\"]}}}}");
        let config_digest = Digest::of(config.as_bytes());
        let descriptor = format!(
            "{{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"{digest}\"}}"
        );
        let manifest = format!(
            "{{\"config\":{{\"digest\":\"{config_digest}\"}},\"layers\":[{descriptor},{descriptor}]}}"
        );
        let manifest_digest = Digest::of(manifest.as_bytes());
        let index = format!("{{\"manifests\":[{{\"digest\":\"{manifest_digest}\"}}]}}");
        let mut archive = Vec::new();
        file(&mut archive, &format!("blobs/sha256/{}", digest.hex()), &layer);
        file(&mut archive, "manifest", manifest.as_bytes());
        file(&mut archive, "config", config.as_bytes());
        file(&mut archive, "index.json", index.as_bytes());
        for found in read(&archive) {
            for image in found.images() {
                let view = View::of(&image.layers);
                view.shadowed();
                for (path, _) in view.nodes().take(100) {
                    view.resolve(path);
                }
            }
        }
    }
});
