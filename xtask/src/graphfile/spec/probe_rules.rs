//! The rules for the probes of `[stack]`: which fields belong to which kind of probe, and what they
//! may hold.

use std::collections::BTreeMap;
use std::time::Duration;

use super::check::GraphReader;
use super::mistakes::{Mistake, Span};
use super::names;
use super::placed::Placed;
use super::raw::{Text, Texts};
use super::raw_stack::{RawKind, RawProbe};
use super::stack::{Ask, Http, Probe, Refused};
use crate::shown;

/// How long a probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(60);

/// The fields of each kind of probe, beside `service`, `kind` and `timeout`.
const fn fields(kind: RawKind) -> &'static [&'static str] {
    match kind {
        RawKind::Http => &["port", "path", "status", "headers", "body", "json"],
        RawKind::Tcp => &["port"],
        RawKind::Exec => &["command", "exit", "output"],
        RawKind::Log => &["contains", "never"],
        RawKind::Refused => &["address", "proxy"],
        RawKind::File => &["path", "root-owned"],
        RawKind::Uid => &["writable"],
    }
}

const fn name(kind: RawKind) -> &'static str {
    match kind {
        RawKind::Http => "http",
        RawKind::Tcp => "tcp",
        RawKind::Exec => "exec",
        RawKind::Log => "log",
        RawKind::Refused => "refused",
        RawKind::File => "file",
        RawKind::Uid => "uid",
    }
}

