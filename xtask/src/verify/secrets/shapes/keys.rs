//! Private keys.

use super::pem;
use crate::verify::secrets::letters::Alphabet;
use crate::verify::secrets::shape::{Find, Proof, Shape, Test};

/// The shapes of this group.
pub static SHAPES: &[Shape] = &[
    Shape {
        id: "private-key",
        what: "a private key",
        why: "signs, decrypts or logs in as its owner",
        source: "RFC 7468 (PEM), RFC 9580 (OpenPGP), OpenSSH's PROTOCOL.key: the whole block must \
                 be base64 of such a key. Encrypted ones count: a passphrase can be guessed offline",
        repair: "make a new key, and withdraw the certificate or the public key of the old one; waive what a package publishes for its tests",
        proof: Proof::Likeness,
        find: Find::Code {
            anchors: &["-BEGIN "],
            at: pem::armoured,
        },
    },
    Shape {
        id: "encoded-private-key",
        what: "a private key in base64",
        why: "signs, decrypts or logs in as its owner, as `client-key-data` of a kubeconfig does",
        source: "kubernetes.io, kubeconfig (v1): a PEM block, once more in base64",
        repair: "make a new key, and withdraw the certificate of the old one",
        proof: Proof::Likeness,
        find: Find::Code {
            anchors: &["LS0tLS1CRUdJTi"],
            at: pem::encoded,
        },
    },
    Shape {
        id: "putty-key",
        what: "a private key of PuTTY",
        why: "logs in as its owner",
        source: "the.earth.li/~sgtatham/putty, appendix C: the lines of a .ppk file in order",
        repair: "make a new key, and remove the old one from authorized_keys",
        proof: Proof::Likeness,
        find: Find::Code {
            anchors: &["PuTTY-User-Key-File-"],
            at: pem::putty,
        },
    },
    Shape {
        id: "age-key",
        what: "a private key of age",
        why: "decrypts what was encrypted for it, as with sops",
        source: "age-encryption.org/v1, \"The X25519 recipient type\": 32 bytes in Bech32 with its \
                 checksum",
        repair: "make a new key, and encrypt everything again",
        proof: Proof::Checksum,
        find: Find::Token {
            prefixes: &["AGE-SECRET-KEY-1"],
            body: Alphabet::of(BECH32),
            length: 58..=58,
            test: Test::Call(bech32),
        },
    },
];

const BECH32: &str = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";

/// The checksum of BIP 173 over `age-secret-key-` and the body.
fn bech32(body: &[u8]) -> bool {
    const GENERATOR: [u32; 5] = [
        0x3b6a_57b2,
        0x2650_8e6d,
        0x1ea1_19fa,
        0x3d42_33dd,
        0x2a14_62b3,
    ];
    let prefix = b"age-secret-key-";
    let body = body.iter().filter_map(|byte| {
        BECH32
            .bytes()
            .position(|letter| letter == *byte)
            .and_then(|digit| u32::try_from(digit).ok())
    });
    let values = prefix
        .iter()
        .map(|byte| u32::from(byte >> 5))
        .chain([0])
        .chain(prefix.iter().map(|byte| u32::from(byte & 31)))
        .chain(body);
    let sum = values.fold(1u32, |sum, value| {
        let top = sum >> 25;
        GENERATOR
            .iter()
            .enumerate()
            .filter(|(bit, _)| top >> bit & 1 == 1)
            .fold((sum & 0x01ff_ffff) << 5 ^ value, |sum, (_, factor)| {
                sum ^ factor
            })
    });
    sum == 1
}
