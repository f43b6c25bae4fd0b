//! Secrets of every shape, made from a seed. No text in this file is a secret, as scanners of this
//! repository must stay silent.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::verify::secrets::letters::{crc32, in_base};

/// A small random number generator that gives the same numbers in every run.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    /// Random letters of an alphabet. A longer text has capitals, small letters and digits, if the
    /// alphabet has them.
    pub fn text(&mut self, alphabet: &str, length: usize) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        loop {
            let text: String = (0..length)
                .map(|_| letters[usize::try_from(self.next()).unwrap() % letters.len()])
                .collect();
            let has = |kind: fn(char) -> bool| !alphabet.contains(kind) || text.contains(kind);
            let three = has(|c| c.is_ascii_uppercase())
                && has(|c| c.is_ascii_lowercase())
                && has(|c| c.is_ascii_digit());
            if three || length < 8 {
                return text;
            }
        }
    }
}

pub const ALNUM: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const URL64: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-";
const BASE64: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/";
pub const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const HEX: &str = "0123456789abcdef";
const BASE32: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// One secret of each shape that is found by its content, with the name of the shape.
pub fn all(seed: u64) -> Vec<(&'static str, String)> {
    let mut all = keys(seed);
    all.extend(forges(seed));
    all.extend(clouds(seed));
    all.extend(models(seed));
    all.extend(services(seed));
    all.extend(general(seed));
    all
}

fn checked(dice: &mut Dice, prefix: &str) -> String {
    let random = dice.text(ALNUM, 30);
    let sum = in_base(crc32(random.as_bytes()), 62, 6, true);
    format!("{prefix}{random}{}", String::from_utf8(sum).unwrap())
}

/// A PEM block with this label.
pub fn block(label: &str, content: &[u8]) -> String {
    let text = STANDARD.encode(content);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let dashes = "-".repeat(5);
    format!(
        "{dashes}BEGIN {label}{dashes}\n{}\n{dashes}END {label}{dashes}\n",
        lines.join("\n")
    )
}

/// A DER sequence of this many random bytes.
pub fn sequence(dice: &mut Dice, length: u16) -> Vec<u8> {
    let [high, low] = length.to_be_bytes();
    let mut der = vec![0x30, 0x82, high, low];
    der.extend(dice.bytes(length.into()));
    der
}

fn keys(seed: u64) -> Vec<(&'static str, String)> {
    let dice = &mut Dice::new(seed ^ 1);
    let private = "PRIVATE KEY";
    let rsa = sequence(dice, 1188);
    let pkcs8 = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let mut ssh = b"openssh-key-v1\0".to_vec();
    ssh.extend(dice.bytes(300));
    let mut pgp = vec![0x95, 0x03];
    pgp.extend(dice.bytes(900));
    let locked = block(&format!("RSA {private}"), &dice.bytes(1200)).replacen(
        "-\n",
        "-\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123\n\n",
        1,
    );
    let pgp = block(&format!("PGP {private} BLOCK"), &pgp)
        .replacen("-\n", "-\nVersion: GnuPG v2\n\n", 1)
        .replacen("\n-----END", "\n=aB3d\n-----END", 1);
    let one_line = block(private, &rsa).replace('\n', "\\n");
    let google = format!("{{\"type\": \"service_account\", \"private_key\": \"{one_line}\"}}");
    let concatenated = block(private, &rsa)
        .lines()
        .map(|line| format!("  \"{line}\\n\" +\n"))
        .collect::<Vec<String>>()
        .concat();
    let putty = format!(
        "PuTTY-User-{}-File-3: ssh-ed25519\nEncryption: none\nComment: mine\nPublic-Lines: 1\n{}\n\
         Private-Lines: 1\n{}\nPrivate-MAC: 00\n",
        "Key",
        dice.text(BASE64, 64),
        dice.text(BASE64, 48),
    );
    vec![
        ("private-key", block(&format!("RSA {private}"), &rsa)),
        ("private-key", block(&format!("ENCRYPTED {private}"), &rsa)),
        ("private-key", pkcs8.clone()),
        ("private-key", pkcs8.replace('\n', "\r\n")),
        ("private-key", block(&format!("OPENSSH {private}"), &ssh)),
        ("private-key", locked),
        ("private-key", pgp),
        ("private-key", google),
        ("private-key", concatenated),
        ("encoded-private-key", STANDARD.encode(pkcs8)),
        ("putty-key", putty),
        ("age-key", age(dice)),
    ]
}

