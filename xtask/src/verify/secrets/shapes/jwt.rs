//! JSON web tokens that stay valid for long.
//!
//! Documents contain many JWTs that are mere examples, and sessions expire within hours. So a token
//! alone is not a finding: its claims must say that it is a long-lived credential.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::verify::secrets::letters::URL64;
use crate::verify::secrets::shape::Hit;
use crate::verify::secrets::view::TextView;

/// The most bytes of a part that are read.
const MOST: usize = 4096;
/// The least lifetime of a long-lived token, in seconds: 90 days.
const LONG: i64 = 90 * 24 * 3600;

/// The anchor is the beginning of the header.
pub fn long_lived(view: &TextView<'_>) -> Option<Hit> {
    if view
        .before(view.at)
        .is_some_and(|byte| URL64.has(byte) || byte == b'.')
    {
        return None;
    }
    let header_end = part(view, view.at)?;
    let payload_end = part(view, header_end + 1)?;
    let end = view.run(payload_end + 1, &URL64, MOST);
    let header = json(view, view.at, header_end)?;
    let payload = json(view, header_end + 1, payload_end)?;
    let signature = URL_SAFE_NO_PAD
        .decode(&view.bytes[payload_end + 1..end])
        .ok()?;
    let what = credential(&payload)?;
    fits(header.get("alg")?.as_str()?, signature.len()).then(|| Hit {
        what: Some(what),
        ..Hit::of(view.at..end, b"eyJ")
    })
}

/// The end of a part that a dot follows.
fn part(view: &TextView<'_>, from: usize) -> Option<usize> {
    let end = view.run(from, &URL64, MOST);
    (view.byte(end) == Some(b'.')).then_some(end)
}

fn json(view: &TextView<'_>, from: usize, until: usize) -> Option<Value> {
    view.spend(until - from);
    let bytes = URL_SAFE_NO_PAD.decode(&view.bytes[from..until]).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Whether a signature has the length that its algorithm gives.
fn fits(algorithm: &str, length: usize) -> bool {
    match algorithm {
        "HS256" => length == 32,
        "HS384" => length == 48,
        "HS512" | "ES256" | "EdDSA" => length == 64,
        "ES384" => length == 96,
        "ES512" => length == 132,
        "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512" => (128..=1024).contains(&length),
        _ => false,
    }
}

fn credential(payload: &Value) -> Option<&'static str> {
    let number = |name| payload.get(name).and_then(Value::as_i64);
    if payload.get("iss").and_then(Value::as_str) == Some("kubernetes/serviceaccount") {
        return Some("the token of a Kubernetes service account");
    }
    if payload.get("role").and_then(Value::as_str) == Some("service_role") {
        return Some("a service_role key");
    }
    // Tokens with the role `anon` are meant to be in web pages.
    if payload.get("role").and_then(Value::as_str) == Some("anon") {
        return None;
    }
    let life = number("exp")?.checked_sub(number("iat")?)?;
    (life >= LONG).then_some("a long-lived token (JWT)")
}
