//! The logins that docker's config file knows.
//!
//! Knows `auths`, `credHelpers` and `credsStore` of config.json
//! (docs.docker.com/reference/cli/docker/login, "Credential stores") and the protocol of a
//! credential helper: the server goes to its stdin, never into its argv, and what it prints is
//! never shown. Is unaware of how a login is used.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use super::endpoint::HUB;

/// How long a helper may take; some ask their user.
const HELPER: Duration = Duration::from_secs(60);
/// More than any login.
const LIMIT: u64 = 1 << 20;
/// The name of Docker Hub in docker's config.
const HUB_SERVER: &str = "https://index.docker.io/v1/";

/// A way to prove who asks.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// A user name and a password.
    Password {
        /// The name.
        user: String,
        /// The password, or a token in its place.
        secret: String,
    },
    /// A token that only gets other tokens.
    Identity(String),
    /// A token for the registry itself.
    Bearer(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(***)")
    }
}

/// What is known of one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The login.
    pub login: Option<Login>,
    /// Why there is none where the config names a way to one, as a clause.
    pub trouble: Option<String>,
}

/// Docker's config file.
#[derive(Debug, Default)]
pub struct Keyring {
    file: Utf8PathBuf,
    config: Config,
    trouble: Option<String>,
    /// A helper is asked once for each server.
    asked: Mutex<HashMap<String, Known>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    auths: BTreeMap<String, Auth>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auth(***)")
    }
}

/// What a helper prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

impl Keyring {
    /// Reads the config file in `folder`. Public images need no login, so one that cannot be
    /// read is told only where a login would have been needed.
    pub fn read(folder: Option<&Utf8Path>) -> Self {
        let Some(file) = folder.map(|folder| folder.join("config.json")) else {
            return Self::default();
        };
        let (config, trouble) = match crate::state::read(&file) {
            Ok(None) => (Config::default(), None),
            Ok(Some(text)) => match serde_json::from_slice(&text) {
                Ok(config) => (config, None),
                // What serde says may hold a part of the file.
                Err(error) => (
                    Config::default(),
                    Some(format!(
                        "{file} is not docker's config (line {})",
                        error.line()
                    )),
                ),
            },
            Err(error) => (
                Config::default(),
                Some(format!("cannot read {file}: {error}")),
            ),
        };
        Self {
            file,
            config,
            trouble,
            asked: Mutex::default(),
        }
    }

    /// The login for a host.
    pub fn of(&self, host: &str) -> Known {
        let lock = || self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(host) {
            return known.clone();
        }
        let known = self.look_up(host);
        lock().insert(host.to_owned(), known.clone());
        known
    }

    fn look_up(&self, host: &str) -> Known {
        let servers: &[&str] = if host == HUB {
            &[HUB_SERVER, "docker.io", "index.docker.io", HUB]
        } else {
            &[host]
        };
        let config = &self.config;
        let own = servers.iter().find_map(|server| {
            let helper = config.cred_helpers.get(*server)?;
            Some((*server, helper.as_str()))
        });
        let store = config
            .creds_store
            .as_deref()
            .filter(|name| !name.is_empty());
        let helper = own.or_else(|| Some((servers[0], store?)));
        let mut trouble = self.trouble.clone();
        if let Some((server, helper)) = helper {
            match ask(helper, server, HELPER) {
                Ok(Some(login)) => {
                    return Known {
                        login: Some(login),
                        trouble: None,
                    };
                }
                Ok(None) => {}
                Err(why) => trouble = Some(format!("{} names {why}", self.file)),
            }
        }
        let auth = servers
            .iter()
            .find_map(|server| config.auths.get(*server))
            .or_else(|| {
                let named = |key: &&String| servers.contains(&host_of(key));
                let key = config.auths.keys().find(named)?;
                config.auths.get(key)
            });
        let login = auth.and_then(Auth::login);
        Known { login, trouble }
    }
}

/// `registry.example` of `https://registry.example/v2/`.
fn host_of(server: &str) -> &str {
    let bare = server.split_once("://").map_or(server, |(_, bare)| bare);
    bare.split('/').next().unwrap_or(bare)
}

impl Auth {
    fn login(&self) -> Option<Login> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = given(&self.registrytoken) {
            return Some(Login::Bearer(token));
        }
        if let Some(token) = given(&self.identitytoken) {
            return Some(Login::Identity(token));
        }
        let decoded = given(&self.auth).and_then(|auth| {
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(auth.trim())
                .ok()?;
            let text = String::from_utf8(bytes).ok()?;
            let (user, secret) = text.split_once(':')?;
            Some((user.to_owned(), secret.trim_end_matches('\0').to_owned()))
        });
        let (user, secret) =
            decoded.or_else(|| Some((given(&self.username)?, given(&self.password)?)))?;
        Some(Login::Password { user, secret })
    }
}

/// Asks a credential helper. `None` when it has no login for the server; the fault is a clause
/// that begins with the helper's name.
fn ask(helper: &str, server: &str, patience: Duration) -> Result<Option<Login>, String> {
    let name_char = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if helper.is_empty() || !helper.chars().all(name_char) {
        let helper = crate::spec::names::short(helper);
        return Err(format!(
            "the credential helper `{helper}`, which is no program's name"
        ));
    }
    let program = format!("docker-credential-{helper}");
    run(&program, &mut Command::new(&program), server, patience)
}

