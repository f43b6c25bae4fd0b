//! Names of files, settings, packages and default keys.

use super::made::{self, Dice};
use crate::verify::secrets::{
    DEFAULT_KEYS, FoundSecret, SECRETS, Scanner, by_path, in_environment, in_text, shape, shapes,
};

fn scan(path: &str, text: &str) -> Vec<FoundSecret> {
    let mut scanner = Scanner::new(path, text.len() as u64);
    scanner.feed(text.as_bytes());
    scanner.finish()
}

#[test]
fn every_shape_says_why_from_where_and_how_to_repair() {
    let readme = include_str!("../README.md");
    for known in shapes() {
        for text in [known.what, known.why, known.source, known.repair] {
            assert!(
                text.len() > 5 && !text.ends_with('.'),
                "{}: {text}",
                known.id
            );
        }
        assert_eq!(shapes().filter(|other| other.id == known.id).count(), 1);
        assert!(
            readme.contains(&format!("| {} |", known.id)),
            "add {} to README.md",
            known.id
        );
        assert!(shape(known.id).is_some());
    }
}

#[test]
fn a_git_folder_with_content_is_found_by_its_path() {
    for path in [
        ".git/config",
        "app/.git/packed-refs",
        "/app/.git/objects/ab/cdef0123456789abcdef0123456789abcdef01",
        "app/.git/objects/pack/pack-1.pack",
        "app/.git/logs/HEAD",
    ] {
        let found = by_path(path).unwrap();
        assert_eq!((found.rule, found.shape), (SECRETS, "git-folder"));
        assert_eq!(found.masked.rsplit('/').next(), Some(".git"), "{path}");
    }
    for path in [
        ".git",
        "app/.git",
        "app/.git/objects",
        "app/.git/hooks/pre-commit.sample",
        "app/.gitignore",
        "app/.github/config",
        "app/git/config",
        "app/x.git/config",
    ] {
        assert_eq!(by_path(path), None, "{path}");
    }
}

#[test]
fn an_environment_file_counts_and_its_example_does_not() {
    let value = Dice::new(60).text(made::ALNUM, 14);
    let text = format!("A=1\nexport DB_PASSWORD='{value}' # mine\nTOKEN_LIMIT=40000000\n");
    for path in ["app/.env", ".env.production", "deploy/prod.env"] {
        let found = scan(path, &text);
        assert_eq!(found.len(), 1, "{path}");
        assert_eq!((found[0].shape, found[0].line), ("env-file", Some(2)));
        assert_eq!(found[0].masked, "DB_PASSWORD=… (14 characters)");
    }
    for path in [
        "app/.env.example",
        "app/example.env",
        "app/env",
        "app/settings",
    ] {
        assert_eq!(scan(path, &text), [], "{path}");
    }
    let placeholders = "DB_PASSWORD=changeme\nSECRET_KEY=<your-key>\nTOKEN=${TOKEN}\nPWD=/app1\n";
    assert_eq!(scan(".env", placeholders), []);
}

#[test]
fn files_with_a_login_count() {
    let dice = &mut Dice::new(61);
    let secret = dice.text(made::ALNUM, 24);
    let login = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(format!("me:{secret}"))
    };
    let hash = dice.text(made::ALNUM, 22);
    let with = [
        (
            "root/.npmrc",
            "npm-login",
            format!("//npm.corp.io/:_authToken={secret}\n"),
        ),
        (
            "root/.npmrc",
            "npm-login",
            format!("_password = \"{secret}\"\n"),
        ),
        (
            "root/.pypirc",
            "pypi-login",
            format!("[pypi]\nusername = me\npassword: {secret}\n"),
        ),
        (
            "root/.netrc",
            "netrc",
            format!("machine git.corp.io login me password {secret}\n"),
        ),
        (
            "root/.docker/config.json",
            "docker-login",
            format!("{{\"auths\":{{\"ghcr.io\":{{\"auth\":\"{login}\"}}}}}}"),
        ),
        (
            "root/.docker/config.json",
            "docker-login",
            format!("{{\n\"auths\": {{\n\"x\": {{\n\"identitytoken\": \"{secret}\"\n}}\n}}\n}}"),
        ),
        (
            "root/.kube/config",
            "kube-login",
            format!("users:\n- name: x\n  user:\n    token: {secret}\n"),
        ),
        (
            "etc/nginx/.htpasswd",
            "htpasswd",
            format!("me:$apr1$saltsalt${hash}\n"),
        ),
        (
            "root/.config/gcloud/application_default_credentials.json",
            "gcloud-login",
            format!(
                "{{\n  \"refresh_token\": \"1//0{secret}\",\n  \"type\": \"authorized_user\"\n}}"
            ),
        ),
        (
            "app/.git/config",
            "git-login",
            format!(
                "[http \"https://github.com/\"]\n\textraheader = AUTHORIZATION: basic {login}\n"
            ),
        ),
        (
            "etc/pip.conf",
            "url-password",
            format!("index-url = https://ci:{secret}@pypi.corp.io/x\n"),
        ),
        (
            "root/.git-credentials",
            "url-password",
            format!("https://me:{secret}@localhost\n"),
        ),
    ];
    for (path, shape, text) in with {
        let found = scan(path, &text);
        assert_eq!(found.len(), 1, "{path}: {text} {found:?}");
        assert_eq!(found[0].shape, shape);
        assert!(!found[0].masked.contains(&secret[4..12]), "{found:?}");
        assert!(found[0].line.is_some());
        if shape != "url-password" {
            assert_eq!(
                scan("usr/lib/x.txt", &text),
                [],
                "the name of the file matters"
            );
        }
    }
}

