//! The rules for `[stack]` and its probes.
//!
//! Knows which fields belong to which kind of probe and what may stand there. Is unaware of the
//! compose file: whether a service is there is found out when it is read.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::Spanned;

use super::check::{Reader, Scope};
use super::mistakes::{Mistake, Span};
use super::raw::{Text, Texts};
use super::raw_stack::{RawEnv, RawKind, RawProbe, RawStack};
use super::stack::{Ask, Http, Probe, Refused, Stack, Variable};
use super::{Stage, StageId, names};

/// How long services have until they are ready, unless the file says otherwise.
const TIMEOUT: Duration = Duration::from_secs(180);
/// How long they are watched after that.
const WATCH: Duration = Duration::from_secs(3);
/// How long a probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest of all times, in seconds.
const LONGEST: i64 = 3600;

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
    fn place<T>(name: &'static str, value: Option<&Spanned<T>>) -> Option<(&'static str, Span)> {
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
        inner("headers", headers.map(Spanned::span)),
        place("body", raw.body.as_ref()),
        inner("json", json.map(Spanned::span)),
        place("command", raw.command.as_ref()),
        place("exit", raw.exit.as_ref()),
        place("output", raw.output.as_ref()),
        place("contains", raw.contains.as_ref()),
        place("never", raw.never.as_ref()),
        place("address", raw.address.as_ref()),
        place("proxy", raw.proxy.as_ref()),
        place("root-owned", raw.root_owned.as_ref()),
        inner("writable", writable.map(Spanned::span)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl Reader<'_, '_> {
    /// Checks `[stack]`, which stands at `span`.
    pub(super) fn stack(
        &mut self,
        span: &Span,
        raw: RawStack,
        stages: &[Stage],
        scope: &Scope,
    ) -> Option<Stack> {
        if raw.compose.is_none() {
            let mistake = Mistake::at(
                span.clone(),
                "`stack` has no `compose`",
                "`compose` is missing",
            );
            self.mistakes
                .push(mistake.help("name the compose file that runs the images"));
        }
        let source = raw
            .source
            .and_then(|source| self.known(source, "source", &scope.sources));
        let compose = raw.compose.and_then(|path| self.path("compose", path));
        let env_file = raw.env_file.and_then(|path| self.path("env-file", path));
        let services = self.mapped(raw.services, stages, scope);
        let env = self.variables_of_stack(raw.env, scope);
        let allow = self.texts("allow", raw.allow, names::plain);
        let timeout = self.seconds("timeout", raw.timeout, 1, TIMEOUT);
        let watch = self.seconds("watch", raw.watch, 0, WATCH);
        let probes = raw.probe.into_iter().flatten();
        let probes = probes.filter_map(|probe| self.probe(probe)).collect();
        Some(Stack {
            compose: compose?,
            source,
            env_file,
            services,
            env,
            allow: allow.into_iter().collect(),
            timeout,
            watch,
            probes,
        })
    }

    fn mapped(
        &mut self,
        raw: Option<Texts>,
        stages: &[Stage],
        scope: &Scope,
    ) -> BTreeMap<String, StageId> {
        let mut services = BTreeMap::new();
        let mut own = Vec::new();
        for (service, stage) in raw.into_iter().flatten() {
            let span = service.span();
            let service = self.text("service", service, names::service);
            let stage = self.known(stage, "stage", &scope.stages);
            if let (Some(service), Some(stage)) = (service, stage) {
                own.push((service.clone(), stage, span));
                services.insert(service, stage);
            }
        }
        for (id, stage) in super::ids(stages.len()).zip(stages) {
            for service in &stage.services {
                let before = services.insert(service.clone(), id);
                let Some(other) = before.filter(|before| *before != id) else {
                    continue;
                };
                let title = format!(
                    "service `{service}` runs the images of two stages, `{}` and `{}`",
                    names::short(&stages[other.index()].name),
                    names::short(&stage.name)
                );
                let place = own.iter().find(|(name, ..)| name == service);
                let mistake = match place {
                    Some((_, _, span)) => {
                        Mistake::at(span.clone(), title, "here, and in the stage's `services`")
                    }
                    None => Mistake::of_file(title),
                };
                self.mistakes.push(mistake.help("leave it to one of them"));
            }
        }
        services
    }

    fn variables_of_stack(
        &mut self,
        raw: Option<BTreeMap<Text, Spanned<RawEnv>>>,
        scope: &Scope,
    ) -> BTreeMap<String, Variable> {
        let mut all = BTreeMap::new();
        for (name, value) in raw.into_iter().flatten() {
            let name = self.text("variable name", name, names::variable);
            let span = value.span();
            let value = match value.into_inner() {
                RawEnv::Text(text) => self
                    .settled("variable", Spanned::new(span, text), |_| Ok(()), scope)
                    .map(Variable::Text),
                RawEnv::Secret(secret) => match secret.secret {
                    Some(secret) => self
                        .text("environment variable", secret, names::variable)
                        .map(Variable::Secret),
                    None => {
                        self.mistakes.push(Mistake::at(
                            span,
                            "a secret value has one place to be found",
                            "expected `{ secret = \"NAME\" }`",
                        ));
                        None
                    }
                },
            };
            if let (Some(name), Some(value)) = (name, value) {
                all.insert(name, value);
            }
        }
        all
    }

    fn probe(&mut self, raw: Spanned<RawProbe>) -> Option<Probe> {
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
            let title = format!("`{field}` is no field of a probe of kind `{}`", name(kind));
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
                        Some(status) => self.number("status", &status, 100, 599)?,
                        None => 200,
                    },
                    headers: self.headers(raw.headers),
                    body: raw.body.map(Spanned::into_inner),
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
                        Some(exit) => i64::from(self.number("exit", &exit, 0, 255)?),
                        None => 0,
                    },
                    output: raw.output.map(Spanned::into_inner),
                }
            }
            RawKind::Log => Ask::Log {
                contains: raw.contains.map(Spanned::into_inner),
                never: raw.never.map(Spanned::into_inner),
            },
            RawKind::Refused => Ask::Refused(self.refused(raw.address?, raw.proxy)?),
            RawKind::File => Ask::File {
                path: self.text("path", raw.path?, absolute)?,
                root_owned: raw.root_owned.is_some_and(Spanned::into_inner),
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
                    let title = "a proxy is no `http://HOST:PORT`";
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
            let title = format!("`{}` is no address", names::short(text));
            let mistake = Mistake::at(span, title, "expected `HOST:PORT` or `http://HOST`");
            self.mistakes.push(mistake);
            return None;
        };
        Some(Refused { host, port, proxy })
    }

    /// `a.b[0]`, `$.a.b[0]` and `/a/b/0` are one path; the last is how the program has it.
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
                let title = format!("`{}` in a JSON path is no number", names::short(odd));
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

    fn port(&mut self, port: &Spanned<i64>) -> Option<u16> {
        self.number("port", port, 1, 65535)
    }

    fn number(&mut self, what: &str, raw: &Spanned<i64>, least: u16, most: u16) -> Option<u16> {
        let number = u16::try_from(*raw.get_ref()).ok();
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let title = format!("a {what} out of range");
            let label = format!("expected {least} to {most}");
            self.mistakes.push(Mistake::at(raw.span(), title, label));
        }
        number
    }

    fn seconds(
        &mut self,
        what: &str,
        raw: Option<Spanned<i64>>,
        least: i64,
        usual: Duration,
    ) -> Duration {
        let Some(raw) = raw else { return usual };
        let seconds = *raw.get_ref();
        if let (true, Ok(seconds)) = ((least..=LONGEST).contains(&seconds), u64::try_from(seconds))
        {
            return Duration::from_secs(seconds);
        }
        let label = format!("expected {least} to {LONGEST} seconds");
        let title = format!("a {what} out of range");
        self.mistakes.push(Mistake::at(raw.span(), title, label));
        usual
    }
}

