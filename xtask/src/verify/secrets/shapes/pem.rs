//! Blocks between `-----BEGIN … PRIVATE KEY-----` and `-----END …`.
//!
//! A block counts if all of it is base64 of what its label says. Blocks inside source code and JSON
//! are read too: quotes, `\n` and concatenation signs between the lines are skipped.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::verify::secrets::letters::{Alphabet, BASE64, DIGIT, entropy};
use crate::verify::secrets::shape::Hit;
use crate::verify::secrets::view::TextView;

/// Base64 with or without padding; spare bits may be set.
const DECODER: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);
const LABEL: Alphabet = Alphabet::of("A-Z0-9 ");
const DASHES: &[u8] = b"-----";
/// The most header lines of a block.
const MOST_HEADERS: usize = 8;
/// The longest header line.
const MOST_HEADER: usize = 256;

/// The anchor is `-BEGIN `, with four more hyphens before it.
pub fn armoured(view: &TextView<'_>) -> Option<Hit> {
    let start = view.at.checked_sub(4)?;
    if !view.starts(start, b"-----BEGIN ") {
        return None;
    }
    let label_at = view.at + b"-BEGIN ".len();
    let label_end = view.run(label_at, &LABEL, 48);
    let label = &view.bytes[label_at..label_end];
    let kind = Kind::of(label)?;
    if !view.starts(label_end, DASHES) {
        return None;
    }
    let mut body = Body::new(view, label_end + DASHES.len());
    let encrypted = body.headers();
    let text = body.base64(kind);
    let end = body.at;
    let closing = [b"-----END ", label, DASHES].concat();
    if !view.starts(end, &closing) {
        return None;
    }
    let end = end + closing.len();
    view.spend(2 * text.len());
    let key = DECODER.decode(&text).ok()?;
    // RSA of 512 bits is broken within hours. Only examples have it.
    if !kind.fits(&key, encrypted) || label.starts_with(b"RSA") && key.len() < 500 {
        return None;
    }
    let label = String::from_utf8_lossy(label);
    Some(Hit {
        range: start..end,
        masked: format!("-----BEGIN {label}----- … ({} bytes)", key.len()),
        what: is_google(view, start, end).then_some("the key of a Google service account"),
    })
}

/// The anchor is the beginning of `-----BEGIN ` in base64.
pub fn encoded(view: &TextView<'_>) -> Option<Hit> {
    if view.before(view.at).is_some_and(|byte| BASE64.has(byte)) {
        return None;
    }
    let end = view.run(view.at, &BASE64, usize::MAX);
    let text = &view.bytes[view.at..end];
    let block = DECODER.decode(text).ok()?;
    let hit = armoured(&view.inside(&block, 4))?;
    Some(Hit {
        range: view.at..end,
        ..hit
    })
}

/// The anchor is the beginning of a .ppk file: lines in a fixed order.
pub fn putty(view: &TextView<'_>) -> Option<Hit> {
    let mut lines = Lines { view, at: view.at };
    lines.next()?;
    lines.starting(b"Encryption: ")?;
    lines.starting(b"Comment: ")?;
    let public: usize = number(lines.starting(b"Public-Lines: ")?)?;
    for _ in 0..public.min(300) {
        lines.next().filter(|line| is_base64(line))?;
    }
    let mut line = lines.next()?;
    // Version 3 also says how the key is derived from the passphrase.
    for _ in 0..6 {
        if !(line.starts_with(b"Key-Derivation: ") || line.starts_with(b"Argon2-")) {
            break;
        }
        line = lines.next()?;
    }
    let private: usize = number(line.strip_prefix(b"Private-Lines: ")?)?;
    let mut length = 0;
    for _ in 0..private.min(300) {
        length += lines.next().filter(|line| is_base64(line))?.len();
    }
    (private > 0 && length >= 32).then(|| Hit::of(view.at..lines.at, b"PuTTY-User-Key-File"))
}

/// Whether a private key stands between the other fields of a service account's JSON.
fn is_google(view: &TextView<'_>, start: usize, end: usize) -> bool {
    let name = b"\"service_account\"";
    view.find(start.saturating_sub(600)..start, name).is_some()
        || view.find(end..end + 1500, name).is_some()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// RSA, EC, DSA, PKCS#8, encrypted PKCS#8: one DER sequence.
    Der,
    OpenSsh,
    Pgp,
}

impl Kind {
    fn of(label: &[u8]) -> Option<Self> {
        match label {
            b"PGP PRIVATE KEY BLOCK" => Some(Self::Pgp),
            b"OPENSSH PRIVATE KEY" => Some(Self::OpenSsh),
            label if label.ends_with(b"PRIVATE KEY") => Some(Self::Der),
            _ => None,
        }
    }

