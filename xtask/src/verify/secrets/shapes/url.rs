//! `scheme://user:password@host`.

use std::ops::Range;

use crate::verify::secrets::letters::Alphabet;
use crate::verify::secrets::placeholder::{Judge, is_secret};
use crate::verify::secrets::shape::Hit;
use crate::verify::secrets::view::{TextPlace, TextView};

const SCHEME: Alphabet = Alphabet::of("0-9A-Za-z+.-");
/// Characters of a user or a password in a URL, also those that people fail to escape.
const USERINFO: Alphabet = Alphabet::of("0-9A-Za-z._~%!&*+,;=:@^|-");
const HOST: Alphabet = Alphabet::of("0-9A-Za-z._-");
/// The most bytes of a user and of a password.
const MOST: usize = 256;

/// The anchor is `://`.
pub fn with_password(view: &TextView<'_>) -> Option<Hit> {
    let parts = Parts::of(view)?;
    let user = &view.bytes[parts.user.clone()];
    let password = &view.bytes[parts.password.clone()];
    let host = &view.bytes[parts.host.clone()];
    let judge = match view.place {
        TextPlace::File => Judge::Strict,
        TextPlace::Settings => Judge::Loose,
    };
    view.spend(password.len());
    let shown = view.place == TextPlace::File && is_example(host);
    (user != password && !shown && is_secret(&unescaped(password), judge)).then(|| {
        let text = |range: Range<usize>| String::from_utf8_lossy(&view.bytes[range]);
        Hit {
            range: parts.scheme.start..parts.host.end,
            masked: format!(
                "{}://…:…@{} (password of {} characters)",
                text(parts.scheme),
                text(parts.host),
                password.len()
            ),
            what: None,
        }
    })
}

/// A password with escapes such as `%40` decoded.
fn unescaped(password: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(password.len());
    let mut at = 0;
    while at < password.len() {
        let escaped = password
            .get(at + 1..at + 3)
            .filter(|_| password[at] == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        text.push(escaped.unwrap_or(password[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    text
}

/// The password in the first URL of a text, if it has one.
pub fn password(text: &[u8]) -> Option<&[u8]> {
    let work = std::cell::Cell::new(0);
    let at = text.windows(3).position(|part| part == b"://")?;
    let view = TextView::of(text, at, TextPlace::Settings, &work);
    let parts = Parts::of(&view)?;
    let start = at - view.at;
    text.get(start + parts.password.start..start + parts.password.end)
}

struct Parts {
    scheme: Range<usize>,
    user: Range<usize>,
    password: Range<usize>,
    host: Range<usize>,
}

impl Parts {
    fn of(view: &TextView<'_>) -> Option<Self> {
        let scheme = view.run_back(view.at, &SCHEME, 24)..view.at;
        let from = view.at + 3;
        let run = view.run(from, &USERINFO, MOST);
        let text = &view.bytes[from..run];
        // The last `@` ends the password, as a password may contain an unescaped one.
        let end = from + text.iter().rposition(|byte| *byte == b'@')?;
        let colon = from + text.iter().position(|byte| *byte == b':')?;
        let host = end + 1..view.run(end + 1, &HOST, MOST);
        (scheme.len() >= 2 && colon < end && !host.is_empty()).then_some(Self {
            scheme,
            user: from..colon,
            password: colon + 1..end,
            host,
        })
    }
}

/// Hosts of examples: those of RFC 2606, the local host, and the word `host` itself.
fn is_example(host: &[u8]) -> bool {
    let host = String::from_utf8_lossy(host).to_ascii_lowercase();
    let host = host.split(':').next().unwrap_or_default();
    [
        "localhost",
        "127.0.0.1",
        "0.0.0.0",
        "host",
        "hostname",
        "server",
        "domain.com",
        "foo.com",
    ]
    .contains(&host)
        || host.contains("example")
        || [".test", ".invalid", ".localhost", ".local"]
            .iter()
            .any(|end| host.ends_with(end))
}
