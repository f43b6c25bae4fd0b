//! What `[stack]` may say, and the messages for mistakes in it.

use crate::graphfile::options::GraphOptions;
use std::time::Duration;

use crate::graphfile::spec::stack::{Ask, Refused, Stack, Variable};
use crate::graphfile::spec::{Spec, StageId, read};

const HEAD: &str = "version = 1\n[stage.api]\ncontext = \"a\"\nservices = [\"api\"]\n[stage.web]\ncontext = \"w\"\n[vars]\nv = \"7\"\n";

fn spec(stack: &str, profile: Option<&str>) -> Result<Spec, String> {
    let text = format!("{HEAD}{stack}");
    read(
        "build-graph.toml".into(),
        "/".into(),
        &text,
        &GraphOptions::profile(profile),
    )
    .map_err(|fault| fault.to_string())
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
override = "overlays/stack.yaml"
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
    assert_eq!(stack.override_file.unwrap(), "overlays/stack.yaml");
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
            "`body` is not a field of a probe of kind `tcp`",
        ),
        (
            probe("kind = \"refused\"\naddress = \"10.0.0.1\"\n"),
            "is not an address",
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
