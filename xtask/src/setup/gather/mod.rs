//! Finds out the facts about the machine. Changes nothing. Slow questions are asked at the same
//! time.

mod builders;
mod hosts;
mod machine;

use camino::Utf8PathBuf;

use super::facts::{EngineFacts as State, Facts, Host, Init, StoreFacts};
use super::needs::Needs;
use super::packages::System;
use super::plan::DAEMON_JSON;
use super::tools;
use crate::outside::ask::{CommandOutput, words};
use crate::outside::engine::{About, Engine, NoAnswer, podman};
use crate::outside::interrupt::Interrupt;
use crate::setup::tools::on_path;

/// Where an engine keeps its data by default.
const DATA: &str = "/var/lib/docker";
/// Where the system's own containerd keeps its data.
const CONTAINERD: &str = "/var/lib/containerd";

/// How much to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaching {
    /// The machine alone.
    Here,
    /// Hosts too, which takes seconds if they do not answer.
    Out,
}

/// Finds out every fact that matters for the needs.
pub fn gather(needs: &Needs, reaching: Reaching, interrupt: &Interrupt) -> Facts {
    let engine = Engine::find();
    let about = engine.about();
    let answers = about.as_ref().is_ok_and(|about| !about.podman);
    let here = engine.is_local();
    let machine = machine_name(interrupt);
    let foreign = needs.foreign(&machine);
    let git = version(&words("git", &["--version"], interrupt), 2);
    let mirror = debian_mirror();
    let hosts = with_mirrors(&needs.hosts, about.as_ref().ok());
    let out = reaching == Reaching::Out;
    let time_servers = time_servers(mirror.as_deref(), &hosts);
    let has_git = git.is_some();
    std::thread::scope(|scope| {
        let reach = scope.spawn(|| match reaching {
            Reaching::Out => hosts::reach(hosts, has_git, interrupt),
            Reaching::Here => Vec::new(),
        });
        let clock = scope.spawn(|| out.then(|| hosts::clock(&time_servers)).flatten());
        let buildx = version(&words("docker", &["buildx", "version"], interrupt), 1);
        let has_buildx = buildx.is_some();
        Facts {
            os: machine::system(interrupt),
            memory: machine::memory(interrupt),
            disk: here
                .then(|| machine::disk(&folders(about.as_ref().ok())))
                .flatten(),
            user: machine::user(interrupt),
            init: init(),
            address: engine.address(),
            address_is_default: engine.is_default(),
            has_dockerd: on_path("dockerd").is_some()
                || camino::Utf8Path::new("/usr/sbin/dockerd").exists(),
            has_cgroups: machine::has_cgroups(),
            has_daemon_json: camino::Utf8Path::new(DAEMON_JSON).exists(),
            docker: docker_version(interrupt),
            podman: podman(),
            buildx,
            compose: compose_version(interrupt),
            git,
            builders: builders::look(&needs.builders, engine.in_use(), interrupt),
            builder: (answers && has_buildx).then(|| builder(&engine, interrupt)),
            emulation: if here && cfg!(target_os = "linux") {
                machine::emulation(&foreign, interrupt)
            } else {
                std::collections::BTreeMap::new()
            },
            has_binfmt: machine::has_binfmt(),
            tools: needs
                .tools
                .keys()
                .filter(|name| tools::is_there(name))
                .cloned()
                .collect(),
            engine: state(about),
            logins: logins(),
            hosts: reach.join().unwrap_or_default(),
            clock: clock.join().unwrap_or_default(),
            debian_mirror: mirror,
            machine,
        }
    })
}

/// The system of this machine, if its packages are known.
pub fn system() -> Option<System> {
    System::of(&machine::system(&Interrupt::default()))
}

/// Whether an engine answers, and docker and buildx are installed: the least that a build needs.
pub fn has_essentials(interrupt: &Interrupt) -> bool {
    let about = Engine::find().about();
    about.is_ok_and(|about| !about.podman)
        && podman().is_none()
        && words("docker", &["buildx", "version"], interrupt).good
}

fn state(about: Result<About, NoAnswer>) -> State {
    match about {
        Ok(about) if about.podman => State::Podman(about.version),
        Ok(about) => State::Answers {
            version: about.version,
            store: if about.containerd {
                StoreFacts::Containerd
            } else {
                StoreFacts::Classic
            },
        },
        Err(NoAnswer::Forbidden(why)) => State::Forbidden(why),
        Err(NoAnswer::Silent(why)) => State::Silent(why),
    }
}

fn init() -> Init {
    // The test that systemd documents (sd_booted(3)).
    if camino::Utf8Path::new("/run/systemd/system").is_dir() {
        Init::Systemd
    } else {
        Init::Nothing
    }
}

fn machine_name(interrupt: &Interrupt) -> String {
    let name = words("uname", &["-m"], interrupt).stdout;
    match name.trim() {
        "" => std::env::consts::ARCH.to_owned(),
        name => name.to_owned(),
    }
}

/// The word at a place in a successful answer.
fn version(said: &CommandOutput, at: usize) -> Option<String> {
    let word = said.stdout.split_whitespace().nth(at)?;
    said.good.then(|| word.to_owned())
}

/// The version of the docker command. It tells its own version even if no engine answers.
fn docker_version(interrupt: &Interrupt) -> Option<String> {
    on_path("docker")?;
    let said = words(
        "docker",
        &["version", "--format", "{{.Client.Version}}"],
        interrupt,
    );
    let word = said.stdout.lines().next().unwrap_or_default().trim();
    let known = super::version::version(word).is_some();
    Some(if known { word } else { "unknown" }.to_owned())
}