/// The fields that a probe has, with their places.
fn given(raw: &RawProbe) -> Vec<(&'static str, Span)> {
    fn place<T>(name: &'static str, value: Option<&Placed<T>>) -> Option<(&'static str, Span)> {
        Some((name, value?.span()))
    }
    let inner = |name, first: Option<Span>| Some((name, first?));
    let json = raw.json.as_ref().and_then(|json| json.keys().next());
    let headers = raw.headers.as_ref().and_then(|all| all.keys().next());
    let writable = raw.writable.as_ref().and_then(|all| all.first());
    [
        place("port", raw.port.as_ref()),
        place("path", raw.path.as_ref()),
        place("status", raw.status.as_ref()),
        inner("headers", headers.map(Placed::span)),
        place("body", raw.body.as_ref()),
        inner("json", json.map(Placed::span)),
        place("command", raw.command.as_ref()),
        place("exit", raw.exit.as_ref()),
        place("output", raw.output.as_ref()),
        place("contains", raw.contains.as_ref()),
        place("never", raw.never.as_ref()),
        place("address", raw.address.as_ref()),
        place("proxy", raw.proxy.as_ref()),
        place("root-owned", raw.root_owned.as_ref()),
        inner("writable", writable.map(Placed::span)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl GraphReader<'_, '_> {
    /// Checks one probe.
    pub(super) fn probe(&mut self, raw: Placed<RawProbe>) -> Option<Probe> {
        let span = raw.span();
        let raw = raw.into_inner();
        let missing = |reader: &mut Self, field: &str, help: &str| {
            let title = format!("a probe has no `{field}`");
            let label = format!("`{field}` is missing");
            let mistake = Mistake::at(span.clone(), title, label);
            reader.mistakes.push(mistake.help(help.to_owned()));
        };
        if raw.service.is_none() {
            missing(self, "service", "name a service of the compose file");
        }
        let Some(kind) = &raw.kind else {
            missing(
                self,
                "kind",
                "one of `http`, `tcp`, `exec`, `log`, `refused`, `file`, `uid`",
            );
            return None;
        };
        let kind = *kind.get_ref();
        let fields = fields(kind);
        let stray = given(&raw)
            .into_iter()
            .filter(|(field, _)| !fields.contains(field));
        for (field, place) in stray {
            let title = format!(
                "`{field}` is not a field of a probe of kind `{}`",
                name(kind)
            );
            let list = fields.iter().map(|field| format!("`{field}`"));
            let label = format!("it takes {}", list.collect::<Vec<_>>().join(", "));
            self.mistakes.push(Mistake::at(place, title, label));
        }
        let needed: &[(&str, bool, &str)] = &match kind {
            RawKind::Http | RawKind::Tcp => [(
                "port",
                raw.port.is_some(),
                "write the port that the program listens on in its container",
            )],
            RawKind::Exec => [(
                "command",
                raw.command.is_some(),
                "write it like command = [\"redis-cli\", \"ping\"]",
            )],
            RawKind::Log => [(
                "contains",
                raw.contains.is_some() || raw.never.is_some(),
                "or `never`: what the log must not contain",
            )],
            RawKind::Refused => [(
                "address",
                raw.address.is_some(),
                "write it like address = \"169.254.169.254:80\"",
            )],
            RawKind::File => [(
                "path",
                raw.path.is_some(),
                "write the absolute path in the container",
            )],
            RawKind::Uid => [("writable", true, "")],
        };
        for (field, is_there, help) in needed {
            if !is_there {
                missing(self, field, help);
            }
        }
        let service = raw
            .service
            .clone()
            .and_then(|service| self.text("service", service, names::service));
        let timeout = self.seconds("timeout", raw.timeout.clone(), 1, PROBE_TIMEOUT);
        let ask = self.ask(kind, raw)?;
        Some(Probe {
            service: service?,
            ask,
            timeout,
        })
    }

    fn ask(&mut self, kind: RawKind, raw: RawProbe) -> Option<Ask> {
        let port = raw.port.and_then(|port| self.port(&port));
        Some(match kind {
            RawKind::Http => {
                let json = raw.json.into_iter().flatten();
                Ask::Http(Http {
                    port: port?,
                    path: match raw.path {
                        Some(path) => self.text("path", path, url_path)?,
                        None => "/".to_owned(),
                    },
                    status: match raw.status {
                        Some(status) => self.number_within("status", &status, 100, 599)?,
                        None => 200,
                    },
                    headers: self.headers(raw.headers),
                    body: raw.body.map(Placed::into_inner),
                    json: json
                        .filter_map(|(path, value)| {
                            let path = self.json_path(path)?;
                            let value = serde_json::to_value(value.into_inner()).ok()?;
                            Some((path, value))
                        })
                        .collect(),
                })
            }
            RawKind::Tcp => Ask::Tcp { port: port? },
            RawKind::Exec => {
                let (span, command) = {
                    let command = raw.command?;
                    (command.span(), command.into_inner())
                };
                let command = self.texts("command", Some(command), |text| {
                    if text.contains('\0') {
                        Err("must not hold a NUL".into())
                    } else {
                        Ok(())
                    }
                });
                if command.first().is_none_or(String::is_empty) {
                    self.mistakes
                        .push(Mistake::at(span, "a probe's command is empty", "here"));
                    return None;
                }
                Ask::Exec {
                    command,
                    exit: match raw.exit {
                        Some(exit) => i64::from(self.number_within("exit", &exit, 0, 255)?),
                        None => 0,
                    },
                    output: raw.output.map(Placed::into_inner),
                }
            }
            RawKind::Log => Ask::Log {
                contains: raw.contains.map(Placed::into_inner),
                never: raw.never.map(Placed::into_inner),
            },
            RawKind::Refused => Ask::Refused(self.refused(raw.address?, raw.proxy)?),
            RawKind::File => Ask::File {
                path: self.text("path", raw.path?, absolute)?,
                root_owned: raw.root_owned.is_some_and(Placed::into_inner),
            },
            RawKind::Uid => Ask::Uid {
                writable: self.texts("writable", raw.writable, absolute),
            },
        })
    }

    fn headers(&mut self, raw: Option<Texts>) -> BTreeMap<String, String> {
        let mut headers = BTreeMap::new();
        for (name, value) in raw.into_iter().flatten() {
            if let Some(name) = self.text("header", name, header) {
                headers.insert(name.to_ascii_lowercase(), value.into_inner());
            }
        }
        headers
    }

    fn refused(&mut self, address: Text, proxy: Option<Text>) -> Option<Refused> {
        let span = address.span();
        let proxy = match proxy {
            None => None,
            Some(proxy) => {
                let place = proxy.span();
                let text = proxy.get_ref().trim_end_matches('/');
                let text = text.strip_prefix("http://").unwrap_or(text).to_owned();
                let good = host_and_port(&text, None).is_some();
                if !good {
                    let title = "a proxy is not `http://HOST:PORT`";
                    self.mistakes.push(Mistake::at(place, title, "here"));
                }
                Some(good.then_some(text)?)
            }
        };
        let text = address.get_ref();
        let found = match text.strip_prefix("http://") {
            Some(rest) => host_and_port(rest.split('/').next().unwrap_or_default(), Some(80)),
            None => host_and_port(text, None),
        };
        let Some((host, port)) = found else {
            let title = format!("`{}` is not an address", shown::short(text));
            let mistake = Mistake::at(span, title, "expected `HOST:PORT` or `http://HOST`");
            self.mistakes.push(mistake);
            return None;
        };
        Some(Refused { host, port, proxy })
    }

    /// A path in JSON as a JSON pointer: `a.b[0]`, `$.a.b[0]` and `/a/b/0` all give the last.
    fn json_path(&mut self, path: Text) -> Option<String> {
        let text = path.get_ref();
        if text.is_empty() || text.starts_with('/') {
            return Some(text.clone());
        }
        let text = text.strip_prefix('$').unwrap_or(text);
        let text = text.strip_prefix('.').unwrap_or(text);
        let mut pointer = String::new();
        for part in text.split('.') {
            let (name, indices) = part.split_once('[').unwrap_or((part, ""));
            if !name.is_empty() {
                let name = name.replace('~', "~0").replace('/', "~1");
                pointer.push_str(&format!("/{name}"));
            }
            let mut indices = indices.split(['[', ']']).filter(|index| !index.is_empty());
            let is_number = |index: &str| index.bytes().all(|byte| byte.is_ascii_digit());
            if let Some(odd) = indices.clone().find(|index| !is_number(index)) {
                let title = format!("`{}` in a JSON path is not a number", shown::short(odd));
                let label = "write it like `items[0].name`";
                self.mistakes.push(Mistake::at(path.span(), title, label));
                return None;
            }
            indices
                .by_ref()
                .for_each(|index| pointer.push_str(&format!("/{index}")));
        }
        Some(pointer)
    }

    fn port(&mut self, port: &Placed<i64>) -> Option<u16> {
        self.number_within("port", port, 1, 65535)
    }
}

/// `HOST:PORT`, or `HOST` if there is a usual port. An IPv6 address stands in brackets.
fn host_and_port(text: &str, usual: Option<u16>) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, rest.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if host.is_empty() || host.starts_with('-') || !host.chars().all(is_plain) {
        return None;
    }
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None => usual?,
    };
    Some((host.to_owned(), port))
}

fn url_path(text: &str) -> Result<(), String> {
    names::plain(text)?;
    if !text.starts_with('/') || text.contains(char::is_whitespace) || !text.is_ascii() {
        return Err("must begin with `/` and hold no space; write others as `%20`".into());
    }
    Ok(())
}

fn header(text: &str) -> Result<(), String> {
    names::plain(text)?;
    if text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return Ok(());
    }
    Err("is not the name of a header".into())
}

fn absolute(text: &str) -> Result<(), String> {
    names::plain(text)?;
    if text.starts_with('/') && !text.split('/').any(|part| part == "..") {
        return Ok(());
    }
    Err("must be an absolute path in the container".into())
}
