//! Every shape is found, wherever it stands.

use std::collections::BTreeSet;

use super::made::{self, Dice};
use crate::verify::secrets::scanner::{CAPACITY, MOST_FOUND};
use crate::verify::secrets::view::AHEAD;
use crate::verify::secrets::{Find, FoundSecret, Scanner, in_text, shapes};

fn scan(path: &str, chunks: &[&[u8]]) -> Vec<FoundSecret> {
    let mut scanner = Scanner::new(path, 0);
    chunks.iter().for_each(|chunk| scanner.feed(chunk));
    scanner.finish()
}

fn has(found: &[FoundSecret], shape: &str) -> bool {
    found.iter().any(|found| found.shape == shape)
}

#[test]
fn every_shape_has_an_example() {
    let made: BTreeSet<&str> = made::all(1).into_iter().map(|(shape, _)| shape).collect();
    let known: BTreeSet<&str> = shapes()
        .filter(|shape| !matches!(shape.find, Find::Elsewhere))
        .map(|shape| shape.id)
        .collect();
    assert_eq!(made, known);
}

#[test]
fn every_shape_is_found_in_a_file_with_its_line() {
    for seed in 0..20 {
        for (shape, secret) in made::all(seed) {
            let text = format!("first\nsecond: \"{secret}\"\nlast\n");
            let found = scan("app/settings.py", &[text.as_bytes()]);
            assert!(has(&found, shape), "{shape} in {text}: {found:?}");
            assert_eq!(found[0].line, Some(2), "{shape} in {text}");
        }
    }
}

#[test]
fn every_shape_is_found_alone_at_the_end_of_a_file() {
    for (shape, secret) in made::all(21) {
        let found = scan("app/token", &[secret.trim_end().as_bytes()]);
        assert!(has(&found, shape), "{shape} in {secret}: {found:?}");
    }
}

#[test]
fn every_shape_is_found_across_the_border_of_two_chunks() {
    for (shape, secret) in made::all(22) {
        let text = format!("x = '{secret}'\n");
        let whole = scan("app/x", &[text.as_bytes()]);
        assert!(has(&whole, shape), "{shape}");
        for at in (0..text.len()).step_by(1 + text.len() / 40) {
            let (left, right) = text.as_bytes().split_at(at);
            assert_eq!(scan("app/x", &[left, right]), whole, "{shape} cut at {at}");
        }
    }
}

#[test]
fn every_shape_is_found_across_the_border_of_what_is_in_memory() {
    for (shape, secret) in made::all(23) {
        for border in [CAPACITY - AHEAD, CAPACITY] {
            for shift in [0, 1, secret.len() / 2, secret.len()] {
                let mut text = b"some words\n".repeat(border / 11 + 1);
                text.truncate(border - shift - 1);
                let lines = text.split(|byte| *byte == b'\n').count();
                text.extend_from_slice(format!("\n{secret}\n").as_bytes());
                text.extend_from_slice(&b"more words\n".repeat(9000));
                let found = scan("app/x", &[&text]);
                assert!(has(&found, shape), "{shape} {shift} before {border}");
                assert_eq!(found[0].line, Some(lines as u64 + 1), "{shape}");
            }
        }
    }
}

#[test]
fn every_shape_is_found_in_a_binary_without_a_line() {
    for (shape, secret) in made::all(24) {
        let mut bytes = b"\x7fELF\0\0\x01".to_vec();
        bytes.extend(Dice::new(24).bytes(5000));
        bytes.push(0);
        bytes.extend_from_slice(secret.as_bytes());
        bytes.push(0);
        bytes.extend(Dice::new(25).bytes(5000));
        let found = scan("app/__pycache__/x.cpython-312.pyc", &[&bytes]);
        assert!(has(&found, shape), "{shape} in {secret}: {found:?}");
        assert!(found.iter().all(|found| found.line.is_none()), "{shape}");
    }
}

#[test]
fn a_checksum_needs_no_border_as_in_a_row_of_a_database() {
    let (_, token) = made::all(26)
        .into_iter()
        .find(|(shape, _)| *shape == "github-token")
        .unwrap();
    let row = format!("SQLite format 3\0alice{token}2026-01-01bob");
    assert!(has(
        &scan("app/db.sqlite", &[row.as_bytes()]),
        "github-token"
    ));
}

#[test]
fn every_shape_is_found_in_a_setting_of_an_image() {
    for (shape, secret) in made::all(27) {
        let found = in_text("SOME_SETTING", &secret);
        assert!(has(&found, shape), "{shape} in {secret}: {found:?}");
    }
}

#[test]
fn every_shape_is_found_in_a_line_of_the_history() {
    for (shape, secret) in made::all(28) {
        for line in [
            format!("|1 LOGIN={secret} /bin/sh -c make install # buildkit"),
            format!("RUN /bin/sh -c curl -H \"X-Login: {secret}\" https://corp.io # buildkit"),
        ] {
            let found = in_text("", &line);
            assert!(has(&found, shape), "{shape} in {line}: {found:?}");
            assert!(found.iter().all(|found| found.line.is_none()));
        }
    }
}

