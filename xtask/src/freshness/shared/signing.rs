//! Signatures of shared records: ed25519 (RFC 8032).

use std::fmt;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::fault::{Fault, Result};
use crate::shown;

/// The environment variable with a private key.
pub const KEY: &str = "XTASK_SIGNING_KEY";
/// The environment variable with the path of a file that has a private key.
pub const KEY_FILE: &str = "XTASK_SIGNING_KEY_FILE";
/// What stands before every text that is signed, so that no signature of another kind of text
/// counts.
const CONTEXT: &[u8] = b"xtask shared record 1\n";
/// How a private key begins.
const PRIVATE: &str = "ed25519-private:";

/// What the environment gives.
#[derive(Debug, Clone, Default)]
struct Given {
    key: Option<String>,
    file: Option<String>,
}

/// What it gave when the program began.
static GIVEN: OnceLock<Given> = OnceLock::new();

fn given() -> Given {
    let set = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
    Given {
        key: set(KEY),
        file: set(KEY_FILE),
    }
}

/// Takes the key out of the environment, so that no program that this one starts gets it, and no
/// value of the graph file can mention it.
///
/// # Safety
///
/// No other thread may run.
pub unsafe fn take_out_of_environment() {
    let _ = GIVEN.set(given());
    for name in [KEY, KEY_FILE] {
        // SAFETY: the caller promises that no other thread reads the environment meanwhile.
        unsafe { std::env::remove_var(name) };
    }
}

/// A private key. Nothing shows it.
pub struct Signer {
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

impl Signer {
    /// The key that the environment gave when the program began; `None` if it gave none.
    pub fn of_environment() -> Result<Option<Self>> {
        let given = GIVEN.get().cloned().unwrap_or_else(given);
        if let Some(text) = given.key {
            return Self::read(&text).map(Some).ok_or_else(|| wrong(KEY));
        }
        let Some(path) = given.file else {
            return Ok(None);
        };
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Fault::usage(format!(
                "cannot read the signing key {path}, which {KEY_FILE} names: {error}"
            ))
        })?;
        Self::read(&text).map(Some).ok_or_else(|| wrong(&path))
    }

    fn read(text: &str) -> Option<Self> {
        let seed = BASE64_STANDARD.decode(text.trim().strip_prefix(PRIVATE)?);
        Self::of_seed(&seed.ok()?)
    }

    fn of_seed(seed: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let public = pair.public_key().as_ref().try_into().ok()?;
        Some(Self { pair, public })
    }

    /// A new key as text.
    pub fn new_key_text() -> Result<String> {
        let mut seed = [0; 32];
        let filled = SystemRandom::new().fill(&mut seed);
        filled.map_err(|_| Fault::lacks("this machine gives no random numbers"))?;
        Ok(format!("{PRIVATE}{}", BASE64_STANDARD.encode(seed)))
    }

    /// A key from its text.
    pub fn of_text(text: &str) -> Result<Self> {
        Self::read(text).ok_or_else(|| wrong("the text"))
    }

    /// A new key.
    #[cfg(test)]
    pub fn new_key() -> Result<Self> {
        Self::of_text(&Self::new_key_text()?)
    }

    /// The public half.
    pub const fn public(&self) -> [u8; 32] {
        self.public
    }

    /// The signature of a text.
    pub fn sign(&self, text: &str) -> Signature {
        let signed = self.pair.sign(&[CONTEXT, text.as_bytes()].concat());
        let mut bytes = [0; 64];
        bytes.copy_from_slice(signed.as_ref());
        Signature(bytes)
    }
}

fn wrong(what: &str) -> Fault {
    Fault::usage(format!(
        "{what} holds no signing key: `{} key FILE` makes one",
        shown::program()
    ))
}

/// A signature of a text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_STANDARD.encode(self.0))
    }
}

impl Signature {
    /// Reads a signature.
    pub fn read(text: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// Whether one of the public keys signed exactly this text.
    pub fn is_of_any(&self, keys: &[[u8; 32]], text: &str) -> bool {
        let signed = [CONTEXT, text.as_bytes()].concat();
        keys.iter().any(|key| {
            let key = UnparsedPublicKey::new(&ED25519, key);
            key.verify(&signed, &self.0).is_ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_that_signed_and_only_the_text_that_was_signed_count() {
        let (one, other) = (Signer::new_key().unwrap(), Signer::new_key().unwrap());
        let signature = one.sign("a");
        assert!(signature.is_of_any(&[other.public(), one.public()], "a"));
        assert!(!signature.is_of_any(&[one.public()], "b"));
        assert!(!signature.is_of_any(&[other.public()], "a"));
        assert!(!signature.is_of_any(&[], "a"));
        let mut damaged = signature;
        damaged.0[0] ^= 1;
        assert!(!damaged.is_of_any(&[one.public()], "a"));
        let plain = Signature::read(&BASE64_STANDARD.encode(one.pair.sign(b"a")));
        assert!(!plain.unwrap().is_of_any(&[one.public()], "a"));
    }

    #[test]
    fn a_key_is_read_from_its_text_and_never_shown() {
        let text = Signer::new_key_text().unwrap();
        let signer = Signer::of_text(&format!("{text}\n")).unwrap();
        assert_eq!(Signer::of_text(&text).unwrap().public(), signer.public());
        assert!(!format!("{signer:?}").contains(&text[PRIVATE.len()..]));
        for wrong in ["", "ed25519-private:", "ed25519-private:AAAA", &text[1..]] {
            let fault = Signer::of_text(wrong).unwrap_err().to_string();
            assert!(wrong.len() < 10 || !fault.contains(wrong), "{fault}");
        }
    }
}
