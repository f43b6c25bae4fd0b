//! Sealed content: a first line names its kind and version and holds a checksum.

/// `content` under a header that names its kind and version and carries a checksum.
pub fn seal(kind: &str, version: u32, content: &[u8]) -> Vec<u8> {
    let mut sealed = header(kind, version, &blake3::hash(content)).into_bytes();
    sealed.extend_from_slice(content);
    sealed
}

pub(super) fn header(kind: &str, version: u32, hash: &blake3::Hash) -> String {
    format!("{kind} {version} {hash}\n")
}

/// Why sealed bytes cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// Another kind of file, or no header.
    Foreign,
    /// Written by another version of this program.
    OtherVersion,
    /// The checksum does not fit: torn or truncated.
    Torn,
}

impl Broken {
    /// A clause for a warning.
    pub const fn clause(self) -> &'static str {
        match self {
            Self::Foreign => "is not a file of this program",
            Self::OtherVersion => "was written by another version of this program",
            Self::Torn => "is damaged",
        }
    }
}

/// The content of sealed bytes, if they are whole.
pub fn unseal<'b>(kind: &str, version: u32, sealed: &'b [u8]) -> Result<&'b [u8], Broken> {
    let end = sealed
        .iter()
        .position(|byte| *byte == b'\n')
        .ok_or(Broken::Foreign)?;
    let head = std::str::from_utf8(&sealed[..end]).map_err(|_| Broken::Foreign)?;
    let mut words = head.split(' ');
    if words.next() != Some(kind) {
        return Err(Broken::Foreign);
    }
    if words.next() != Some(version.to_string().as_str()) {
        return Err(Broken::OtherVersion);
    }
    let content = &sealed[end + 1..];
    let whole = words.next() == Some(blake3::hash(content).to_hex().as_str());
    if whole && words.next().is_none() {
        Ok(content)
    } else {
        Err(Broken::Torn)
    }
}
