//! The versions of programs.

/// The first three numbers of a version such as `26.1.5+dfsg1`, `v0.13` or `2.26.1-4`; a missing
/// one is 0.
pub fn version(text: &str) -> Option<[u64; 3]> {
    let text = text.trim().trim_start_matches('v');
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let mut numbers = text[..end].split('.').map(str::parse);
    let first = numbers.next()?.ok()?;
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
    Some([first, next(), next()])
}
