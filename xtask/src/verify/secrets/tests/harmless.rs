//! Texts that are known to mislead scanners. None of them is a finding.

use super::made::Dice;
use crate::verify::secrets::{FoundSecret, Scanner, by_path, in_environment, in_text};

/// A line is `file PATH: TEXT`, `env NAME=VALUE` or `history TEXT`. `\n` stands for a newline.
const CORPUS: &str = include_str!("harmless.txt");

fn scan(path: &str, text: &str) -> Vec<FoundSecret> {
    let mut scanner = Scanner::new(path, text.len() as u64);
    scanner.feed(text.as_bytes());
    let mut found = scanner.finish();
    found.extend(by_path(path));
    found
}

/// The key of Azure's storage emulator, which its documentation publishes.
fn emulator() -> String {
    [
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq",
        "/K1SZFPTOtr/KBHBeksoGMGw==",
    ]
    .concat()
}

#[test]
fn harmless_names_and_texts_give_no_finding() {
    let lines: Vec<&str> = CORPUS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# "))
        .collect();
    assert!(lines.len() >= 200, "{}", lines.len());
    let mut wrong = Vec::new();
    for line in lines {
        let text = line
            .replace("\\n", "\n")
            .replace("{random}", &Dice::new(71).text(super::made::ALNUM, 20))
            .replace("{emulator}", &emulator());
        let found = if let Some(rest) = text.strip_prefix("file ") {
            let (path, text) = rest.split_once(": ").unwrap();
            scan(path, text)
        } else if let Some(rest) = text.strip_prefix("env ") {
            let (name, value) = rest.split_once('=').unwrap();
            let mut found = in_text(name, value);
            found.extend(in_environment(&[(name, value)]));
            found.extend(in_text("", &format!("ENV {name}={value}")));
            found
        } else {
            in_text("", text.strip_prefix("history ").unwrap())
        };
        if !found.is_empty() {
            wrong.push((line, found));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn harmless_things_that_are_random_give_no_finding() {
    let dice = &mut Dice::new(70);
    let hex = |dice: &mut Dice, length| dice.text("0123456789abcdef", length);
    let base64 = |dice: &mut Dice, length| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(dice.bytes(length))
    };
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(["host.internal".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap().pem();
    let request = parameters.serialize_request(&key).unwrap().pem().unwrap();
    let public = key.public_key_pem();
    for round in 0..50 {
        let uuid = [8, 4, 4, 4, 12].map(|length| hex(dice, length)).join("-");
        let texts = [
            certificate.clone(),
            request.clone(),
            public.clone(),
            format!("{certificate}{public}"),
            format!("commit {}\nindex {}", hex(dice, 40), hex(dice, 7)),
            format!("id: {uuid}\nTOKEN_ID={uuid}"),
            format!("\"integrity\": \"sha512-{}\"", base64(dice, 64)),
            format!("  integrity sha1-{}", base64(dice, 20)),
            format!("{{file = \"x.whl\", hash = \"sha256:{}\"}}", hex(dice, 64)),
            format!("x==1 --hash=sha256:{}", hex(dice, 64)),
            format!("h1:{}", base64(dice, 32)),
            format!("data:image/png;base64,{}", base64(dice, 3000)),
            format!("ssh-ed25519 {} me@host", base64(dice, 51)),
            format!("ssh-rsa {} me@host", base64(dice, 279)),
            format!("host.internal ssh-rsa {}", base64(dice, 279)),
            format!(
                "-----BEGIN PGP PUBLIC KEY BLOCK-----\n{}\n-----END PGP PUBLIC KEY BLOCK-----",
                base64(dice, 900)
            ),
            format!(
                "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----",
                base64(dice, 900)
            ),
            format!(
                "-----BEGIN DH PARAMETERS-----\n{}\n-----END DH PARAMETERS-----",
                base64(dice, 268)
            ),
            format!("etag: \"{}\"", hex(dice, 32)),
            format!(
                "<script nonce=\"{}\" src=\"app.{}.js\">",
                base64(dice, 16),
                hex(dice, 8)
            ),
            format!("app-{}.js", hex(dice, 24)),
            format!("sha256:{}", hex(dice, 64)),
            // The name of a model, and a value that the text calls an example.
            format!(
                "\"somebody17/hf_{}\": {{",
                dice.text(super::made::LETTERS, 34)
            ),
            format!(
                "# e.g.: `{}7Q~{}`",
                dice.text(super::made::ALNUM, 3),
                dice.text(super::made::ALNUM, 34)
            ),
            format!("AKIA{}", dice.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)),
            format!("AC{} {}", hex(dice, 32), hex(dice, 32)),
            dice.text(super::made::ALNUM, 40),
            base64(dice, 20_000),
        ];
        for (at, text) in texts.iter().enumerate() {
            assert_eq!(
                scan("app/x.txt", text),
                [],
                "text {at} in round {round}: {text}"
            );
        }
        for (name, value) in [
            ("GPG_KEY", hex(dice, 40).to_uppercase()),
            ("PYTHON_SHA256", hex(dice, 64)),
            ("COMMIT_SHA", hex(dice, 40)),
            ("SOURCE_COMMIT", hex(dice, 40)),
            ("BUILD_ID", uuid.clone()),
            ("NEXT_PUBLIC_SENTRY_KEY", hex(dice, 32)),
            ("PUBLIC_KEY", base64(dice, 32)),
            ("org.opencontainers.image.revision", hex(dice, 40)),
            ("CACHE_KEY", hex(dice, 32)),
            ("KEY_ID", uuid.clone()),
        ] {
            assert_eq!(in_text(name, &value), [], "{name}={value}");
            let line = format!("|1 {name}={value} /bin/sh -c true");
            assert_eq!(in_text("", &line), [], "{line}");
        }
        let random = dice.bytes(100_000);
        let mut scanner = Scanner::new("app/x.bin", 0);
        scanner.feed(&random);
        assert_eq!(scanner.finish(), []);
    }
}
