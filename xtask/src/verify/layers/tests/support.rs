//! Archives, layers and images made by hand.

use std::io::{Cursor, Write as _};
use std::sync::Arc;

use super::super::*;

/// An archive that is written by hand, so that tests can put any fault into it.
#[derive(Debug, Clone, Default)]
pub struct Tar(pub Vec<u8>);

/// A header in the POSIX layout.
pub fn header(name: &[u8], flag: u8, size: u64) -> [u8; 512] {
    let mut block = [0; 512];
    block[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
    field(&mut block, 100, 8, "0000644\0");
    field(&mut block, 108, 8, "0000000\0");
    field(&mut block, 116, 8, "0000000\0");
    field(&mut block, 124, 12, &format!("{size:011o}\0"));
    field(&mut block, 136, 12, "00000000000\0");
    block[156] = flag;
    field(&mut block, 257, 8, "ustar\x0000");
    seal(&mut block);
    block
}

/// Writes a field.
pub fn field(block: &mut [u8; 512], at: usize, length: usize, text: &str) {
    block[at..at + length].copy_from_slice(&text.as_bytes()[..length]);
}

/// Sets the right checksum.
pub fn seal(block: &mut [u8; 512]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

impl Tar {
    pub fn block(mut self, block: &[u8; 512]) -> Self {
        self.0.extend_from_slice(block);
        self
    }

    /// Adds content, padded to the end of a block.
    pub fn content(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        let padding = bytes.len().next_multiple_of(512) - bytes.len();
        self.0.resize(self.0.len() + padding, 0);
        self
    }

    pub fn entry(self, name: &str, flag: u8, link: &str) -> Self {
        let mut block = header(name.as_bytes(), flag, 0);
        block[157..157 + link.len()].copy_from_slice(link.as_bytes());
        seal(&mut block);
        self.block(&block)
    }

    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref();
        self.block(&header(name.as_bytes(), b'0', content.len() as u64))
            .content(content)
    }

    pub fn folder(self, name: &str) -> Self {
        self.entry(name, b'5', "")
    }

    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(name, b'2', target)
    }

    pub fn hard_link(self, name: &str, target: &str) -> Self {
        self.entry(name, b'1', target)
    }

    /// An extended header for the next entry.
    pub fn pax(self, records: &[(&str, &str)]) -> Self {
        let records: Vec<u8> = records
            .iter()
            .flat_map(|(key, value)| record(key, value))
            .collect();
        self.block(&header(b"pax", b'x', records.len() as u64))
            .content(&records)
    }

    pub fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let digits = |length: usize| (length + rest.len()).to_string().len();
    let length = rest.len() + digits(digits(1));
    format!("{length}{rest}").into_bytes()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// An image in an OCI layout, which is an archive or a folder.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Files by name, in the order in which they are written.
    pub files: Vec<(String, Vec<u8>)>,
}

/// A layer of a manifest: the blob, its media type, and further fields of its descriptor.
pub struct Blob {
    pub bytes: Vec<u8>,
    pub diff_id: Digest,
    pub media_type: String,
    pub more: String,
    pub is_there: bool,
}

impl Blob {
    pub fn plain(tar: Vec<u8>) -> Self {
        let diff_id = Digest::of(&tar);
        let media_type = "application/vnd.oci.image.layer.v1.tar".to_owned();
        Self {
            bytes: tar,
            diff_id,
            media_type,
            more: String::new(),
            is_there: true,
        }
    }

    pub fn gzip(tar: &[u8]) -> Self {
        let mut blob = Self::plain(tar.to_vec());
        blob.bytes = gzip(tar);
        blob.media_type.push_str("+gzip");
        blob
    }

    pub fn zstd(tar: &[u8]) -> Self {
        let mut blob = Self::plain(tar.to_vec());
        blob.bytes = zstd(tar);
        blob.media_type.push_str("+zstd");
        blob
    }
}

/// The `config` object of the image `a:1`.
pub const SETTINGS: &str = r#"{"User":"1001","Env":["A=b"],"Labels":{"l":"m"},"Entrypoint":["/e"],"Cmd":null,"WorkingDir":"/w","ExposedPorts":{"5001/tcp":{}},"Healthcheck":{"Test":["CMD","/h"]}}"#;

impl Layout {
    /// The image `a:1` with these layers.
    pub fn of(blobs: &[Blob]) -> Self {
        Self::with(blobs, SETTINGS)
    }