#[test]
fn files_without_a_login_do_not_count() {
    let without = [
        (
            "root/.npmrc",
            "registry=https://registry.example.com\n//x/:_authToken=${NPM_TOKEN}\n",
        ),
        (
            "root/.pypirc",
            "[pypi]\nusername = __token__\npassword = %(PYPI_TOKEN)s\n",
        ),
        ("root/.netrc", "machine x login me password changeme\n"),
        (
            "root/.docker/config.json",
            "{\"credsStore\":\"pass\",\"auths\":{\"x\":{}}}",
        ),
        (
            "root/.kube/config",
            "users:\n- user:\n    exec:\n      command: aws\n    token: <token>\n",
        ),
        ("etc/nginx/.htpasswd", "# user:password\n"),
        (
            "app/.git/config",
            "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = https://github.com/x/y\n",
        ),
        (
            "etc/pip.conf",
            "index-url = https://user:password@pypi.corp.io\n",
        ),
    ];
    for (path, text) in without {
        assert_eq!(scan(path, text), [], "{path}: {text}");
    }
}

#[test]
fn test_material_of_packages_is_no_finding_and_the_same_key_of_an_application_is() {
    let der = made::sequence(&mut Dice::new(62), 1188);
    let key = made::block("RSA PRIVATE KEY", &der);
    for path in [
        "usr/lib/python3.11/test/certdata/keycert.pem",
        "usr/local/lib/python3.12/test/ssl_key.pem",
        "./usr/local/lib/python3.12/site-packages/tornado/test/test.key",
        "/app/.venv/lib/python3.12/site-packages/Crypto/SelfTest/PublicKey/test_import_RSA.py",
        "app/node_modules/public-encrypt/test/rsa.1024.priv",
        "usr/share/doc/libnet-ssleay-perl/examples/server_key.pem",
        "root/go/pkg/mod/golang.org/x/crypto@v0.20.0/ssh/testdata/keys.go",
        "usr/lib/node_modules/npm/node_modules/x/fixtures/server.key",
        "usr/lib/google-cloud-sdk/third_party/requests/tests/certs/server.key",
        "usr/lib/x86_64-linux-gnu/libgnutls.so.30.34.3",
        "usr/local/cargo/registry/src/index.crates.io-1/pem-4.0.0/src/lib.rs",
        "app/node_modules/acme/signing.md",
        "app/.venv/lib/python3.12/site-packages/acme/README.rst",
        "app/node_modules/acme/docs/signing.html",
    ] {
        assert_eq!(scan(path, &key), [], "{path}");
    }
    for path in [
        "app/test/certdata/keycert.pem",
        "app/tests/server.key",
        "app/api/fixtures/key.pem",
        "etc/ssl/private/server.key",
        "etc/ssh/ssh_host_rsa_key",
        "root/.ssh/id_rsa",
        "usr/local/lib/python3.12/site-packages/acme/server.key",
        "usr/lib/python3.11/server.key",
        "app/node_modules/acme/server.key",
        "app/node_modules/acme/signing.md.key",
        "app/docs/signing.md",
        "usr/share/acme/server.key",
        "usr/local/share/acme/tests/server.key",
    ] {
        assert_eq!(scan(path, &key).len(), 1, "{path}");
    }
    // A checksum proves a token in any place.
    let (_, token) = made::all(62)
        .into_iter()
        .find(|(shape, _)| *shape == "npm-token")
        .unwrap();
    let path = "app/node_modules/acme/test/publish.js";
    assert_eq!(scan(path, &token).len(), 1);
}

/// The key in two halves, so that no scanner of this repository takes it for a key.
fn default_secret() -> String {
    ["sk-9f73s3ljTXVcMT3Blb3ljTqtsKiGHX", "VcMT3BlbkFJLK7U"].concat()
}

#[test]
fn default_keys_of_dify_count_in_an_environment_and_not_in_text() {
    let secret = default_secret();
    let environment = [
        ("SECRET_KEY", secret.as_str()),
        ("CODE_EXECUTION_API_KEY", "dify-sandbox"),
        ("SERVICE_NAME", "dify-sandbox"),
        ("DB_PASSWORD", "difyai123456"),
        ("CELERY_BROKER_URL", "redis://:difyai123456@redis:6379/1"),
        ("QDRANT_API_KEY", "difyai123456"),
        ("DB_HOST", "db"),
        ("SECRET_KEY_2", "mine"),
    ];
    let found = in_environment(&environment);
    let names: Vec<&str> = found
        .iter()
        .map(|found| found.masked.split('=').next().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "SECRET_KEY",
            "CODE_EXECUTION_API_KEY",
            "DB_PASSWORD",
            "CELERY_BROKER_URL"
        ]
    );
    assert!(found.iter().all(|found| found.rule == DEFAULT_KEYS));
    assert!(found.iter().all(|found| !found.masked.contains("difyai")));
    // If its store is in use, the key of the store counts too.
    let used = [
        ("VECTOR_STORE", "qdrant"),
        ("QDRANT_API_KEY", "difyai123456"),
    ];
    assert_eq!(in_environment(&used).len(), 1);
    // The rule `secrets` does not report default keys.
    for (name, value) in environment {
        assert_eq!(in_text(name, value), [], "{name}");
    }
    // Upstream's own files contain default keys.
    let text = format!("SECRET_KEY={secret}\nDB_PASSWORD=difyai123456\n");
    for path in [
        "app/docker/.env.example",
        "app/docker-compose.yaml",
        "app/README.md",
    ] {
        assert_eq!(scan(path, &text), [], "{path}");
    }
    // A real .env is read as an environment.
    let found = scan("app/api/.env", &text);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|found| found.rule == DEFAULT_KEYS));
    assert_eq!(found[1].line, Some(2));
}
