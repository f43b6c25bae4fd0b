//! What `[stack]` says, word for word, each value with its place. `probe_rules` checks which fields
//! of a probe belong together.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::placed::Placed;
use super::raw::{Text, Texts};

/// `[stack]` and `[profile.NAME.stack]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "the stack's table"
)]
pub struct RawStack {
    /// The compose file, relative to the root of `source` or to the graph file's folder.
    pub compose: Option<Text>,
    /// The source that `compose` and `env-file` are in.
    pub source: Option<Text>,
    /// A file that is used instead of the `.env` beside the compose file.
    pub env_file: Option<Text>,
    /// A compose file that is laid over `compose`, relative to the graph file's folder.
    #[serde(rename = "override")]
    pub override_file: Option<Text>,
    /// The stage whose image a service runs, by the service's name.
    pub services: Option<Texts>,
    /// Variables for the compose file.
    pub env: Option<BTreeMap<Text, Placed<RawEnv>>>,
    /// What is allowed although it would be refused, by the name that the refusal gives.
    pub allow: Option<Vec<Text>>,
    /// How many seconds the services have until they are ready.
    pub timeout: Option<Placed<i64>>,
    /// For how many seconds, at least, the services are watched once they are ready.
    pub watch: Option<Placed<i64>>,
    /// What is asked of the running services.
    pub probe: Option<Vec<Placed<RawProbe>>>,
}

impl RawStack {
    /// `over` laid over `under`: tables are merged by name, everything else is replaced.
    pub fn lay(over: Self, under: Self) -> Self {
        fn merge<K: Ord, V>(
            over: Option<BTreeMap<K, V>>,
            under: Option<BTreeMap<K, V>>,
        ) -> Option<BTreeMap<K, V>> {
            match (over, under) {
                (Some(over), Some(mut under)) => {
                    under.extend(over);
                    Some(under)
                }
                (over, under) => over.or(under),
            }
        }
        Self {
            compose: over.compose.or(under.compose),
            source: over.source.or(under.source),
            env_file: over.env_file.or(under.env_file),
            override_file: over.override_file.or(under.override_file),
            services: merge(over.services, under.services),
            env: merge(over.env, under.env),
            allow: over.allow.or(under.allow),
            timeout: over.timeout.or(under.timeout),
            watch: over.watch.or(under.watch),
            probe: over.probe.or(under.probe),
        }
    }
}

/// A variable's value: text, or a table that says where a secret value is found.
#[derive(Debug, Clone)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(untagged))]
pub enum RawEnv {
    /// The value itself.
    Text(String),
    /// Where a secret value is found.
    Secret(RawSecretEnv),
}

/// `{ secret = "NAME" }`
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "text, or a table with `secret`"
)]
pub struct RawSecretEnv {
    /// The variable of this program's own environment that holds the value.
    pub secret: Option<Text>,
}

impl<'de> Deserialize<'de> for RawEnv {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = RawEnv;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, or a table with `secret`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawEnv, E> {
                Ok(RawEnv::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawEnv, A::Error> {
                RawSecretEnv::deserialize(MapAccessDeserializer::new(map)).map(RawEnv::Secret)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// `[[stack.probe]]`: the fields of every kind.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a probe's table"
)]
pub struct RawProbe {
    /// The service that is asked.
    pub service: Option<Text>,
    /// What is asked.
    pub kind: Option<Placed<RawKind>>,
    /// How many seconds the right answer may take to come.
    pub timeout: Option<Placed<i64>>,
    /// `http`, `tcp`: the service's own port, whatever the compose file publishes.
    pub port: Option<Placed<i64>>,
    /// `http`: the path of the URL. `file`: the file or folder.
    pub path: Option<Text>,
    /// `http`: the status of the answer.
    pub status: Option<Placed<i64>>,
    /// `http`: headers of the answer, each with text that its value contains.
    pub headers: Option<Texts>,
    /// `http`: text that the answer contains.
    pub body: Option<Text>,
    /// `http`: values of the answer's JSON, by their path.
    #[cfg_attr(test, schemars(with = "Option<BTreeMap<String, serde_json::Value>>"))]
    pub json: Option<BTreeMap<Text, Placed<toml::Value>>>,
    /// `exec`: the command, which runs in the service's container.
    pub command: Option<Placed<Vec<Text>>>,
    /// `exec`: its exit code.
    pub exit: Option<Placed<i64>>,
    /// `exec`: text that its output contains.
    pub output: Option<Text>,
    /// `log`: text that the service's log must contain.
    pub contains: Option<Text>,
    /// `log`: text that the log must not contain.
    pub never: Option<Text>,
    /// `refused`: the address that the service must not reach.
    pub address: Option<Text>,
    /// `refused`: the HTTP proxy that is asked for the address.
    pub proxy: Option<Text>,
    /// `file`: whether the path is also tried on a volume that root owns.
    pub root_owned: Option<Placed<bool>>,
    /// `uid`: folders that may be written to.
    pub writable: Option<Vec<Text>>,
}

/// What a probe asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RawKind {
    /// An HTTP answer.
    Http,
    /// A port that takes connections.
    Tcp,
    /// A command in the container.
    Exec,
    /// The log.
    Log,
    /// An address that is out of reach.
    Refused,
    /// A file or folder that the service can write to.
    File,
    /// A start under another user.
    Uid,
}
