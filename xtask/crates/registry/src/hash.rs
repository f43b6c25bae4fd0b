//! SHA-256 digests, of bytes and of what passes by (opencontainers/image-spec, "Digests").

use std::fmt::Write as _;

use ring::digest::{Context, SHA256};

/// The digest of bytes.
pub fn of(bytes: &[u8]) -> String {
    let mut passing = Passing::default();
    passing.add(bytes);
    passing.digest()
}

/// The digest of what comes piece by piece.
pub struct Passing(Context);

impl Default for Passing {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Passing {
    /// Takes the next piece.
    pub fn add(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The digest of all pieces.
    pub fn digest(self) -> String {
        let mut digest = "sha256:".to_owned();
        for byte in self.0.finish().as_ref() {
            // Writing to a string cannot fail.
            let _ = write!(digest, "{byte:02x}");
        }
        digest
    }
}

#[cfg(test)]
mod tests {
    use reference::is_sha256;

    use super::*;

    #[test]
    fn the_digest_of_bytes_is_sha_256() {
        assert_eq!(
            of(b""),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert!(is_sha256(&of(b"x")));
        let hex = |digit: &str| format!("sha256:{}", digit.repeat(64));
        for wrong in ["", "sha256:", "sha256:A", &hex("A"), &hex("aa"), &hex("g")] {
            assert!(!is_sha256(wrong), "{wrong}");
        }
    }
}