#[test]
fn a_random_value_of_a_setting_named_as_a_secret_is_found() {
    let dice = &mut Dice::new(29);
    for name in [
        "SECRET_KEY",
        "DB_PASSWORD",
        "npm.token",
        "apiKey",
        "STRIPE_API_KEY",
        "ADMIN_PWD",
    ] {
        let value = dice.text(made::ALNUM, 32);
        for found in [
            in_text(name, &value),
            in_text("", &format!("|2 A=1 {name}={value} /bin/sh -c true")),
            in_text("", &format!("ENV {name}=\"{value}\"")),
        ] {
            assert!(has(&found, "setting"), "{name}={value}");
            assert!(!found[0].masked.contains(&value[2..8]));
            assert!(found[0].masked.starts_with(name));
        }
    }
}

#[test]
fn few_random_values_are_taken_for_words() {
    use crate::verify::secrets::placeholder::{Judge, is_secret};
    let dice = &mut Dice::new(46);
    let base64 = format!("{}+/", made::ALNUM);
    for (alphabet, length, least) in [
        (made::ALNUM, 12, 930),
        (made::ALNUM, 20, 970),
        (base64.as_str(), 44, 990),
        ("0123456789abcdef", 64, 990),
    ] {
        let secrets = (0..1000)
            .filter(|_| is_secret(dice.text(alphabet, length).as_bytes(), Judge::Strict))
            .count();
        assert!(
            secrets >= least,
            "{secrets} of 1000 with {length} characters"
        );
    }
}

#[test]
fn a_finding_never_shows_the_secret() {
    for seed in 30..40 {
        for (shape, secret) in made::all(seed) {
            for found in scan("app/x", &[secret.as_bytes()]) {
                // The BEGIN and END lines of a key are public.
                let body: Vec<&str> = secret
                    .lines()
                    .filter(|line| !line.contains("---"))
                    .collect();
                let secret = body.concat();
                let shown = found.masked.as_bytes();
                let longest = (1..=secret.len())
                    .take_while(|length| {
                        secret.as_bytes()[secret.len() / 2..]
                            .windows(*length)
                            .any(|part| shown.windows(*length).any(|other| other == part))
                    })
                    .count();
                // A host may be shown. A piece of a random half must not be shown.
                assert!(longest < 8 || shape == "url-password", "{shape}: {found:?}");
                assert!(shown.len() < 100, "{shape}: {found:?}");
            }
        }
    }
}

#[test]
fn a_password_in_a_url_is_not_shown() {
    let password = Dice::new(41).text(made::ALNUM, 20);
    let found = in_text("DB_URL", &format!("postgres://me:{password}@db/app"));
    assert_eq!(
        found[0].masked,
        "postgres://…:…@db (password of 20 characters)"
    );
}

#[test]
fn a_file_full_of_secrets_keeps_a_bounded_number_of_findings() {
    let (_, token) = made::all(42)
        .into_iter()
        .find(|(shape, _)| *shape == "github-token")
        .unwrap();
    let text = format!("{token}\n").repeat(100_000);
    let mut scanner = Scanner::new("app/x", text.len() as u64);
    scanner.feed(text.as_bytes());
    assert_eq!(scanner.finish().len(), MOST_FOUND);
}

#[test]
fn a_broken_checksum_is_not_found() {
    for (shape, secret) in made::all(43) {
        if ![
            "github-token",
            "npm-token",
            "age-key",
            "gitlab-routable-token",
        ]
        .contains(&shape)
        {
            continue;
        }
        let at = secret.len() - 12;
        let other = if secret.as_bytes()[at] == b'Q' {
            "P"
        } else {
            "Q"
        };
        let broken = format!("{}{other}{}", &secret[..at], &secret[at + 1..]);
        assert_eq!(scan("app/x", &[broken.as_bytes()]), [], "{shape}: {broken}");
    }
}

#[test]
fn a_cut_or_foreign_block_is_no_private_key() {
    let dice = &mut Dice::new(44);
    let private = "RSA PRIVATE KEY";
    let der = made::sequence(dice, 1188);
    let whole = made::block(private, &der);
    assert_eq!(scan("app/key", &[whole.as_bytes()]).len(), 1);
    let cut = whole.replace("-----END", "----- END");
    let short = made::block(private, &der[..der.len() - 3]);
    let zeros = made::block(private, &[0; 1188]);
    let dots = whole.replacen("MIIE", "....", 1);
    let other_label = whole.replace("END RSA", "END EC");
    let tiny = made::block(private, &made::sequence(dice, 320));
    for text in [cut, short, zeros, dots, other_label, tiny] {
        assert_eq!(scan("app/key", &[text.as_bytes()]), [], "{text}");
    }
}

#[test]
fn a_token_that_expires_soon_is_no_finding() {
    let dice = &mut Dice::new(45);
    for claims in [
        r#"{"sub":"1234567890","name":"John Doe","iat":1516239022}"#,
        r#"{"iat":1700000000,"exp":1700003600}"#,
        r#"{"role":"anon","iat":1700000000,"exp":2000000000}"#,
        r#"{"iss":"joe","exp":1300819380}"#,
    ] {
        let token = made::jwt(dice, claims);
        assert_eq!(scan("app/x", &[token.as_bytes()]), [], "{claims}");
    }
}

#[test]
fn settings_that_are_longer_than_what_is_looked_at_are_told() {
    let text = "A=1\n".repeat(CAPACITY / 4 + 1);
    let found = scan("app/.env", &[text.as_bytes()]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].what, "more settings than are looked at");
    assert_eq!(scan("app/.env", &[&text.as_bytes()[..CAPACITY]]), []);
    // Other files are searched to their last byte.
    assert_eq!(scan("app/settings.txt", &[text.as_bytes()]), []);
}