/// `HOST:PORT`, or `HOST` where there is a usual port. An IPv6 address stands in brackets.
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
    Err("is no name of a header".into())
}

fn absolute(text: &str) -> Result<(), String> {
    names::plain(text)?;
    if text.starts_with('/') && !text.split('/').any(|part| part == "..") {
        return Ok(());
    }
    Err("must be an absolute path in the container".into())
}

#[cfg(test)]
mod tests {
    use super::super::{Spec, read};
    use super::*;

    const HEAD: &str = "version = 1\n[stage.api]\ncontext = \"a\"\nservices = [\"api\"]\n[stage.web]\ncontext = \"w\"\n[vars]\nv = \"7\"\n";

    fn spec(stack: &str, profile: Option<&str>) -> Result<Spec, String> {
        let text = format!("{HEAD}{stack}");
        read("build-graph.toml".into(), "/".into(), &text, profile).map_err(|fault| fault.message)
    }

    fn stack(text: &str) -> Stack {
        spec(text, None).unwrap().stack.unwrap()
    }

    #[test]
    fn a_graph_without_a_stack_has_none() {
        assert_eq!(spec("", None).unwrap().stack, None);
    }

    #[test]
    fn every_kind_of_probe_is_read() {
        let stack = stack(
            r#"
[stack]
compose = "docker/./docker-compose.yaml"
env-file = "docker/.env.example"
services = { web = "web" }
env = { TAG = "v${v}", PASSWORD = { secret = "DB_PASSWORD" } }
allow = ["sandbox:privileged"]
timeout = 20
watch = 0
[[stack.probe]]
service = "api"
kind = "http"
port = 5001
path = "/health"
headers = { Content-Type = "json" }
json = { status = "ok", "items[0].n" = 1, "$.a.b" = true, "/c~1d" = 2 }
timeout = 5
[[stack.probe]]
service = "web"
kind = "tcp"
port = 3000
[[stack.probe]]
service = "api"
kind = "exec"
command = ["redis-cli", "-h", "redis", "ping"]
output = "PONG"
[[stack.probe]]
service = "api"
kind = "log"
never = "Traceback"
[[stack.probe]]
service = "sandbox"
kind = "refused"
address = "http://[::ffff:10.0.0.1]/x"
proxy = "http://ssrf_proxy:3128"
[[stack.probe]]
service = "api"
kind = "file"
path = "/app/api/storage"
root-owned = true
[[stack.probe]]
service = "api"
kind = "uid"
writable = ["/tmp"]
"#,
        );
        assert_eq!(stack.compose, "docker/docker-compose.yaml");
        assert_eq!(stack.env_file.unwrap(), "docker/.env.example");
        let services: Vec<_> = stack.services.into_iter().collect();
        let expected = [
            ("api".to_owned(), StageId(0)),
            ("web".to_owned(), StageId(1)),
        ];
        assert_eq!(services, expected);
        assert_eq!(stack.env["TAG"], Variable::Text("v7".into()));
        assert_eq!(
            stack.env["PASSWORD"],
            Variable::Secret("DB_PASSWORD".into())
        );
        assert_eq!(
            (stack.timeout, stack.watch),
            (Duration::from_secs(20), Duration::ZERO)
        );
        let kinds: Vec<_> = stack.probes.iter().map(|probe| probe.ask.kind()).collect();
        assert_eq!(
            kinds,
            ["http", "tcp", "exec", "log", "refused", "file", "uid"]
        );
        let Ask::Http(http) = &stack.probes[0].ask else {
            panic!()
        };
        let paths: Vec<_> = http.json.keys().map(String::as_str).collect();
        assert_eq!(paths, ["/a/b", "/c~1d", "/items/0/n", "/status"]);
        assert_eq!((http.status, http.port), (200, 5001));
        let refused = Refused {
            host: "::ffff:10.0.0.1".into(),
            port: 80,
            proxy: Some("ssrf_proxy:3128".into()),
        };
        assert_eq!(stack.probes[4].ask, Ask::Refused(refused));
    }