    pub fn with(blobs: &[Blob], settings: &str) -> Self {
        let ids: Vec<String> = blobs
            .iter()
            .map(|blob| format!("\"{}\"", blob.diff_id))
            .collect();
        let steps: Vec<String> = (0..blobs.len())
            .map(|number| format!(r#"{{"created_by":"RUN step {number}"}},{{"created_by":"ENV","empty_layer":true}}"#))
            .collect();
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{settings},"rootfs":{{"type":"layers","diff_ids":[{}]}},"history":[{}]}}"#,
            ids.join(","),
            steps.join(",")
        );
        let layers: Vec<String> = blobs
            .iter()
            .map(|blob| {
                let (digest, more) = (Digest::of(&blob.bytes), &blob.more);
                format!(
                    r#"{{"mediaType":"{}","digest":"{digest}","size":1{more}}}"#,
                    blob.media_type
                )
            })
            .collect();
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":1}},"layers":[{}]}}"#,
            Digest::of(config.as_bytes()),
            layers.join(",")
        );
        let index = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"digest":"{}","size":1,"annotations":{{"io.containerd.image.name":"docker.io/library/a:1"}},"platform":{{"os":"linux","architecture":"amd64"}}}}]}}"#,
            Digest::of(manifest.as_bytes())
        );
        let there = blobs
            .iter()
            .filter(|blob| blob.is_there)
            .map(|blob| blob.bytes.clone());
        let mut files: Vec<(String, Vec<u8>)> = there
            .chain([config.into_bytes(), manifest.into_bytes()])
            .map(|bytes| (format!("blobs/sha256/{}", Digest::of(&bytes).hex()), bytes))
            .collect();
        files.push(("index.json".to_owned(), index.into_bytes()));
        Self { files }
    }

    pub fn archive(&self) -> Vec<u8> {
        let files = self.files.iter();
        files
            .fold(Tar::default(), |tar, (name, bytes)| tar.file(name, bytes))
            .end()
    }

    pub fn folder(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("blobs/sha256")).unwrap();
        for (name, bytes) in &self.files {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }
}

/// Reads the images with these names from an archive.
pub fn read_with(archive: &[u8], names: &[&str], limits: Limits) -> Vec<FoundImages> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let reading = Reading {
        limits,
        rules: &mut [],
        known: &|_| None,
    };
    reading.archive(Cursor::new(archive), &names)
}

/// The only image of an archive, or why it was not read whole.
#[track_caller]
pub fn image_of(archive: &[u8], limits: Limits) -> Result<LayeredImage, String> {
    let mut found = read_with(archive, &["a:1"], limits);
    assert_eq!((found.len(), found[0].parts.len()), (1, 1));
    match found.remove(0).parts.remove(0) {
        PlatformPart::Whole(image) => Ok(*image),
        PlatformPart::Unread(unread) => Err(unread.to_string()),
        PlatformPart::Absent { .. } => panic!("absent"),
    }
}

/// An image whose layers are these uncompressed archives.
#[track_caller]
pub fn image(tars: &[Vec<u8>]) -> LayeredImage {
    let blobs: Vec<Blob> = tars.iter().cloned().map(Blob::plain).collect();
    image_of(&Layout::of(&blobs).archive(), Limits::default()).unwrap()
}

/// The layer of an uncompressed archive, or why it cannot be read.
#[track_caller]
pub fn layer(tar: &[u8]) -> Result<Arc<Layer>, String> {
    let image = image_of(
        &Layout::of(&[Blob::plain(tar.to_vec())]).archive(),
        Limits::default(),
    );
    image.map(|image| Arc::clone(&image.layers[0]))
}

/// Entries as lines: kind, path and link.
pub fn lines(layer: &Layer) -> Vec<String> {
    layer.table.entries().map(|entry| line(&entry)).collect()
}

pub fn line(entry: &Entry<'_>) -> String {
    let path = shown(entry.path);
    match entry.kind {
        MemberKind::File => format!("- {path} {}", entry.size),
        MemberKind::HardLink { target } => format!("h {path} = {}", shown(target)),
        MemberKind::Symlink { target } => format!("l {path} -> {}", shown(target)),
        MemberKind::Folder => format!("d {path}"),
        MemberKind::CharDevice { major, minor } => format!("c {path} {major},{minor}"),
        MemberKind::BlockDevice { major, minor } => format!("b {path} {major},{minor}"),
        MemberKind::Fifo => format!("p {path}"),
        MemberKind::Whiteout => format!("whiteout {path}"),
        MemberKind::Opaque => format!("opaque {path}"),
    }
}
