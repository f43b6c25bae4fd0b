//! Extended headers of the PAX kind, by Go's rules: the last record of a name wins, and an empty
//! value leaves the header's own value.

use super::super::error::Cause;

/// The values of an extended header for the next entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<i64>,
    pub(super) uid: Option<i64>,
    pub(super) gid: Option<i64>,
    pub(super) mtime: Option<i64>,
    pub(super) sparse: Sparse,
}

/// The records about a sparse file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sparse {
    pub(super) major: Option<Vec<u8>>,
    pub(super) minor: Option<Vec<u8>>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) size: Option<i64>,
    pub(super) real_size: Option<i64>,
    pub(super) blocks: Option<i64>,
    /// Offsets and lengths in turn, in decimal digits.
    pub(super) map: Vec<Vec<u8>>,
}

impl Pax {
    /// Reads all records.
    pub(super) fn read(mut bytes: &[u8]) -> Result<Self, Cause> {
        let mut pax = Self::default();
        let mut pieces: Vec<Vec<u8>> = Vec::new();
        while !bytes.is_empty() {
            let (key, value, rest) =
                record(bytes).ok_or_else(|| Cause::archive("an extended header is malformed"))?;
            bytes = rest;
            match key {
                b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                    let is_offset = key == b"GNU.sparse.offset";
                    if is_offset != pieces.len().is_multiple_of(2) || value.contains(&b',') {
                        return Err(Cause::archive("a sparse map is out of order"));
                    }
                    pieces.push(value.to_vec());
                }
                key => pax.take(key, value)?,
            }
        }
        if !pieces.is_empty() {
            pax.sparse.map = pieces;
        }
        Ok(pax)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Cause> {
        let text = || (!value.is_empty()).then(|| value.to_vec());
        match key {
            b"path" => self.path = text(),
            b"linkpath" => self.link = text(),
            b"size" => self.size = integer(value)?,
            b"uid" => self.uid = integer(value)?,
            b"gid" => self.gid = integer(value)?,
            b"mtime" => self.mtime = seconds(value)?,
            b"GNU.sparse.major" => self.sparse.major = text(),
            b"GNU.sparse.minor" => self.sparse.minor = text(),
            b"GNU.sparse.name" => self.sparse.name = text(),
            b"GNU.sparse.size" => self.sparse.size = integer(value)?,
            b"GNU.sparse.realsize" => self.sparse.real_size = integer(value)?,
            b"GNU.sparse.numblocks" => self.sparse.blocks = integer(value)?,
            b"GNU.sparse.map" => {
                let pieces = value.split(|byte| *byte == b',').map(<[u8]>::to_vec);
                self.sparse.map = if value.is_empty() {
                    Vec::new()
                } else {
                    pieces.collect()
                };
            }
            _ => {}
        }
        Ok(())
    }
}

/// The first record's key and value, and the bytes after it: `<length> <key>=<value>\n`.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(digits(&bytes[..space])?).ok()?;
    if length < 5 || length <= space + 1 {
        return None;
    }
    let (line, rest) = bytes.split_at_checked(length)?;
    let content = line[space + 1..].strip_suffix(b"\n")?;
    let equals = content.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&content[..equals], &content[equals + 1..]);
    let is_text = matches!(
        key,
        b"path" | b"linkpath" | b"uname" | b"gname" | b"GNU.sparse.name"
    );
    let is_wrong = key.is_empty() || key.contains(&0) || is_text && value.contains(&0);
    (!is_wrong).then_some((key, value, rest))
}

/// A number of decimal digits only.
pub(super) fn digits(text: &[u8]) -> Option<i64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_i64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| i64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

fn integer(text: &[u8]) -> Result<Option<i64>, Cause> {
    if text.is_empty() {
        return Ok(None);
    }
    let (sign, rest) = match text.strip_prefix(b"-") {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let value =
        digits(rest).ok_or_else(|| Cause::archive("an extended header has a wrong number"))?;
    Ok(Some(sign * value))
}

/// The whole seconds of a time, rounded down.
fn seconds(text: &[u8]) -> Result<Option<i64>, Cause> {
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let whole = integer(parts.next().unwrap_or_default())?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(Cause::archive("an extended header has a wrong time"));
    }
    let is_below = text.starts_with(b"-") && fraction.iter().any(|digit| *digit != b'0');
    Ok(whole.map(|whole| whole.saturating_sub(i64::from(is_below))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_with_line_ends_in_their_values() {
        let pax = Pax::read(b"13 path=a\nb/\n14 mtime=-1.5\n11 size=42\n").unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"a\nb/"[..]));
        assert_eq!((pax.mtime, pax.size), (Some(-2), Some(42)));
    }

    #[test]
    fn the_last_record_wins_and_an_empty_one_says_nothing() {
        let pax = Pax::read(b"9 path=a\n9 path=b\n11 size=42\n8 size=\n").unwrap();
        assert_eq!((pax.path.as_deref(), pax.size), (Some(&b"b"[..]), None));
    }

    #[test]
    fn malformed_records_are_errors() {
        let bad: &[&[u8]] = &[
            b"5 a=",
            b"99 a=b\n",
            b"x a=b\n",
            b"6  =b\n\n",
            b"10 path=a\0\n",
            b"6 a=bc",
            b"+6 a=b\n",
            b"10 size=1x\n",
            b"0 a=b\n",
            b"4 a=\n",
        ];
        for bytes in bad {
            assert!(
                Pax::read(bytes).is_err(),
                "{:?}",
                bytes.escape_ascii().to_string()
            );
        }
    }
}