    #[test]
    fn mistakes_of_a_stack_are_told_with_their_places() {
        let head = "[stack]\ncompose = \"c.yaml\"\n";
        let probe = |rest: &str| format!("{head}[[stack.probe]]\nservice = \"api\"\n{rest}");
        for (text, said) in [
            ("[stack]\n".to_owned(), "`stack` has no `compose`"),
            (format!("{head}tmeout = 1\n"), "did you mean `timeout`?"),
            (
                format!("{head}services = {{ web = \"wep\" }}\n"),
                "did you mean `web`?",
            ),
            (
                format!("{head}services = {{ api = \"web\" }}\n"),
                "service `api` runs the images of two stages",
            ),
            (
                format!("{head}env = {{ A = 1 }}\n"),
                "text, or a table with `secret`",
            ),
            (
                format!("{head}env = {{ A = {{}} }}\n"),
                "expected `{ secret = \"NAME\" }`",
            ),
            (
                format!("{head}env = {{ A = {{ secrt = \"B\" }} }}\n"),
                "did you mean `secret`?",
            ),
            (format!("{head}timeout = 0\n"), "expected 1 to 3600 seconds"),
            (probe(""), "a probe has no `kind`"),
            (probe("kind = \"htp\"\n"), "unknown variant `htp`"),
            (probe("kind = \"tcp\"\n"), "a probe has no `port`"),
            (probe("kind = \"tcp\"\nport = 0\n"), "expected 1 to 65535"),
            (
                probe("kind = \"http\"\nport = 1\npath = \"x\"\n"),
                "must begin with `/`",
            ),
            (probe("kind = \"exec\"\ncommand = []\n"), "command is empty"),
            (probe("kind = \"log\"\n"), "a probe has no `contains`"),
            (
                probe("kind = \"tcp\"\nport = 1\nbody = \"x\"\n"),
                "`body` is no field of a probe of kind `tcp`",
            ),
            (
                probe("kind = \"refused\"\naddress = \"10.0.0.1\"\n"),
                "is no address",
            ),
            (
                probe("kind = \"file\"\npath = \"a\"\n"),
                "must be an absolute path",
            ),
            (
                format!("{head}[[stack.probe]]\nkind = \"uid\"\n"),
                "a probe has no `service`",
            ),
        ] {
            let message = spec(&text, None).unwrap_err();
            assert!(message.contains(said), "{said}\n{message}");
            assert!(message.contains("1 mistake in"), "{message}");
        }
    }

    #[test]
    fn a_profile_lies_over_the_stack() {
        let text = "[stack]\ncompose = \"a.yaml\"\nenv = { A = \"1\", B = \"1\" }\n[profile.ci.stack]\ntimeout = 9\nenv = { B = \"2\" }\n";
        let stack = spec(text, Some("ci")).unwrap().stack.unwrap();
        assert_eq!(stack.compose, "a.yaml");
        assert_eq!(stack.timeout, Duration::from_secs(9));
        assert_eq!(stack.env["A"], Variable::Text("1".into()));
        assert_eq!(stack.env["B"], Variable::Text("2".into()));
    }
}
