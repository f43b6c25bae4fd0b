//! Tells secrets from values that people write into examples. Judges values only, never names.

use super::letters::{classes, entropy, staircase};

/// Words of examples. A value with such a word is not a secret.
const WORDS: &[&str] = &[
    "abcdef",
    "change",
    "default",
    "demo",
    "dummy",
    "example",
    "fake",
    "foobar",
    "hidden",
    "hunter",
    "insert",
    "letmein",
    "mock",
    "mypass",
    "notreal",
    "not-real",
    "passphrase",
    "passwd",
    "password",
    "placeholder",
    "qwert",
    "redacted",
    "replace",
    "sample",
    "secret",
    "test",
    "todo",
    "token",
    "undefined",
    "your",
    "12345",
    "00000",
    "11111",
    "xxxx",
    "1q2w3e",
    "deadbeef",
    "user",
    "admin",
    "hello",
    "apikey",
];

/// Words that are too short for long random texts, in which they occur by chance.
const SHORT: &[&str] = &[
    "foo", "bar", "baz", "xxx", "abc", "123", "key", "pass", "none", "null", "true", "root",
    "guest", "local",
];

/// How strictly a value is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// Only values that look machine-made count: in sentences, history lines, an image's
    /// configuration.
    Strict,
    /// Every value that is not a placeholder counts: in a file that exists to hold such values.
    Loose,
}

/// Whether a text contains a word of examples, also with digits for letters, as in `passw0rd`.
pub fn is_word(text: &[u8]) -> bool {
    let plain: Vec<u8> = text.iter().map(u8::to_ascii_lowercase).collect();
    let spelled: Vec<u8> = plain.iter().map(|byte| unleet(*byte)).collect();
    let has = |text: &[u8], word: &&str| {
        text.windows(word.len())
            .any(|window| window == word.as_bytes())
    };
    let short: &[&str] = if text.len() < 16 { SHORT } else { &[] };
    WORDS.iter().chain(short).any(|word| {
        has(&plain, word) || (text.len() < 16 || word.len() >= 6) && has(&spelled, word)
    })
}

fn unleet(byte: u8) -> u8 {
    match byte {
        b'0' => b'o',
        b'1' | b'!' => b'i',
        b'3' => b'e',
        b'4' | b'@' => b'a',
        b'5' | b'$' => b's',
        b'7' => b't',
        other => other,
    }
}

/// Whether a value refers to something else: a variable, a template, a path.
fn is_reference(value: &[u8]) -> bool {
    let starts: &[&[u8]] = &[
        b"$",
        b"%",
        b"<",
        b"{",
        b"[",
        b"(",
        b"*",
        b"./",
        b"../",
        b"~/",
        b"@",
        b"!",
        b"#",
        b"file:",
        b"env:",
        b"vault:",
        b"secretref:",
        b"arn:",
        b"base64:",
    ];
    let inside: &[&[u8]] = &[
        b"${", b"$(", b"{{", b"}}", b"://", b"...", b"***", b"%s", b"%(", b"<", b">", b"`", b"()",
    ];
    // Base64 may begin with a slash too, so a long value must also consist of words.
    let is_path = value.starts_with(b"/") && (value.len() < 24 || is_wordy(value));
    is_path
        || starts.iter().any(|start| value.starts_with(start))
        || inside
            .iter()
            .any(|part| value.windows(part.len()).any(|window| window == *part))
}

/// A value without the quotes around it.
pub fn unquoted(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii();
    for quote in [b'"', b'\''] {
        if let [first, inner @ .., last] = value
            && *first == quote
            && *last == quote
        {
            return inner;
        }
    }
    value
}

/// Whether a value is a secret, at a place where a secret is expected.
pub fn is_secret(value: &[u8], judge: Judge) -> bool {
    let value = unquoted(value);
    if !(8..=512).contains(&value.len())
        || !value.iter().all(u8::is_ascii_graphic)
        || is_reference(value)
        || staircase(value)
        || is_word(value)
    {
        return false;
    }
    // Digits alone are numbers. Words between hyphens, dots or underscores are names.
    let alone = value
        .iter()
        .all(|byte| byte.is_ascii_digit() || b".-_:,".contains(byte));
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let classes = classes(value);
    if alone {
        return false;
    }
    match judge {
        Judge::Strict if value.len() >= 16 => {
            let cases = value.iter().any(u8::is_ascii_lowercase)
                && value.iter().any(u8::is_ascii_uppercase);
            (digits >= 1 || cases) && entropy(value) >= 3.2 && !is_wordy(value)
        }
        Judge::Strict => digits >= 1 && classes >= 3 && entropy(value) >= 2.9 && !is_wordy(value),
        Judge::Loose => classes >= 2 && entropy(value) >= 2.5 && digits >= 1 || classes >= 3,
    }
}

/// Whether a value is made of words: `app-prod-eu-west-1`, `release_2024_12`, `newModelTurbo3`.
fn is_wordy(value: &[u8]) -> bool {
    let mut letters = 0;
    let mut in_words = 0;
    for piece in value.split(|byte| !byte.is_ascii_alphabetic()) {
        letters += piece.len();
        // A capital begins a word, unless all are capitals.
        let capitals = piece.iter().all(u8::is_ascii_uppercase);
        in_words += piece
            .chunk_by(|_, next| capitals || next.is_ascii_lowercase())
            .filter(|word| is_pronounced(word))
            .map(<[u8]>::len)
            .sum::<usize>();
    }
    in_words * 10 > letters * 6
}

/// Whether a piece of letters could be a word: four or more, a quarter of them vowels.
fn is_pronounced(piece: &[u8]) -> bool {
    let vowels = piece
        .iter()
        .filter(|byte| b"aeiouy".contains(&byte.to_ascii_lowercase()))
        .count();
    piece.len() >= 4 && vowels * 4 >= piece.len()
}
