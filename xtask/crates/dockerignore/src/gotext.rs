//! Text and paths as Go's standard library sees them, on raw bytes.
//!
//! Docker's tools decode UTF-8, trim white space and clean paths in Go's way before they look at a
//! pattern.

/// The character at the beginning of `text` and its width. As in Go, a byte that is not UTF-8 is
/// U+FFFD of width one, so a broken sequence of three bytes is three characters.
pub fn decode(text: &[u8]) -> Option<(char, usize)> {
    let first = *text.first()?;
    if first.is_ascii() {
        return Some((char::from(first), 1));
    }
    let chunk = text[..text.len().min(4)].utf8_chunks().next()?;
    let decoded = chunk.valid().chars().next();
    Some(decoded.map_or((char::REPLACEMENT_CHARACTER, 1), |c| (c, c.len_utf8())))
}

/// All characters of `text`. Broken UTF-8 is read as by [`decode`].
pub fn chars(mut text: &[u8]) -> Vec<char> {
    let mut chars = Vec::with_capacity(text.len());
    while let Some((c, width)) = decode(text) {
        chars.push(c);
        text = &text[width..];
    }
    chars
}

/// `text` without Unicode white space at either end (`strings.TrimSpace`).
pub fn trim(mut text: &[u8]) -> &[u8] {
    while let Some((c, width)) = decode(text)
        && c.is_whitespace()
    {
        text = &text[width..];
    }
    while let Some(width) = trailing_space(text) {
        text = &text[..text.len() - width];
    }
    text
}

/// The width of white space at the end of `text`. A space is one to three bytes long, and UTF-8 can
/// be read from any boundary.
fn trailing_space(text: &[u8]) -> Option<usize> {
    (1..=text.len().min(3)).find(|width| {
        let last = decode(&text[text.len() - width..]);
        last.is_some_and(|(c, read)| read == *width && c.is_whitespace())
    })
}

/// The shortest path that means the same, judged by the text alone (`filepath.Clean`). The empty
/// path becomes `.`.
pub fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.first() == Some(&b'/');
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => {
                parts.pop();
            }
            b".." if rooted => {}
            _ => parts.push(part),
        }
    }
    let joined = parts.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/".as_slice(), &joined].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_does() {
        let cases = [
            ("", "."),
            ("a//b/./c/..", "a/b"),
            ("/../a", "/a"),
            ("../a/../..", "../.."),
            ("/", "/"),
            ("a/..", "."),
            ("./a/", "a"),
            ("!../../a", "a"),
        ];
        for (path, cleaned) in cases {
            assert_eq!(clean(path.as_bytes()), cleaned.as_bytes(), "{path}");
        }
    }

    #[test]
    fn unicode_space_is_trimmed_and_broken_utf_8_is_not() {
        assert_eq!(trim("\u{85}\u{3000} a b\u{a0}\t\r".as_bytes()), b"a b");
        assert_eq!(trim(b" \xc2 "), b"\xc2");
        assert_eq!(trim(b"\xa0"), b"\xa0");
        assert_eq!(trim(b" \t "), b"");
    }

    #[test]
    fn every_byte_of_a_broken_sequence_is_one_character() {
        assert_eq!(chars(b"a\xe2\x80z"), ['a', '\u{fffd}', '\u{fffd}', 'z']);
        assert_eq!(chars("é€".as_bytes()), ['é', '€']);
    }
}