fn run(
    program: &str,
    command: &mut Command,
    server: &str,
    patience: Duration,
) -> Result<Option<Login>, String> {
    let child = command
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.map_err(|error| format!("{program}, which cannot be run: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends without reading has answered already.
        let _ = stdin.write_all(server.as_bytes());
    }
    let (sender, receiver) = channel();
    let stdout = child.stdout.take();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.map(|stdout| stdout.take(LIMIT).read_to_end(&mut bytes));
        // Nobody waits any more when it took too long.
        let _ = sender.send(read.is_some_and(|read| read.is_ok()).then_some(bytes));
    });
    let said = match receiver.recv_timeout(patience) {
        Ok(said) => said.unwrap_or_default(),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("{program}, which does not answer"));
        }
    };
    let good = child.wait().is_ok_and(|status| status.success());
    if !good {
        // The words of the helper protocol (github.com/docker/docker-credential-helpers, credentials/error.go).
        let none = String::from_utf8_lossy(&said).contains("credentials not found");
        return if none {
            Ok(None)
        } else {
            Err(format!("{program}, which failed"))
        };
    }
    let answer: Answer = serde_json::from_slice(&said)
        .map_err(|_| format!("{program}, whose answer cannot be read"))?;
    Ok(match answer.username.as_str() {
        _ if answer.secret.is_empty() => None,
        "<token>" => Some(Login::Identity(answer.secret)),
        _ => Some(Login::Password {
            user: answer.username,
            secret: answer.secret,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(config: &str) -> (tempfile::TempDir, Keyring) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let keyring = Keyring::read(Utf8Path::from_path(folder.path()));
        (folder, keyring)
    }

    fn password(user: &str, secret: &str) -> Option<Login> {
        Some(Login::Password {
            user: user.to_owned(),
            secret: secret.to_owned(),
        })
    }

    #[test]
    fn a_login_is_found_by_the_host_whatever_the_servers_spelling() {
        // user:pa:ss, hub:x, <token>
        let (_folder, keyring) = keyring(
            r#"{"auths":{
                "reg.example:5000":{"auth":"dXNlcjpwYTpzcw=="},
                "https://old.example/v1/":{"username":"u","password":"p"},
                "https://index.docker.io/v1/":{"auth":"aHViOng="},
                "ghcr.io":{"auth":"dTpw","identitytoken":"id"},
                "token.example":{"registrytoken":"rt"},
                "empty.example":{}}}"#,
        );
        assert_eq!(
            keyring.of("reg.example:5000").login,
            password("user", "pa:ss")
        );
        assert_eq!(keyring.of("old.example").login, password("u", "p"));
        assert_eq!(keyring.of(HUB).login, password("hub", "x"));
        assert_eq!(
            keyring.of("ghcr.io").login,
            Some(Login::Identity("id".into()))
        );
        assert_eq!(
            keyring.of("token.example").login,
            Some(Login::Bearer("rt".into()))
        );
        for none in ["empty.example", "reg.example", "example", ""] {
            assert_eq!(keyring.of(none), Known::default(), "{none}");
        }
    }

    #[test]
    fn a_config_that_cannot_be_read_is_a_trouble_that_shows_nothing_of_it() {
        let (_folder, broken) = keyring(r#"{"auths":{"a":{"auth":"c2VjcmV0"#);
        let known = broken.of("a");
        assert_eq!(known.login, None);
        let trouble = known.trouble.unwrap();
        assert!(
            trouble.contains("not docker's config") && !trouble.contains("c2Vj"),
            "{trouble}"
        );
        let folder = tempfile::tempdir().unwrap();
        let none = Keyring::read(Utf8Path::from_path(folder.path()));
        assert_eq!(none.of("a"), Known::default());
        assert_eq!(Keyring::read(None).of("a"), Known::default());
    }

    #[test]
    fn no_login_is_ever_printed() {
        let (_folder, keyring) =
            keyring(r#"{"auths":{"a":{"username":"u","password":"hunter2"}}}"#);
        let known = keyring.of("a");
        assert!(known.login.is_some());
        assert!(!format!("{keyring:?} {known:?}").contains("hunter2"));
    }

    fn answer(script: &str, patience: Duration) -> Result<Option<Login>, String> {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "helper"]);
        run("docker-credential-t", &mut shell, "reg.example", patience)
    }

    fn said(script: &str) -> Result<Option<Login>, String> {
        answer(script, Duration::from_secs(20))
    }

    #[test]
    fn a_helper_is_told_the_server_on_its_stdin_and_nowhere_else() {
        let script = r#"[ "$*" = get ] || exit 9; read -r s; printf '{"ServerURL":"%s","Username":"u","Secret":"for %s"}' "$s" "$s""#;
        assert_eq!(said(script).unwrap(), password("u", "for reg.example"));
        let token = r#"printf '{"Username":"<token>","Secret":"t"}'"#;
        assert_eq!(said(token).unwrap(), Some(Login::Identity("t".into())));
    }

    #[test]
    fn a_helper_without_a_login_is_no_trouble_and_one_that_fails_is() {
        assert_eq!(
            said("echo 'credentials not found in native keychain'; exit 1"),
            Ok(None)
        );
        assert_eq!(said(r#"printf '{"Username":"","Secret":""}'"#), Ok(None));
        for (script, why) in [
            ("echo hunter2; exit 1", "failed"),
            ("echo hunter2", "cannot be read"),
        ] {
            let error = said(script).unwrap_err();
            assert!(error.contains(why) && !error.contains("hunter2"), "{error}");
        }
        let error = answer("exec sleep 600", Duration::from_millis(50)).unwrap_err();
        assert!(error.contains("does not answer"), "{error}");
        let error = ask("none-such", "reg.example", HELPER).unwrap_err();
        assert!(error.contains("docker-credential-none-such"), "{error}");
    }

    #[test]
    fn a_helpers_name_is_no_path() {
        for name in ["../x", "a b", "", "a/b", "a;b"] {
            let error = ask(name, "reg.example", HELPER).unwrap_err();
            assert!(error.contains("no program's name"), "{error}");
        }
    }
}
