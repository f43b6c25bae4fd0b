//! The engine's settings for registries, from its `/info`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// How the engine reaches registries.
///
/// ```
/// let info = br#"{"Mirrors": ["https://mirror.example/"], "IndexConfigs": {}}"#;
/// assert_eq!(registry::Settings::read(info).mirrors, ["https://mirror.example/"]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Addresses of Docker Hub's mirrors, in their order.
    pub mirrors: Vec<String>,
    /// Hosts, with or without a port, and networks that need no trusted certificate.
    pub insecure: Vec<String>,
}

impl Settings {
    /// Reads the field `RegistryConfig`. Text that is not understood counts as absent.
    pub fn read(json: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "PascalCase")]
        struct Raw {
            mirrors: Option<Vec<String>>,
            #[serde(rename = "InsecureRegistryCIDRs")]
            networks: Option<Vec<String>>,
            #[serde(rename = "IndexConfigs")]
            hosts: Option<BTreeMap<String, Host>>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Host {
            #[serde(default)]
            mirrors: Option<Vec<String>>,
            secure: bool,
        }
        let raw: Raw = serde_json::from_slice(json).unwrap_or_default();
        let mut hosts = raw.hosts.unwrap_or_default();
        let hub = hosts
            .get_mut("docker.io")
            .and_then(|hub| hub.mirrors.take());
        let insecure = hosts.into_iter().filter(|(_, host)| !host.secure);
        Self {
            mirrors: raw.mirrors.or(hub).unwrap_or_default(),
            insecure: insecure
                .map(|(host, _)| host)
                .chain(raw.networks.unwrap_or_default())
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_and_insecure_hosts_are_read_and_anything_else_is_none() {
        let json = br#"{"InsecureRegistryCIDRs":["127.0.0.0/8"],"Mirrors":["https://m.example/"],"IndexConfigs":{
            "docker.io":{"Name":"docker.io","Mirrors":["https://m.example/"],"Secure":true},
            "reg.example:5000":{"Name":"reg.example:5000","Mirrors":[],"Secure":false}}}"#;
        let read = Settings::read(json);
        assert_eq!(read.mirrors, ["https://m.example/"]);
        assert_eq!(read.insecure, ["reg.example:5000", "127.0.0.0/8"]);
        for odd in [
            "",
            "null",
            "[]",
            r#"{"Mirrors":null,"IndexConfigs":null,"InsecureRegistryCIDRs":null}"#,
        ] {
            let read = Settings::read(odd.as_bytes());
            assert_eq!(read, Settings::default(), "{odd}");
        }
    }
}
