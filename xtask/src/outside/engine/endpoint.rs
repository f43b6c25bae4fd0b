//! Finds the engine in the places where the docker command looks, in its order: DOCKER_HOST,
//! DOCKER_CONTEXT, the current context of its config file, the default socket
//! (docs.docker.com/engine/manage-resources/contexts).

use camino::Utf8PathBuf;

use crate::outside::state;

/// An engine's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A unix socket: asked directly.
    Socket(Utf8PathBuf),
    /// Anything else (ssh, tcp, TLS): asked through the docker command, which can connect to it.
    Other(String),
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The folder of docker's own config file and contexts.
pub fn config_folder() -> Option<Utf8PathBuf> {
    variable("DOCKER_CONFIG")
        .map(Utf8PathBuf::from)
        .or_else(|| Some(home()?.join(".docker")))
}

/// The home folder. Without HOME, docker looks up the user's, and so does this.
fn home() -> Option<Utf8PathBuf> {
    let named = || Utf8PathBuf::from_path_buf(std::env::home_dir()?).ok();
    variable("HOME").map(Utf8PathBuf::from).or_else(named)
}

/// The endpoint that the docker command would use, and the context's name when it is not
/// the default one.
pub fn find() -> (Endpoint, Option<String>) {
    if let Some(host) = variable("DOCKER_HOST") {
        return (read(&host), None);
    }
    let config = config_folder();
    let context = variable("DOCKER_CONTEXT").or_else(|| current(config.as_ref()?));
    match context.filter(|name| name != "default") {
        None => (read("unix:///var/run/docker.sock"), None),
        Some(name) => {
            let host = config.and_then(|config| host_of(&config, &name));
            (
                host.map_or_else(|| Endpoint::Other(name.clone()), |host| read(&host)),
                Some(name),
            )
        }
    }
}

/// What an address means.
pub(super) fn read(host: &str) -> Endpoint {
    host.strip_prefix("unix://").map_or_else(
        || Endpoint::Other(host.to_owned()),
        |path| Endpoint::Socket(path.into()),
    )
}

fn json(path: &Utf8PathBuf) -> Option<serde_json::Value> {
    serde_json::from_slice(&state::read(path).ok()??).ok()
}

fn current(config: &Utf8PathBuf) -> Option<String> {
    Some(
        json(&config.join("config.json"))?
            .get("currentContext")?
            .as_str()?
            .to_owned(),
    )
}

/// The host of a context. Contexts lie in folders named by the SHA-256 of their name. Reading them
/// all saves a hash function.
fn host_of(config: &Utf8PathBuf, name: &str) -> Option<String> {
    config
        .join("contexts/meta")
        .read_dir_utf8()
        .ok()?
        .flatten()
        .find_map(|entry| {
            let meta = json(&entry.path().join("meta.json"))?;
            let host = meta
                .get("Endpoints")?
                .get("docker")?
                .get("Host")?
                .as_str()?;
            (meta.get("Name")?.as_str()? == name).then(|| host.to_owned())
        })
}
