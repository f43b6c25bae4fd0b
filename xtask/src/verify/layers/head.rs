//! Reads the first bytes of a file: ELF headers and `#!` lines.
//!
//! 4 KiB are enough: all linkers and `patchelf` put the interpreter's name there, unless the
//! program has more than 60 segments.

use super::entry::{Head, Interpreter};

/// How many bytes are read.
pub(super) const LENGTH: usize = 4096;
/// How many bytes of a `#!` line Linux reads.
const LINE: usize = 255;
const PT_INTERP: u32 = 3;

/// Whether a file with this start may be an ELF file or a script.
pub(super) fn may_say(start: &[u8]) -> bool {
    start.starts_with(b"\x7fEL") || start.starts_with(b"#!") || start.len() < 3
}

/// What the first bytes of a file show.
pub(super) fn read(bytes: &[u8]) -> Option<Head> {
    if let Some(line) = bytes.strip_prefix(b"#!") {
        return script(line);
    }
    elf(bytes)
}

fn script(line: &[u8]) -> Option<Head> {
    let line = &line[..line.len().min(LINE)];
    let line = line.split(|byte| *byte == b'\n').next()?;
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t' | 0));
    let interpreter = words.find(|word| !word.is_empty())?.to_vec();
    Some(Head::Script { interpreter })
}

/// Reads numbers at offsets that may lie outside the bytes.
struct Fields<'a> {
    bytes: &'a [u8],
    is_little: bool,
}

impl Fields<'_> {
    fn number(&self, at: u64, length: usize) -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let bytes = self.bytes.get(at..at.checked_add(length)?)?;
        let append = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if self.is_little {
            bytes.iter().rev().fold(0, append)
        } else {
            bytes.iter().fold(0, append)
        })
    }
}

fn elf(bytes: &[u8]) -> Option<Head> {
    let rest = bytes.strip_prefix(b"\x7fELF")?;
    let is_64 = match rest.first()? {
        1 => false,
        2 => true,
        _ => return None,
    };
    let is_little = match rest.get(1)? {
        1 => true,
        2 => false,
        _ => return None,
    };
    let fields = Fields { bytes, is_little };
    let machine = u16::try_from(fields.number(18, 2)?).ok()?;
    let interpreter = interpreter(&fields, is_64).unwrap_or(Interpreter::BeyondHead);
    Some(Head::Elf {
        is_64,
        is_little,
        machine,
        interpreter,
    })
}

/// `None` if a part of the answer lies outside the bytes.
fn interpreter(fields: &Fields<'_>, is_64: bool) -> Option<Interpreter> {
    let word = if is_64 { 8 } else { 4 };
    let (table, size, count) = if is_64 {
        (
            fields.number(32, 8)?,
            fields.number(54, 2)?,
            fields.number(56, 2)?,
        )
    } else {
        (
            fields.number(28, 4)?,
            fields.number(42, 2)?,
            fields.number(44, 2)?,
        )
    };
    for number in 0..count {
        let header = table.checked_add(number * size)?;
        if fields.number(header, 4)? != u64::from(PT_INTERP) {
            continue;
        }
        let (offset, length) = if is_64 { (8, 32) } else { (4, 16) };
        let start = usize::try_from(fields.number(header + offset, word)?).ok()?;
        let length = usize::try_from(fields.number(header + length, word)?).ok()?;
        let path = fields.bytes.get(start..start.checked_add(length)?)?;
        let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
        return Some(Interpreter::Path(path.to_vec()));
    }
    Some(Interpreter::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_says_who_loads_it() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let Some(Head::Elf {
            machine,
            interpreter,
            is_little: true,
            is_64: true,
        }) = read(&bytes[..LENGTH])
        else {
            panic!(
                "not an ELF program of 64 bits: {:?}",
                read(&bytes[..LENGTH])
            );
        };
        let known = match std::env::consts::ARCH {
            "x86_64" => 62,
            "aarch64" => 183,
            _ => machine,
        };
        assert_eq!(machine, known);
        let Interpreter::Path(path) = interpreter else {
            panic!("{interpreter:?}");
        };
        assert!(
            path.starts_with(b"/")
                && path
                    .windows(5)
                    .any(|part| part == b"ld-li" || part == b"ld-mu")
        );
    }

    #[test]
    fn a_script_names_its_interpreter() {
        let script = |text: &str| match read(text.as_bytes()) {
            Some(Head::Script { interpreter }) => String::from_utf8(interpreter).unwrap(),
            other => format!("{other:?}"),
        };
        assert_eq!(script("#!/bin/sh\necho"), "/bin/sh");
        assert_eq!(script("#! /usr/bin/env python3\n"), "/usr/bin/env");
        assert_eq!(script("#!/bin/sh"), "/bin/sh");
        assert_eq!(script("#!\n/bin/sh"), "None");
        assert_eq!(read(b"# no script"), None);
    }

    #[test]
    fn an_elf_header_that_points_anywhere_is_no_danger() {
        let mut bytes = vec![0xff; LENGTH];
        bytes[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
        let Some(Head::Elf { interpreter, .. }) = read(&bytes) else {
            panic!()
        };
        assert_eq!(interpreter, Interpreter::BeyondHead);
        assert_eq!(read(b"\x7fELF"), None);
    }
}