/// A Bech32 text. Its checksum is found by search, so that the test has no second copy of the code.
fn age(dice: &mut Dice) -> String {
    let letters: Vec<u32> = (0..52)
        .map(|_| u32::try_from(dice.next() % 32).unwrap())
        .collect();
    let step = |sum: u32, value: u32| {
        let top = sum >> 25;
        let mut sum = (sum & 0x01ff_ffff) << 5 ^ value;
        for (bit, factor) in [
            0x3b6a_57b2,
            0x2650_8e6d,
            0x1ea1_19fa,
            0x3d42_33dd,
            0x2a14_62b3,
        ]
        .into_iter()
        .enumerate()
        {
            if top >> bit & 1 == 1 {
                sum ^= factor;
            }
        }
        sum
    };
    let prefix = b"age-secret-key-";
    let start = prefix
        .iter()
        .map(|byte| u32::from(byte >> 5))
        .chain([0])
        .chain(prefix.iter().map(|byte| u32::from(byte & 31)))
        .fold(1, step);
    let sum = letters.iter().copied().chain([0; 6]).fold(start, step) ^ 1;
    let text: String = letters
        .into_iter()
        .chain((0..6).rev().map(|at| sum >> (5 * at) & 31))
        .map(|digit| char::from(b"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"[digit as usize]))
        .collect();
    format!("AGE-SECRET-{}-1{text}", "KEY")
}

fn forges(seed: u64) -> Vec<(&'static str, String)> {
    let dice = &mut Dice::new(seed ^ 2);
    let mut macaroon = b"\x02\x01\x08pypi.org\x02\x28".to_vec();
    macaroon.extend(dice.bytes(40));
    macaroon.extend(b"\0\0\x06\x20");
    macaroon.extend(dice.bytes(32));
    let signed = format!("glpat-{}.01.1g", dice.text(URL64, 52));
    let sum = in_base(crc32(signed.as_bytes()), 36, 7, false);
    vec![
        ("github-token", checked(dice, "ghp_")),
        ("github-token", checked(dice, "gho_")),
        ("github-token", checked(dice, "ghu_")),
        ("github-token", checked(dice, "ghs_")),
        ("github-token", checked(dice, "ghr_")),
        (
            "github-fine-grained-token",
            format!(
                "github_pat_{}_{}",
                dice.text(ALNUM, 22),
                dice.text(ALNUM, 59)
            ),
        ),
        ("gitlab-token", format!("glpat-{}", dice.text(ALNUM, 20))),
        ("gitlab-token", format!("glrt-{}", dice.text(ALNUM, 20))),
        ("gitlab-token", format!("gldt-{}", dice.text(ALNUM, 20))),
        (
            "gitlab-routable-token",
            format!("{signed}{}", String::from_utf8(sum).unwrap()),
        ),
        ("npm-token", checked(dice, "npm_")),
        (
            "pypi-token",
            format!("pypi-{}", URL_SAFE_NO_PAD.encode(macaroon)),
        ),
        ("docker-token", format!("dckr_pat_{}", dice.text(ALNUM, 27))),
        ("docker-token", format!("dckr_oat_{}", dice.text(ALNUM, 32))),
    ]
}

fn clouds(seed: u64) -> Vec<(&'static str, String)> {
    let dice = &mut Dice::new(seed ^ 3);
    let aws = format!("AKIA{} {}", dice.text(BASE32, 16), dice.text(BASE64, 40));
    let by_name = format!("{}_secret_access_key = {}", "aws", dice.text(BASE64, 40));
    let storage = STANDARD.encode(dice.bytes(64));
    let bus = STANDARD.encode(dice.bytes(32));
    vec![
        ("aws-access-key", aws),
        ("aws-secret-key", by_name.clone()),
        (
            "aws-secret-key",
            by_name.replace("aws_secret_access_key", "AWS_SECRET_ACCESS_KEY"),
        ),
        (
            "alibaba-access-key",
            format!("LTAI{},{}", dice.text(ALNUM, 20), dice.text(ALNUM, 30)),
        ),
        (
            "tencent-access-key",
            format!("AKID{},{}", dice.text(ALNUM, 32), dice.text(ALNUM, 32)),
        ),
        (
            "azure-account-key",
            format!("DefaultEndpointsProtocol=https;AccountName=files;AccountKey={storage};"),
        ),
        (
            "azure-account-key",
            format!("Endpoint=sb://bus;SharedAccessKey={bus}"),
        ),
        (
            "azure-client-secret",
            format!("a{}8Q~{}", dice.text(ALNUM, 2), dice.text(ALNUM, 34)),
        ),
        (
            "azure-key",
            format!("{}JQQJ99{}", dice.text(ALNUM, 52), dice.text(ALNUM, 26)),
        ),
        (
            "digitalocean-token",
            format!("dop_v1_{}", dice.text(HEX, 64)),
        ),
        (
            "cloudflare-token",
            format!("cfut_{}{}", dice.text(ALNUM, 40), dice.text(HEX, 8)),
        ),
        (
            "cloudflare-token",
            format!("cfk_{}{}", dice.text(ALNUM, 40), dice.text(HEX, 8)),
        ),
        ("databricks-token", format!("dapi{}", dice.text(HEX, 32))),
        (
            "terraform-token",
            format!("{}.atlasv1.{}", dice.text(ALNUM, 14), dice.text(ALNUM, 67)),
        ),
        ("vault-token", format!("hvs.{}", dice.text(ALNUM, 95))),
        ("vault-token", format!("hvb.{}", dice.text(ALNUM, 150))),
    ]
}

