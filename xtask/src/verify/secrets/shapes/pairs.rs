//! A secret without a prefix, beside an id that is not secret. Only both together count.

use crate::verify::secrets::letters::{ALNUM, Alphabet, BASE64, HEX};
use crate::verify::secrets::shape::{Hit, mixed, random};
use crate::verify::secrets::view::TextView;

/// How far from its id a secret may be.
const BESIDE: usize = 256;
const BASE32: Alphabet = Alphabet::of("A-Z2-7");

/// The form of an issuer's pair.
struct Pair {
    id: Alphabet,
    /// The length of the id, with its prefix.
    id_length: std::ops::RangeInclusive<usize>,
    secret: Alphabet,
    secret_length: usize,
    bits: f64,
}

/// `AKIA…` beside 40 characters.
pub fn aws(view: &TextView<'_>) -> Option<Hit> {
    find(
        view,
        &Pair {
            id: BASE32,
            id_length: 20..=20,
            secret: BASE64,
            secret_length: 40,
            bits: 4.1,
        },
    )
}

/// `LTAI…` beside 30 characters.
pub fn alibaba(view: &TextView<'_>) -> Option<Hit> {
    find(
        view,
        &Pair {
            id: ALNUM,
            id_length: 16..=24,
            secret: ALNUM,
            secret_length: 30,
            bits: 3.8,
        },
    )
}

/// `AKID…` beside 32 characters.
pub fn tencent(view: &TextView<'_>) -> Option<Hit> {
    find(
        view,
        &Pair {
            id: ALNUM,
            id_length: 36..=36,
            secret: ALNUM,
            secret_length: 32,
            bits: 3.9,
        },
    )
}

fn find(view: &TextView<'_>, pair: &Pair) -> Option<Hit> {
    let end = view.run(view.at, &pair.id, pair.id_length.end() + 1);
    let id = &view.bytes[view.at..end];
    if !pair.id_length.contains(&id.len())
        || view.byte(end).is_some_and(|byte| ALNUM.has(byte))
        || view.before(view.at).is_some_and(|byte| BASE64.has(byte))
        || !random(&id[4..], 2.4)
    {
        return None;
    }
    let near = view.at.saturating_sub(BESIDE)..view.bytes.len().min(end + BESIDE);
    view.spend(near.len());
    let secret = runs(&view.bytes[near.clone()], &pair.secret)
        .map(|run| near.start + run.start..near.start + run.end)
        .filter(|run| run.end <= view.at || run.start >= end)
        // A run at the border may continue beyond it.
        .filter(|run| run.start > near.start || near.start == 0)
        .find(|run| {
            let text = &view.bytes[run.clone()];
            run.len() == pair.secret_length && mixed(text) && random(text, pair.bits)
        })?;
    // The hit begins at the id, so that a secret before it cannot be found twice.
    Some(Hit::of(view.at..secret.end.max(end), &id[..4]))
}

/// `aws_secret_access_key = …` with any id.
pub fn aws_by_name(view: &TextView<'_>) -> Option<Hit> {
    let name = view.at + b"ws_secret_access_key".len();
    let from = view.run(name, &Alphabet::of(" \t\"':=>\\-"), 8);
    let end = view.run(from, &BASE64, 41);
    let text = &view.bytes[from..end];
    view.spend(text.len());
    (from > name && text.len() == 40 && mixed(text) && random(text, 4.1))
        .then(|| Hit::of(from..end, b""))
}

/// `AC` and 32 hexadecimal digits beside 32 others, near the word "twilio".
pub fn twilio(view: &TextView<'_>) -> Option<Hit> {
    let near = view.at.saturating_sub(BESIDE)..view.bytes.len().min(view.at + BESIDE);
    view.spend(near.len());
    let text = &view.bytes[near.clone()];
    let (mut sid, mut token) = (None, None);
    for run in runs(text, &HEX).filter(|run| run.len() == 32) {
        let free = |at: Option<&u8>| at.is_none_or(|byte| !ALNUM.has(*byte));
        let before = &text[..run.start];
        if !free(text.get(run.end)) || !random(&text[run.clone()], 2.9) {
            continue;
        }
        if before.ends_with(b"AC") {
            sid = sid.or(Some(run));
        } else if free(before.last()) {
            token = token.or(Some(run));
        }
    }
    let (_, token) = (sid?, token?);
    let end = near.start + token.end;
    Some(Hit::of(near.start + token.start..end.max(view.at + 6), b"")).map(|hit| Hit {
        masked: "… (32 characters)".to_owned(),
        ..hit
    })
}

/// The runs of an alphabet in a text.
fn runs<'a>(
    text: &'a [u8],
    alphabet: &'a Alphabet,
) -> impl Iterator<Item = std::ops::Range<usize>> + 'a {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < text.len() && !alphabet.has(text[at]) {
            at += 1;
        }
        let start = at;
        while at < text.len() && alphabet.has(text[at]) {
            at += 1;
        }
        (start < at).then_some(start..at)
    })
}
