//! One header block, with the fields of its layout and numbers as Go reads them.

use tar::{GnuHeader, Header};

use super::super::error::Cause;

/// Bytes of a block.
pub(super) const BLOCK: usize = 512;

/// The layout of the fields after the first 257 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderLayout {
    /// No layout that can be relied on.
    Old,
    /// POSIX: device numbers and a prefix of the name.
    Ustar,
    /// Schily's: like POSIX, with a shorter prefix.
    Star,
    /// GNU: device numbers, times and sparse segments.
    Gnu,
}

/// The fields of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raw {
    pub(super) layout: HeaderLayout,
    pub(super) flag: u8,
    pub(super) name: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) mode: i64,
    pub(super) uid: i64,
    pub(super) gid: i64,
    pub(super) size: i64,
    pub(super) mtime: i64,
    pub(super) device: (i64, i64),
}

/// Whether a block is all zeros. Such blocks end an archive.
pub(super) fn is_zero(block: &[u8; BLOCK]) -> bool {
    block.iter().all(|byte| *byte == 0)
}

/// Whether a block is a header, that is, whether its checksum is right.
pub(super) fn is_header(block: &[u8; BLOCK]) -> bool {
    let given = octal(&block[148..156]);
    let counted = |position: usize| {
        if (148..156).contains(&position) {
            b' '
        } else {
            block[position]
        }
    };
    let unsigned: i64 = (0..BLOCK).map(|at| i64::from(counted(at))).sum();
    // Some old writers add up signed bytes.
    let signed: i64 = (0..BLOCK)
        .map(|at| i64::from(counted(at).cast_signed()))
        .sum();
    given.is_ok_and(|given| given == unsigned || given == signed)
}

/// Reads a header block.
pub(super) fn read(block: &[u8; BLOCK]) -> Result<Raw, Cause> {
    if !is_header(block) {
        return Err(Cause::archive("a header has a wrong checksum"));
    }
    let header = Header::from_byte_slice(block);
    let old = header.as_old();
    let layout = layout(block);
    let mut raw = Raw {
        layout,
        flag: old.linkflag[0],
        name: text(&old.name).to_vec(),
        link: text(&old.linkname).to_vec(),
        mode: number(&old.mode)?,
        uid: number(&old.uid)?,
        gid: number(&old.gid)?,
        size: number(&old.size)?,
        mtime: number(&old.mtime)?,
        device: (0, 0),
    };
    if matches!(raw.flag, b'3' | b'4') && layout != HeaderLayout::Old {
        raw.device = (number(&block[329..337])?, number(&block[337..345])?);
    }
    match layout {
        HeaderLayout::Old => {}
        HeaderLayout::Ustar => raw.prefix(text(&block[345..500])),
        HeaderLayout::Star => raw.prefix(text(&block[345..476])),
        HeaderLayout::Gnu => {
            // Old versions of Go wrote a prefix into these fields, which GNU tar does not read.
            let gnu = gnu(header);
            if number(&gnu.atime).is_err() || number(&gnu.ctime).is_err() {
                return Err(Cause::archive(
                    "a GNU header has no times but a part of a name",
                ));
            }
        }
    }
    Ok(raw)
}

impl Raw {
    fn prefix(&mut self, prefix: &[u8]) {
        if !prefix.is_empty() {
            self.name = [prefix, b"/", &self.name].concat();
        }
    }
}

fn layout(block: &[u8; BLOCK]) -> HeaderLayout {
    match (&block[257..263], &block[263..265]) {
        (b"ustar\0", b"00") if block[508..] == *b"tar\0" => HeaderLayout::Star,
        (b"ustar\0", b"00") => HeaderLayout::Ustar,
        (b"ustar ", b" \0") => HeaderLayout::Gnu,
        _ => HeaderLayout::Old,
    }
}

/// The fields of the GNU layout. The caller has checked the layout.
pub(super) fn gnu(header: &Header) -> &GnuHeader {
    header
        .as_gnu()
        .unwrap_or_else(|| unreachable!("the magic is GNU's"))
}

/// A field up to its first NUL.
fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0);
    &field[..end.unwrap_or(field.len())]
}

/// A number: octal digits, or base 256 with a sign if the first bit is set.
pub(super) fn number(field: &[u8]) -> Result<i64, Cause> {
    let Some(first) = field.first().filter(|first| **first & 0x80 != 0) else {
        return octal(field);
    };
    let too_large = || Cause::archive("a number is too large");
    let inversion = if first & 0x40 == 0 { 0 } else { 0xff };
    let mut value = 0_u64;
    for (position, byte) in field.iter().enumerate() {
        let mut byte = byte ^ inversion;
        if position == 0 {
            byte &= 0x7f;
        }
        if value >> 56 > 0 {
            return Err(too_large());
        }
        value = value << 8 | u64::from(byte);
    }
    let value = i64::try_from(value).map_err(|_| too_large())?;
    Ok(if inversion == 0 { value } else { !value })
}

fn octal(field: &[u8]) -> Result<i64, Cause> {
    let is_filler = |byte: &u8| matches!(*byte, b' ' | 0);
    let start = field.iter().position(|byte| !is_filler(byte));
    let end = field.iter().rposition(|byte| !is_filler(byte));
    let (Some(start), Some(end)) = (start, end) else {
        return Ok(0);
    };
    text(&field[start..=end])
        .iter()
        .try_fold(0_i64, |value, digit| {
            if !(b'0'..=b'7').contains(digit) {
                return Err(Cause::archive("a number has other letters than digits"));
            }
            let value = value.checked_mul(8);
            let value = value.and_then(|value| value.checked_add(i64::from(digit - b'0')));
            value.ok_or_else(|| Cause::archive("a number is too large"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        // From Go's own test of `parseNumeric`.
        let good: &[(&[u8], i64)] = &[
            (b"", 0),
            (b"\x80", 0),
            (b"\x80\x00\x00", 0),
            (b"\xbf\xff\xff", (1 << 22) - 1),
            (b"\xff\xff\xff", -1),
            (b"\xc0\x00\x00", -(1 << 22)),
            (b"\x87\x76\xa2\x22\xeb\x8a\x72\x61", 537_795_476_381_659_745),
            (
                b"\x80\x00\x00\x00\x07\x76\xa2\x22\xeb\x8a\x72\x61",
                537_795_476_381_659_745,
            ),
            (
                b"\xf7\x76\xa2\x22\xeb\x8a\x72\x61",
                -615_126_028_225_187_231,
            ),
            (b"\x80\x7f\xff\xff\xff\xff\xff\xff\xff", i64::MAX),
            (b"0000000\x00", 0),
            (b" \x0000000 \x00", 0),
            (b"00000000227\x00", 0o227),
            (b"032033\x00 ", 0o32033),
            (b"   0  \0 ", 0),
        ];
        for (field, value) in good {
            assert_eq!(number(field).ok(), Some(*value), "{field:?}");
        }
        let bad: &[&[u8]] = &[
            b"0123456789abcdef",
            b"0123456789\x00abcdef",
            b"01234567\x0089abcdef9",
            b"\x80\x80\x00\x00\x00\x00\x00\x00\x00",
            b"\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00",
            b"+7",
            b"-7",
        ];
        for field in &bad[..2] {
            assert!(number(field).is_err(), "{field:?}");
        }
        for field in &bad[3..] {
            assert!(number(field).is_err(), "{field:?}");
        }
    }
}
