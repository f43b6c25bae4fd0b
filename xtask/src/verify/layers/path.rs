//! Paths of layer entries, cleaned as engines do before they unpack.
//!
//! Paths are bytes, as nothing guarantees that they are UTF-8.

use std::fmt::Write as _;

/// The path inside the image: no leading `/` or `./`, no empty part, no `.`. The root's path is
/// empty. `None` for a name with a `..` part, which no builder writes.
pub fn clean(name: &[u8]) -> Option<Vec<u8>> {
    let mut path = Vec::with_capacity(name.len());
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return None,
            part => {
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(part);
            }
        }
    }
    Some(path)
}

/// Splits a path into folder and name.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// A path for people. Bytes that are not printable UTF-8 are escaped, and a very long path is cut.
pub fn shown(path: &[u8]) -> String {
    const LONGEST: usize = 300;
    let mut text = String::with_capacity(path.len().min(LONGEST) + 8);
    for chunk in path.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter.is_control() {
                let _ = write!(text, "{}", letter.escape_default());
            } else {
                text.push(letter);
            }
            if text.len() > LONGEST {
                let _ = write!(text, "… ({} bytes)", path.len());
                return text;
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned_as_an_engine_cleans_them() {
        for (name, path) in [
            ("./a", "a"),
            ("/a/b/", "a/b"),
            ("a//./b", "a/b"),
            (".", ""),
            ("", ""),
            ("a/...", "a/..."),
        ] {
            assert_eq!(clean(name.as_bytes()).unwrap(), path.as_bytes(), "{name}");
        }
        for name in ["..", "../a", "a/../b", "/.."] {
            assert_eq!(clean(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn a_path_for_people_has_no_control_characters() {
        assert_eq!(shown(b"a\x1b[31m\xff\nb"), "a\\u{1b}[31m\\xff\\nb");
        assert!(shown(&[b'x'; 5000]).len() < 400);
    }
}
