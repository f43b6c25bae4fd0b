//! Hosts of code, packages and images.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::verify::secrets::letters::{ALNUM, Alphabet, DIGIT, URL64, crc32, in_base};
use crate::verify::secrets::shape::{Find, Hit, Proof, Shape, Test, mixed, random};
use crate::verify::secrets::view::TextView;

const BASE36: Alphabet = Alphabet::of("0-9a-z");
/// GitLab's limit for a routable token without its prefix.
const MOST_ROUTABLE: usize = 320;

/// The shapes of this group.
pub static SHAPES: &[Shape] = &[
    Shape {
        id: "github-token",
        what: "a GitHub token",
        why: "reads and writes repositories and packages as its owner",
        source: "github.blog, \"Behind GitHub's new authentication token formats\": prefix, 30 \
                 random characters, CRC-32 in base 62",
        repair: "revoke it at github.com/settings/tokens (or the app's page)",
        proof: Proof::Checksum,
        find: Find::Token {
            prefixes: &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
            body: ALNUM,
            length: 36..=36,
            test: Test::Checksum62,
        },
    },
    Shape {
        id: "github-fine-grained-token",
        what: "a fine-grained GitHub token",
        why: "reads and writes the repositories that it was made for",
        source: "docs.github.com, \"About authentication to GitHub\": github_pat_, 22 characters, \
                 an underscore, 59 characters",
        repair: "revoke it at github.com/settings/personal-access-tokens",
        proof: Proof::Likeness,
        find: Find::Token {
            prefixes: &["github_pat_"],
            body: Alphabet::of("0-9A-Za-z_"),
            length: 82..=82,
            test: Test::Call(|body| {
                body[22] == b'_'
                    && ALNUM.all(&body[..22])
                    && ALNUM.all(&body[23..])
                    && random(&body[23..], 4.5)
            }),
        },
    },
    Shape {
        id: "gitlab-token",
        what: "a GitLab token",
        why: "acts as its owner, runner or deploy key on that GitLab",
        source: "docs.gitlab.com, \"GitLab token overview\", token prefixes: 20 characters",
        repair: "revoke it on the access token page of the user, group or project",
        proof: Proof::Likeness,
        find: Find::Token {
            prefixes: &["glpat-", "gldt-", "glrt-", "glsoat-", "glft-", "GR1348941"],
            body: URL64,
            length: 20..=20,
            test: Test::Call(|body| mixed(body) && random(body, 3.3)),
        },
    },
    Shape {
        id: "gitlab-routable-token",
        what: "a GitLab token",
        why: "acts as its owner on that GitLab",
        source: "handbook.gitlab.com, \"Routable tokens\": payload, length in base 36, CRC-32 of \
                 all before it in base 36",
        repair: "revoke it on the access token page of the user, group or project",
        proof: Proof::Checksum,
        find: Find::Code {
            anchors: &[
                "glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glagent-", "gloas-",
            ],
            at: routable,
        },
    },
    Shape {
        id: "npm-token",
        what: "an npm token",
        why: "publishes packages, or reads private ones",
        source: "github.blog changelog 2021-09-23, \"npm has a new access token format\": as \
                 GitHub's, with a CRC-32 in base 62",
        repair: "run `npm token revoke` with its first characters",
        proof: Proof::Checksum,
        find: Find::Token {
            prefixes: &["npm_"],
            body: ALNUM,
            length: 36..=36,
            test: Test::Checksum62,
        },
    },
    Shape {
        id: "pypi-token",
        what: "a PyPI token",
        why: "publishes releases of a Python package",
        source: "pypi.org/help, API tokens; a macaroon of version 2 whose location is pypi.org or \
                 test.pypi.org and whose last field is a signature of 32 bytes",
        repair: "remove it at pypi.org/manage/account",
        proof: Proof::Checksum,
        find: Find::Token {
            prefixes: &["pypi-AgEIcHlwaS5vcmc", "pypi-AgENdGVzdC5weXBpLm9yZ"],
            body: URL64,
            length: 50..=1000,
            test: Test::Call(macaroon_ends),
        },
    },
    Shape {
        id: "docker-token",
        what: "a Docker Hub token",
        why: "pushes and pulls images as its owner",
        source: "docs.docker.com, \"Personal access tokens\": dckr_pat_ and 27 characters, \
                 dckr_oat_ and 32",
        repair: "delete it at app.docker.com/settings/personal-access-tokens",
        proof: Proof::Likeness,
        find: Find::Token {
            prefixes: &["dckr_pat_", "dckr_oat_"],
            body: URL64,
            length: 27..=32,
            test: Test::Call(|body| {
                matches!(body.len(), 27 | 32) && mixed(body) && random(body, 3.6)
            }),
        },
    },
];

/// The signature that ends a macaroon: end of section, type 6, 32 bytes.
fn macaroon_ends(body: &[u8]) -> bool {
    // The shape's prefix ends within a group of four characters, so the tail is decoded at each
    // offset.
    let tail = body.len() - 48;
    (0..4).any(|shift| {
        body.get(tail + shift..)
            .and_then(|tail| URL_SAFE_NO_PAD.decode(tail).ok())
            .is_some_and(|tail| tail.len() >= 34 && tail[tail.len() - 34..].starts_with(&[6, 32]))
    })
}

/// `prefix payload . version . length checksum`. Older tokens have no version.
fn routable(view: &TextView<'_>) -> Option<Hit> {
    if view.before(view.at).is_some_and(|byte| URL64.has(byte)) {
        return None;
    }
    let payload = view.run(view.at, &URL64, MOST_ROUTABLE);
    let mut end = payload;
    if view.byte(end) == Some(b'.') {
        let version = view.run(end + 1, &DIGIT, 2);
        if version == end + 3 && view.byte(version) == Some(b'.') {
            end = version;
        }
    }
    if view.byte(end) != Some(b'.') {
        return None;
    }
    let whole = view.run(end + 1, &BASE36, 9);
    let text = &view.bytes[view.at..whole];
    if whole != end + 10 || text.len() < 33 {
        return None;
    }
    view.spend(text.len());
    let (signed, sum) = text.split_at(text.len() - 7);
    let dash = text.iter().position(|byte| *byte == b'-')? + 1;
    (in_base(crc32(signed), 36, 7, false) == sum).then(|| Hit::of(view.at..whole, &text[..dash]))
}