    fn fits(self, key: &[u8], encrypted: bool) -> bool {
        // Zeros and other fillers are not a key.
        if key.len() < 40 || entropy(key) < 3.5 {
            return false;
        }
        match self {
            Self::OpenSsh => key.starts_with(b"openssh-key-v1\0") && key.len() >= 150,
            // A packet with tag 5 (secret key), with a length in the old or the new format.
            Self::Pgp => matches!(key[0], 0x94..=0x96 | 0xc5),
            // RFC 1421: encrypted content has no structure of its own.
            Self::Der if encrypted => key.len().is_multiple_of(8),
            Self::Der => is_sequence(key),
        }
    }
}

/// Whether all bytes are one DER sequence.
fn is_sequence(key: &[u8]) -> bool {
    let length = match key[1] {
        0x81 => usize::from(key[2]) + 3,
        0x82 => usize::from(key[2]) * 256 + usize::from(key[3]) + 4,
        short @ 0..=0x7f => usize::from(short) + 2,
        _ => return false,
    };
    key[0] == 0x30 && length == key.len()
}

/// Reads the lines after the BEGIN line.
struct Body<'v, 'a> {
    view: &'v TextView<'a>,
    at: usize,
}

impl<'v, 'a> Body<'v, 'a> {
    fn new(view: &'v TextView<'a>, at: usize) -> Self {
        Self { view, at }
    }

    /// Skips headers such as `Proc-Type: 4,ENCRYPTED`. Returns whether one of them says
    /// `ENCRYPTED`.
    fn headers(&mut self) -> bool {
        let mut encrypted = false;
        for _ in 0..MOST_HEADERS {
            self.gap();
            let rest = self.view.bytes.get(self.at..).unwrap_or_default();
            let most = &rest[..rest.len().min(MOST_HEADER)];
            self.view.spend(most.len());
            let length = most
                .windows(2)
                .position(|pair| pair[0] == b'\n' || pair == b"\\n")
                .unwrap_or(most.len());
            let line = &most[..length];
            let is_header = line
                .windows(2)
                .position(|pair| pair == b": ")
                .is_some_and(|colon| {
                    line[..colon]
                        .iter()
                        .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
                });
            if !is_header {
                break;
            }
            encrypted |= line.windows(9).any(|word| word == b"ENCRYPTED");
            self.at += length;
        }
        encrypted
    }

    /// Skips the characters that may stand between two lines of base64.
    fn gap(&mut self) {
        let start = self.at;
        while let Some(byte) = self.view.byte(self.at) {
            let escape = byte == b'\\'
                && matches!(
                    self.view.byte(self.at + 1),
                    Some(b'n' | b'r' | b't' | b'\n' | b'\\')
                );
            // A concatenation sign has quotes or spaces on both sides; a plus of base64 has not.
            let apart = |byte: Option<u8>| byte.is_some_and(|byte| b" \"'\n\r".contains(&byte));
            let plus = byte == b'+'
                && apart(self.view.before(self.at))
                && apart(self.view.byte(self.at + 1));
            if escape {
                self.at += 2;
            } else if plus || byte.is_ascii_whitespace() || b"\"',".contains(&byte) {
                self.at += 1;
            } else {
                break;
            }
        }
        self.view.spend(self.at - start);
    }

    /// Collects base64 up to the hyphens of the END line.
    fn base64(&mut self, kind: Kind) -> Vec<u8> {
        let mut text = Vec::new();
        loop {
            self.gap();
            let end = self.view.run(self.at, &BASE64, usize::MAX);
            text.extend_from_slice(&self.view.bytes[self.at..end]);
            if end == self.at {
                break;
            }
            self.at = end;
        }
        // Padding may follow, and OpenPGP's checksum of four characters.
        self.at = self.view.run(self.at, &Alphabet::of("="), 2);
        self.gap();
        if kind == Kind::Pgp {
            self.at = self.view.run(self.at, &Alphabet::of("="), 1);
            self.at = self.view.run(self.at, &BASE64, 4);
            self.gap();
        }
        text
    }
}

struct Lines<'v, 'a> {
    view: &'v TextView<'a>,
    at: usize,
}

impl<'a> Lines<'_, 'a> {
    /// The next line, at most 256 bytes of it.
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.view.bytes.get(self.at..)?;
        let most = &rest[..rest.len().min(256)];
        let length = most.iter().position(|byte| *byte == b'\n');
        self.view.spend(length.unwrap_or(most.len()));
        let length = match length {
            Some(length) => length,
            // The last line of a file may have no newline.
            None if most.len() < 256 && !most.is_empty() => most.len(),
            None => return None,
        };
        self.at += (length + 1).min(rest.len());
        let line = &most[..length];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }

    fn starting(&mut self, name: &[u8]) -> Option<&'a [u8]> {
        self.next()?.strip_prefix(name)
    }
}

fn number(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn is_base64(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"=").unwrap_or(line);
    let line = line.strip_suffix(b"=").unwrap_or(line);
    !line.is_empty() && BASE64.all(line) && !DIGIT.all(line)
}
