//! The logins in docker's config file: `auths`, `credHelpers` and `credsStore` of config.json
//! (docs.docker.com/reference/cli/docker/login, "Credential stores").

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Mutex;

use base64::Engine as _;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use super::endpoint::HUB;
use super::helper;

/// The name of Docker Hub in docker's config.
const HUB_SERVER: &str = "https://index.docker.io/v1/";

/// A login.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// A user name and a password.
    Password {
        /// The name.
        user: String,
        /// The password, or a token in its place.
        secret: String,
    },
    /// A token that can only be exchanged for other tokens.
    Identity(String),
    /// A token for the registry itself.
    Bearer(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(***)")
    }
}

/// The login for one host, or why there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The login.
    pub login: Option<Login>,
    /// If the config names a way to a login but there is none: a clause that says why.
    pub trouble: Option<String>,
}

/// Docker's config file.
#[derive(Debug, Default)]
pub struct Keyring {
    file: Utf8PathBuf,
    config: Config,
    trouble: Option<String>,
    /// Answers so far, so that a helper is asked only once for each server.
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

/// The content of a file. `None` if the file does not exist.
fn content(file: &Utf8Path) -> std::io::Result<Option<Vec<u8>>> {
    match std::fs::metadata(file) {
        Ok(meta) if meta.is_file() => std::fs::read(file).map(Some),
        Ok(_) => Err(std::io::Error::other("it is not a file")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Keyring {
    /// Reads the config file in `folder`. Public images need no login, so a file that cannot be
    /// read is reported only if a login would have been needed.
    pub fn read(folder: Option<&Utf8Path>) -> Self {
        let Some(file) = folder.map(|folder| folder.join("config.json")) else {
            return Self::default();
        };
        let (config, trouble) = match content(&file) {
            Ok(None) => (Config::default(), None),
            Ok(Some(text)) => match serde_json::from_slice(&text) {
                Ok(config) => (config, None),
                // Serde's message may contain a part of the file.
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
        let lock = || crate::locked(&self.asked);
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
            match helper::ask(helper, server) {
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

/// The host of a server: `registry.example` of `https://registry.example/v2/`.
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
}
