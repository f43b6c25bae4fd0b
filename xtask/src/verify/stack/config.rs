//! Reads a compose file as `docker compose config --format json` gives it: every value in its
//! place, every path absolute.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value};

/// The entries of an object. Nothing if there is no such object.
pub(super) fn entries<'v>(
    value: &'v Value,
    key: &str,
) -> impl Iterator<Item = (&'v str, &'v Value)> {
    let object = value.get(key).and_then(Value::as_object);
    object
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), value))
}

/// The values of a list. Nothing if there is no such list.
pub(super) fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// A text. Empty if there is none.
pub(super) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a flag is set.
pub(super) fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or_default()
}

/// An object below `value`. It is made if there is none.
pub(super) fn object<'v>(
    value: &'v mut Map<String, Value>,
    key: &str,
) -> &'v mut Map<String, Value> {
    let entry = value
        .entry(key)
        .or_insert_with(|| Value::Object(Map::new()));
    if !entry.is_object() {
        *entry = Value::Object(Map::new());
    }
    // The entry is an object by now.
    match entry {
        Value::Object(object) => object,
        _ => unreachable!("it was made an object"),
    }
}

/// The state that a service must reach before a service that needs it may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// The service was started.
    Started,
    /// Its health check succeeds.
    Healthy,
    /// The service ended with exit code 0.
    Completed,
}

/// The services that each service needs, and the state that they must reach. Services that the file
/// does not start are left out: compose refuses a file that requires them.
pub type StartOrder = BTreeMap<String, BTreeMap<String, Condition>>;

/// The needs of all services.
pub fn needs(config: &Value) -> StartOrder {
    let names: BTreeSet<&str> = entries(config, "services").map(|(name, _)| name).collect();
    let mut all = StartOrder::new();
    for (name, service) in entries(config, "services") {
        let own = all.entry(name.to_owned()).or_default();
        let mut need = |other: &str, condition| {
            if names.contains(other) && other != name {
                let known = own.entry(other.to_owned()).or_insert(condition);
                *known = condition.max(*known);
            }
        };
        for (other, how) in entries(service, "depends_on") {
            need(
                other,
                match text(how, "condition") {
                    "service_healthy" => Condition::Healthy,
                    "service_completed_successfully" => Condition::Completed,
                    _ => Condition::Started,
                },
            );
        }
        for key in ["network_mode", "pid", "ipc"] {
            if let Some(other) = text(service, key).strip_prefix("service:") {
                need(other, Condition::Started);
            }
        }
        for other in list(service, "volumes_from").filter_map(Value::as_str) {
            let other = other.split(':').next().unwrap_or_default();
            need(other, Condition::Started);
        }
        for link in list(service, "links").filter_map(Value::as_str) {
            need(
                link.split(':').next().unwrap_or_default(),
                Condition::Started,
            );
        }
    }
    all
}

/// All services that `service` needs, directly or through others.
pub fn needs_of<'n>(needs: &'n StartOrder, service: &str) -> BTreeSet<&'n str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = vec![service];
    while let Some(name) = open.pop() {
        for other in needs.get(name).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(other.as_str()) {
                open.push(other);
            }
        }
    }
    found
}

/// A duration as compose writes it: `1m30s`, `500ms` (Go's `time.ParseDuration`).
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut whole = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        whole += number
            * match &rest[..letters] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[letters..];
    }
    Duration::try_from_secs_f64(whole).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_come_from_all_that_ties_services_together() {
        let config = serde_json::json!({"services": {
            "db": {}, "init": {"volumes_from": ["db:ro"]},
            "api": {
                "depends_on": {
                    "db": {"condition": "service_healthy", "required": true},
                    "init": {"condition": "service_completed_successfully"},
                    "absent": {"condition": "service_healthy", "required": false}
                },
                "links": ["db:database"]
            },
            "side": {"network_mode": "service:api"}
        }});
        let needs = needs(&config);
        assert_eq!(needs["api"]["db"], Condition::Healthy);
        assert_eq!(needs["api"]["init"], Condition::Completed);
        assert_eq!(needs["api"].len(), 2);
        assert_eq!(needs["side"]["api"], Condition::Started);
        let all: Vec<_> = needs_of(&needs, "side").into_iter().collect();
        assert_eq!(all, ["api", "db", "init"]);
    }

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, millis) in [
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("1.5s", 1500),
        ] {
            assert_eq!(
                duration(text),
                Some(Duration::from_millis(millis)),
                "{text}"
            );
        }
        for odd in ["s", "3", "3x", "-1s"] {
            assert_eq!(duration(odd), None, "{odd}");
        }
    }
}