fn models(seed: u64) -> Vec<(&'static str, String)> {
    let dice = &mut Dice::new(seed ^ 4);
    let uuid: String = [8, 4, 4, 4, 12]
        .map(|length| dice.text(HEX, length))
        .join("-");
    let middle = ["T3Blbk", "FJ"].concat();
    vec![
        (
            "openai-key",
            format!(
                "sk-{}{middle}{}",
                dice.text(ALNUM, 20),
                dice.text(ALNUM, 20)
            ),
        ),
        (
            "openai-key",
            format!(
                "sk-proj-{}{middle}{}",
                dice.text(URL64, 74),
                dice.text(ALNUM, 74)
            ),
        ),
        (
            "anthropic-key",
            format!("sk-ant-api03-{}AA", dice.text(ALNUM, 93)),
        ),
        (
            "huggingface-token",
            format!("hf_{}", dice.text(LETTERS, 34)),
        ),
        ("groq-key", format!("gsk_{}", dice.text(ALNUM, 52))),
        (
            "langsmith-key",
            format!("lsv2_pt_{}_{}", dice.text(HEX, 32), dice.text(HEX, 10)),
        ),
        ("langfuse-key", format!("sk-lf-{uuid}")),
        ("dify-key", format!("app-{}", dice.text(ALNUM, 24))),
        ("dify-key", format!("dataset-{}", dice.text(ALNUM, 24))),
    ]
}

fn services(seed: u64) -> Vec<(&'static str, String)> {
    let dice = &mut Dice::new(seed ^ 5);
    let number = "0123456789";
    vec![
        (
            "slack-token",
            format!(
                "xoxb-{}-{}-{}",
                dice.text(number, 12),
                dice.text(number, 13),
                dice.text(ALNUM, 24)
            ),
        ),
        (
            "slack-token",
            format!(
                "xapp-1-A{}-{}-{}",
                dice.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", 10),
                dice.text(number, 13),
                dice.text(HEX, 64)
            ),
        ),
        (
            "slack-webhook",
            format!(
                "https://hooks.slack.{}/services/T{}/B{}/{}",
                "com",
                dice.text(number, 9),
                dice.text(number, 10),
                dice.text(ALNUM, 24)
            ),
        ),
        (
            "stripe-key",
            format!("sk_{}_{}", "live", dice.text(ALNUM, 24)),
        ),
        (
            "sendgrid-key",
            format!("SG.{}.{}", dice.text(ALNUM, 22), dice.text(ALNUM, 43)),
        ),
        (
            "twilio-token",
            format!("twilio: AC{} / {}", dice.text(HEX, 32), dice.text(HEX, 32)),
        ),
        (
            "telegram-token",
            format!("7{}:AA{}", dice.text(number, 9), dice.text(ALNUM, 33)),
        ),
        ("shopify-token", format!("shpat_{}", dice.text(HEX, 32))),
        (
            "grafana-token",
            format!("glsa_{}_{}", dice.text(ALNUM, 32), dice.text(HEX, 8)),
        ),
    ]
}

/// A JSON web token with a random signature.
pub fn jwt(dice: &mut Dice, claims: &str) -> String {
    let header = r#"{"alg":"HS256","typ":"JWT"}"#;
    [
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims),
        URL_SAFE_NO_PAD.encode(dice.bytes(32)),
    ]
    .join(".")
}

fn general(seed: u64) -> Vec<(&'static str, String)> {
    let dice = &mut Dice::new(seed ^ 6);
    let password = dice.text(ALNUM, 20);
    vec![
        (
            "jwt",
            jwt(
                dice,
                r#"{"iss":"kubernetes/serviceaccount","sub":"system:x"}"#,
            ),
        ),
        ("jwt", jwt(dice, r#"{"role":"service_role","ref":"x"}"#)),
        ("jwt", jwt(dice, r#"{"iat":1700000000,"exp":2000000000}"#)),
        (
            "url-password",
            format!("postgres://app:{password}@db:5432/app"),
        ),
        ("url-password", format!("redis://:{password}@cache")),
        (
            "url-password",
            format!("https://ci:{password}@pypi.corp.io/simple"),
        ),
    ]
}