fn compose_version(interrupt: &Interrupt) -> Option<String> {
    let said = words("docker", &["compose", "version", "--short"], interrupt);
    version(&said, 0)
}

/// The platforms of the builder that a build uses: the engine's own.
fn builder(engine: &Engine, interrupt: &Interrupt) -> Result<Vec<String>, String> {
    let said = words(
        "docker",
        &["buildx", "inspect", engine.context().unwrap_or("default")],
        interrupt,
    );
    let value = |key: &str| said.stdout.lines().find_map(|line| line.strip_prefix(key));
    if let Some(error) = value("Error:") {
        return Err(error.trim().to_owned());
    }
    let platforms = value("Platforms:")
        .filter(|_| said.good)
        .ok_or_else(|| said.why())?;
    // A star marks platforms that a user chose.
    let platforms = platforms
        .split(',')
        .map(|one| one.trim().trim_end_matches('*'));
    Ok(platforms.map(str::to_owned).collect())
}

/// Adds the engine's mirrors of Docker Hub to the group of Docker Hub.
fn with_mirrors(hosts: &[Host], about: Option<&About>) -> Vec<Host> {
    let mut all = hosts.to_vec();
    let Some(hub) = hosts.iter().find(|host| host.name == "docker.io") else {
        return all;
    };
    for mirror in about.map_or(&[][..], |about| &about.mirrors) {
        let url = mirror.trim_end_matches('/');
        let name = url.split_once("://").map_or(url, |(_, name)| name);
        all.push(Host {
            name: format!("{name}, a mirror of docker.io"),
            url: format!("{url}/v2/"),
            ..hub.clone()
        });
    }
    all
}

fn time_servers(mirror: Option<&str>, hosts: &[Host]) -> Vec<String> {
    let urls = mirror
        .into_iter()
        .chain(hosts.iter().map(|host| host.url.as_str()));
    let name = |url: &str| {
        let (scheme, rest) = url.split_once("://")?;
        let name = rest.split('/').next()?;
        (scheme.starts_with("http") && !name.contains(['@', ':'])).then(|| name.to_owned())
    };
    urls.filter_map(name).collect()
}

/// The folders where images lie or would lie.
fn folders(about: Option<&About>) -> Vec<Utf8PathBuf> {
    let configured = || {
        let text = machine::read(DAEMON_JSON)?;
        let value: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(value.get("data-root")?.as_str()?.to_owned())
    };
    match about {
        None => vec![configured().unwrap_or_else(|| DATA.to_owned()).into()],
        Some(about) if about.containerd && about.folder == DATA => {
            let own = Utf8PathBuf::from(CONTAINERD);
            let mut all = vec![about.folder.clone().into()];
            all.extend(own.exists().then_some(own));
            all
        }
        Some(about) => vec![about.folder.clone().into()],
    }
}

/// The registries for which docker's configuration has a login. Its secrets are not looked at.
fn logins() -> Vec<String> {
    let folder = std::env::var("DOCKER_CONFIG").ok().map(Utf8PathBuf::from);
    let home = std::env::var("HOME").ok();
    let folder = folder.or_else(|| home.map(|home| Utf8PathBuf::from(home).join(".docker")));
    let text = folder.and_then(|folder| machine::read(folder.join("config.json").as_str()));
    let config: serde_json::Value =
        serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default();
    let names = |key: &str| {
        let table = config.get(key).and_then(serde_json::Value::as_object);
        table.into_iter().flat_map(|table| table.keys().cloned())
    };
    names("auths").chain(names("credHelpers")).collect()
}

/// The mirror that this machine takes Debian's packages from.
pub fn debian_mirror() -> Option<String> {
    let modern = machine::read("/etc/apt/sources.list.d/debian.sources").unwrap_or_default();
    let old = machine::read("/etc/apt/sources.list").unwrap_or_default();
    mirror_in(&modern, &old)
}

/// The mirror in either form of apt's sources.
fn mirror_in(modern: &str, old: &str) -> Option<String> {
    let uris = modern.lines().find_map(|line| line.strip_prefix("URIs:"));
    let first = uris.and_then(|uris| uris.split_whitespace().next());
    let line = || {
        let line = old
            .lines()
            .find(|line| line.starts_with("deb ") && !line.contains("security"))?;
        line.split_whitespace().find(|word| word.contains("://"))
    };
    first.or_else(line).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_found_in_both_forms() {
        let modern = "Types: deb\nURIs: http://a.example/debian\nSuites: bookworm\n";
        let old = "deb http://security.example/ bookworm-security main\ndeb [trusted=no] http://b.example/debian bookworm main\n";
        assert_eq!(
            mirror_in(modern, old).as_deref(),
            Some("http://a.example/debian")
        );
        assert_eq!(
            mirror_in("", old).as_deref(),
            Some("http://b.example/debian")
        );
        assert_eq!(mirror_in("", ""), None);
    }

    #[test]
    fn mirrors_of_the_engine_stand_for_docker_hub_alone() {
        let host = |name: &str| Host {
            name: name.into(),
            url: format!("https://{name}/v2/"),
            purpose: "images".into(),
            group: format!("registry {name}"),
        };
        let about = About {
            mirrors: vec!["https://m.example/".into()],
            ..About::default()
        };
        let all = with_mirrors(&[host("docker.io"), host("ghcr.io")], Some(&about));
        assert_eq!(all.len(), 3);
        assert_eq!(
            (all[2].url.as_str(), all[2].group.as_str()),
            ("https://m.example/v2/", "registry docker.io")
        );
        assert_eq!(with_mirrors(&[host("ghcr.io")], Some(&about)).len(), 1);
    }
}
