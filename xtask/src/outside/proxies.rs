//! The proxies that docker's own configuration gives to every build.
//!
//! Buildx passes them as build arguments that no user wrote (docs.docker.com/engine/cli/proxy).
//! BuildKit keeps them out of what it compares, unless the Dockerfile declares them. Only a hash of
//! each value is kept here: a value may hold a password.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use camino::Utf8Path;

use crate::outside::engine;
use crate::outside::state;

/// The fields of `proxies` in docker's `config.json`, and the arguments that each becomes, in
/// capitals and in small letters (docker/cli, `ConfigFile.ParseProxyConfig`).
const FIELDS: [(&str, [&str; 2]); 5] = [
    ("httpProxy", ["HTTP_PROXY", "http_proxy"]),
    ("httpsProxy", ["HTTPS_PROXY", "https_proxy"]),
    ("noProxy", ["NO_PROXY", "no_proxy"]),
    ("ftpProxy", ["FTP_PROXY", "ftp_proxy"]),
    ("allProxy", ["ALL_PROXY", "all_proxy"]),
];

/// A fingerprint of each argument's value, by the argument's name.
pub type Proxies = BTreeMap<&'static str, String>;

/// Whether an argument is a proxy. Every RUN step sees proxies, though the Dockerfile does not
/// declare them.
pub fn is_one(name: &str) -> bool {
    FIELDS.iter().any(|(_, names)| names.contains(&name))
}

/// The proxies of this run.
pub fn given() -> &'static Proxies {
    static GIVEN: LazyLock<Proxies> = LazyLock::new(|| {
        let folder = engine::config_folder();
        folder.map_or_else(Proxies::new, |folder| of_file(&folder.join("config.json")))
    });
    &GIVEN
}

fn of_file(file: &Utf8Path) -> Proxies {
    let bytes = state::read(file).ok().flatten().unwrap_or_default();
    // Docker takes names in any case, joins objects of one name, and reads no further than the
    // first value. If that may matter, the whole file is the value of every proxy.
    let text = String::from_utf8_lossy(&bytes).to_lowercase();
    let said = text.matches("proxies").count();
    if said == 0 && !text.contains("\\u") {
        return Proxies::new();
    }
    let config: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
    let engines = config
        .as_ref()
        .and_then(|it| it.get("proxies")?.as_object());
    let plain = engines.filter(|_| said == 1 && !text.contains("\\u"));
    let Some(engines) = plain.filter(|engines| engines.values().all(is_plain)) else {
        let hash = blake3::hash(&bytes).to_hex();
        let names = FIELDS.iter().flat_map(|(_, names)| names);
        return names.map(|name| (*name, told(&hash))).collect();
    };
    let mut proxies = Proxies::new();
    for (field, names) in FIELDS {
        // Which entry docker uses depends on how it spells the engine's address, so all entries
        // count.
        let values = engines.iter().filter_map(|(engine, proxies)| {
            let value = proxies.get(field)?.as_str()?;
            (!value.is_empty()).then_some((engine, value))
        });
        let values: BTreeMap<_, _> = values.collect();
        if values.is_empty() {
            continue;
        }
        let hash = blake3::hash(format!("{values:?}").as_bytes()).to_hex();
        for name in names {
            proxies.insert(name, told(&hash));
        }
    }
    proxies
}

fn told(hash: &str) -> String {
    format!("docker's configuration {}", &hash[..16])
}

/// Whether an engine's proxies have only names as docker writes them, each with text as its value.
fn is_plain(engine: &serde_json::Value) -> bool {
    let is_known = |name: &String| FIELDS.iter().any(|(field, _)| field == name);
    engine.as_object().is_some_and(|proxies| {
        let mut entries = proxies.iter();
        entries.all(|(name, value)| is_known(name) && value.is_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(config: &str) -> Proxies {
        let folder = tempfile::tempdir().unwrap();
        let file = Utf8Path::from_path(folder.path())
            .unwrap()
            .join("config.json");
        std::fs::write(&file, config).unwrap();
        of_file(&file)
    }

    #[test]
    fn each_proxy_is_two_arguments_whose_value_is_not_told() {
        let one = of(r#"{"proxies":{"default":{"httpProxy":"http://u:secret@p:1","noProxy":""}}}"#);
        let names: Vec<_> = one.keys().copied().collect();
        assert_eq!(names, ["HTTP_PROXY", "http_proxy"]);
        assert!(!format!("{one:?}").contains("secret"));
        let two = of(r#"{"proxies":{"default":{"httpProxy":"http://u:secret@p:2"}}}"#);
        assert_ne!(one, two);
    }

    #[test]
    fn the_proxies_of_every_engine_count() {
        let of_engine = |engine: &str| {
            of(&format!(
                r#"{{"proxies":{{"default":{{"ftpProxy":"a"}},"{engine}":{{"ftpProxy":"b"}}}}}}"#
            ))
        };
        assert_ne!(of_engine("tcp://a:1"), of_engine("tcp://b:1"));
    }

    #[test]
    fn a_configuration_without_proxies_gives_none() {
        for odd in ["", "[]", "{", r#"{"auths":{"x":{"auth":"y"}}}"#] {
            assert!(of(odd).is_empty(), "{odd}");
        }
    }

    #[test]
    fn what_docker_may_read_in_another_way_counts_as_it_is() {
        for odd in [
            r#"{"Proxies":{"default":{"HTTPProxy":"http://one"}}}"#,
            r#"{"proxies":{"default":{"HTTPProxy":"http://one"}}}"#,
            r#"{"proxies":{"default":{"httpProxy":"http://one"}}} x"#,
            r#"{"proxies":{"default":{"httpProxy":"http://one"}},"proxies":{"default":{}}}"#,
            r#"{"prox\u0069es":{"default":{"httpProxy":"http://one"}}}"#,
        ] {
            let before = of(odd);
            assert_eq!(before.len(), 10, "{odd}");
            assert_ne!(of(&odd.replace("one", "two")), before, "{odd}");
        }
    }
}
