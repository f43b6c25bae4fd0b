//! Sets of bytes, and how random a text looks. Only arithmetic on short byte strings.

/// A set of bytes.
#[derive(Debug, Clone, Copy)]
pub struct Alphabet([u64; 4]);

impl Alphabet {
    /// The bytes of a class such as `0-9A-Za-z_-`. A hyphen at the end is a literal hyphen.
    pub const fn of(class: &str) -> Self {
        let class = class.as_bytes();
        let mut set = [0u64; 4];
        let mut at = 0;
        while at < class.len() {
            let first = class[at];
            let mut last = first;
            if at + 2 < class.len() && class[at + 1] == b'-' {
                last = class[at + 2];
                at += 2;
            }
            let mut byte = first as usize;
            while byte <= last as usize {
                set[byte / 64] |= 1 << (byte % 64);
                byte += 1;
            }
            at += 1;
        }
        Self(set)
    }

    /// Whether the set has this byte.
    pub const fn has(&self, byte: u8) -> bool {
        self.0[(byte / 64) as usize] >> (byte % 64) & 1 == 1
    }

    /// Whether the set has all bytes of a text.
    pub fn all(&self, text: &[u8]) -> bool {
        text.iter().all(|byte| self.has(*byte))
    }
}

/// Letters and digits.
pub const ALNUM: Alphabet = Alphabet::of("0-9A-Za-z");
/// Base64 for URLs.
pub const URL64: Alphabet = Alphabet::of("0-9A-Za-z_-");
/// Standard base64, without padding.
pub const BASE64: Alphabet = Alphabet::of("0-9A-Za-z+/");
/// Hexadecimal in small letters.
pub const HEX: Alphabet = Alphabet::of("0-9a-f");
/// Decimal digits.
pub const DIGIT: Alphabet = Alphabet::of("0-9");

/// Shannon's entropy in bits per byte.
#[allow(clippy::cast_precision_loss)] // Texts here are short.
pub fn entropy(text: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for byte in text {
        counts[usize::from(*byte)] += 1;
    }
    let length = text.len() as f64;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count) / length)
        .map(|share| -share * share.log2())
        .sum()
}

/// Whether a text is a staircase such as `abcdefgh`, `12345678`, `87654321` or `xxxxxxxx`: most
/// bytes equal the byte before or are its neighbour. Such a text can have a high entropy.
pub fn staircase(text: &[u8]) -> bool {
    let near = text
        .windows(2)
        .filter(|pair| pair[0].abs_diff(pair[1]) <= 1)
        .count();
    near * 2 > text.len()
}

/// How many of these four a text has: small letters, capitals, digits, other bytes.
pub fn classes(text: &[u8]) -> usize {
    let kinds: [fn(&u8) -> bool; 4] = [
        u8::is_ascii_lowercase,
        u8::is_ascii_uppercase,
        u8::is_ascii_digit,
        |byte| !byte.is_ascii_alphanumeric(),
    ];
    kinds.iter().filter(|kind| text.iter().any(kind)).count()
}

/// The CRC-32 that PNG, gzip, GitHub, npm and GitLab use.
pub fn crc32(text: &[u8]) -> u32 {
    !text.iter().fold(!0u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    })
}

/// A number in a base up to 62, the most significant digit first, padded with zeros. Digits are
/// `0-9`, then the two alphabets in the order given by `capitals_first`.
pub fn in_base(mut number: u32, base: u32, width: usize, capitals_first: bool) -> Vec<u8> {
    let (first, second) = if capitals_first {
        (b'A', b'a')
    } else {
        (b'a', b'A')
    };
    let mut digits = Vec::with_capacity(width);
    while number > 0 || digits.len() < width {
        let digit = u8::try_from(number % base).unwrap_or_default();
        digits.push(match digit {
            0..10 => b'0' + digit,
            10..36 => first + digit - 10,
            _ => second + digit - 36,
        });
        number /= base;
    }
    digits.reverse();
    digits
}

/// Whether the last six characters are the CRC-32 of the others in base 62, as in tokens of GitHub
/// and npm.
pub fn checksum_62(body: &[u8]) -> bool {
    body.len() > 6 && {
        let (random, sum) = body.split_at(body.len() - 6);
        in_base(crc32(random), 62, 6, true) == sum
    }
}
