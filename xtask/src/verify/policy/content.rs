//! Rules that look at the content of files, in the one pass over each layer: secrets, and the
//! accounts of an image.

use crate::verify::layers::{ContentFinding, ContentRule, Entry, Wish, shown};
use crate::verify::secrets::{self, Scanner};

/// The name of the secrets' findings.
pub(super) const SECRETS: &str = "secrets";
/// The name of the accounts' findings: `what` is `user` or `group`, the note is a line of the file.
pub(super) const ACCOUNTS: &str = "accounts";

/// The most bytes of an account's line, and the most lines that are kept.
const LONGEST: usize = 4096;
const MOST: usize = 10_000;

/// All content rules, for one reading.
pub fn rules() -> Vec<Box<dyn ContentRule>> {
    vec![Box::<Secrets>::default(), Box::<Accounts>::default()]
}

/// Looks for secrets by their shapes.
#[derive(Default)]
struct Secrets {
    scanner: Option<Scanner>,
}

impl ContentRule for Secrets {
    fn name(&self) -> &'static str {
        SECRETS
    }

    fn version(&self) -> &'static str {
        "2"
    }

    fn start(&mut self, entry: &Entry<'_>, findings: &mut Vec<ContentFinding>) -> Wish {
        if !entry.is_file() {
            return Wish::Nothing;
        }
        let path = shown(entry.path);
        if let Some(found) = secrets::by_path(&path) {
            findings.push(told(entry, &found));
        }
        self.scanner = Some(Scanner::new(&path, entry.size));
        Wish::Content
    }

    fn chunk(&mut self, bytes: &[u8]) {
        if let Some(scanner) = &mut self.scanner {
            scanner.feed(bytes);
        }
    }

    fn end(&mut self, entry: &Entry<'_>, findings: &mut Vec<ContentFinding>) {
        let found = self.scanner.take().map(Scanner::finish);
        let found = found.unwrap_or_default();
        findings.extend(found.iter().map(|found| told(entry, found)));
    }

    fn reset(&mut self) {
        self.scanner = None;
    }
}

/// A finding whose `what` is the shape, and whose note is a sentence without the secret.
fn told(entry: &Entry<'_>, found: &secrets::FoundSecret) -> ContentFinding {
    let line = found.line.map(|line| format!(", line {line}"));
    let note = format!(
        "{} ({}{})",
        found.what,
        found.masked,
        line.unwrap_or_default()
    );
    let what = format!("{}/{}", found.rule, found.shape);
    ContentFinding::at(entry, what, note)
}

/// Keeps the accounts of an image, which resolve the names of users.
#[derive(Default)]
struct Accounts {
    text: Vec<u8>,
}

impl ContentRule for Accounts {
    fn name(&self) -> &'static str {
        ACCOUNTS
    }

    fn version(&self) -> &'static str {
        "2"
    }

    fn start(&mut self, entry: &Entry<'_>, _: &mut Vec<ContentFinding>) -> Wish {
        self.text.clear();
        if kind(entry).is_some() {
            Wish::Content
        } else {
            Wish::Nothing
        }
    }

    fn chunk(&mut self, bytes: &[u8]) {
        let room = (MOST * 64).saturating_sub(self.text.len());
        self.text.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end(&mut self, entry: &Entry<'_>, findings: &mut Vec<ContentFinding>) {
        let Some(kind) = kind(entry) else { return };
        let text = String::from_utf8_lossy(&self.text);
        let lines = text.lines().filter(|line| line.len() < LONGEST);
        for line in lines.take(MOST) {
            // Passwords must not get into findings.
            let mut fields: Vec<&str> = line.split(':').take(4).collect();
            if fields.len() >= 3 {
                fields[1] = "x";
                findings.push(ContentFinding::at(entry, kind, fields.join(":")));
            }
        }
    }
}

fn kind(entry: &Entry<'_>) -> Option<&'static str> {
    // `/etc/passwd` may be a link into another `etc`.
    let is = |name: &[u8]| {
        entry
            .path
            .strip_suffix(name)
            .is_some_and(|before| matches!(before.last(), None | Some(b'/')))
    };
    if is(b"etc/passwd") {
        Some("user")
    } else if is(b"etc/group") {
        Some("group")
    } else {
        None
    }
}
