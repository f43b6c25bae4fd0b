//! The running proxy lets addresses outside through, and none inside, however they are spelled.
//!
//! Tests the overlay of this repository and that of the sample, with Debian's squid. A network with
//! addresses reserved for documentation plays the internet.

use std::path::Path;

use super::sample_stack::sample;
use super::{docker, docker_says, host, unique};

/// Everything that must be refused. Names are those of the proxy (`NAMES`) or of the engine.
const INSIDE: &[&str] = &[
    "127.0.0.1",
    "[::1]",
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "169.254.169.254",
    "0.0.0.0",
    "[::]",
    "[fc00::1]",
    "[fdff::1]",
    "[fe80::1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:a00:1]",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::10.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::a00:1]",
    // Decimal, octal, hexadecimal, and with parts left out.
    "2130706433",
    "167772161",
    "2852039166",
    "017700000001",
    "0251.0376.0251.0376",
    "0x7f000001",
    "0xa9fea9fe",
    "0xA9.0xFE.0xA9.0xFE",
    "127.1",
    "10.1",
    "0",
    "x@10.0.0.1",
    // Names.
    "localhost",
    "metadata.test",
    "METADATA.test.",
    "private.test",
    "loop.test",
    "six.test",
    "mapped.test",
    "nat64.test",
    "inside.test",
];

/// Names that the proxy's own /etc/hosts has.
const NAMES: [&str; 6] = [
    "metadata.test:169.254.169.254",
    "private.test:192.168.7.7",
    "loop.test:127.0.0.1",
    "six.test:fd00::1",
    "mapped.test:::ffff:10.0.0.1",
    "nat64.test:64:ff9b::a00:1",
];

/// Asks the proxy `argv[1]`, once it listens, for each of the other arguments. Prints the status of
/// each answer and squid's reason.
const CLIENT: &str = r#"
import socket, sys, time
end = time.time() + 30
def connected():
    while True:
        try:
            return socket.create_connection((sys.argv[1], 3128), 30)
        except OSError:
            if time.time() > end:
                raise
            time.sleep(0.1)
def status(request):
    with connected() as proxy:
        proxy.sendall(request.encode())
        answer = b""
        while b"\r\n\r\n" not in answer and (more := proxy.recv(65536)):
            answer += more
    head = answer.split(b"\r\n\r\n")[0].decode("latin-1")
    own = [line for line in head.splitlines() if line.lower().startswith("x-squid-error")]
    return " ".join([head.split(" ")[1]] + own)
for host in sys.argv[2:]:
    plain = f"GET http://{host}/passwd HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    print(host, "GET", status(plain))
    if "@" not in host:
        tls = f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n"
        print(host, "CONNECT", status(tls))
"#;

/// The containers and networks of this test, which are removed with this value.
struct Made<'m> {
    host: &'m str,
    name: String,
}

impl Made<'_> {
    fn network(&self, name: &str, rest: &[&str]) -> Result<String, String> {
        let name = format!("{}-{name}", self.name);
        let label = format!("label={}", self.name);
        let create = ["network", "create", "--label", &label[6..]];
        docker_says(self.host, &[&create, rest, &[&name]].concat()).map(|_| name)
    }

    fn container(&self, name: &str, rest: &[&str]) -> String {
        let name = format!("{}-{name}", self.name);
        let run = ["run", "--detach", "--label", &self.name, "--name", &name];
        docker(self.host, &[&run, rest].concat());
        name
    }
}

impl Made<'_> {
    /// Starts a server with pages, named `NAME.test` in its network. Returns its address.
    fn server(&self, name: &str, network: &str, image: &str) -> String {
        let alias = format!("{name}.test");
        let whole = self.container(
            name,
            &[
                &["--network", network, "--network-alias", &alias, image][..],
                &["httpd", "-f", "-p", "80", "-h", "/etc"],
            ]
            .concat(),
        );
        let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        docker(self.host, &["inspect", "--format", address, &whole])
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        let filter = format!("label={}", self.name);
        for (list, remove) in [
            (
                &["ps", "--all", "--quiet"][..],
                &["rm", "--force", "--volumes"][..],
            ),
            (&["network", "ls", "--quiet"], &["network", "rm"]),
        ] {
            let list = [list, &["--filter", &filter]].concat();
            let ids = docker_says(self.host, &list).unwrap_or_default();
            for id in ids.split_whitespace() {
                let _ = docker_says(self.host, &[remove, &[id]].concat());
            }
        }
    }
}

#[test]
fn the_proxy_lets_the_outside_through_and_nothing_inside() {
    let host = host();
    let project = sample(&host);
    let shipped = project.path("shipped");
    let overlay = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../overlays/ssrf-proxy"
    ));
    let project = project.copy_into(overlay, &shipped);
    let names = unique("proxy");
    let graph = std::fs::read_to_string(project.path("build-graph.toml")).unwrap();
    let own = format!(
        "[profile.stack.stage.shipped]\ncontext = \"shipped\"\nimage = \"{names}/shipped\"\n\
         contexts = {{ \"ubuntu/squid:latest\" = {{ stage = \"services\" }} }}\n"
    );
    let graph = graph
        .replace("tags = [\"12\"]\n", "")
        .replace("tags = [\"${version}\"]\n", "");
    project.write("build-graph.toml", format!("{graph}{own}"));
    let stages = ["shipped", "ssrf-proxy"];
    let build = [&["build", "--profile", "stack"][..], &stages].concat();
    project.run(&build).ends(0);
    let image = graph.split("image = \"").nth(1).unwrap();
    let prefix = image.split("/base\"").next().unwrap();
    let sample_of = |name: &str| {
        let image = format!("image = \"{prefix}/{name}\"");
        assert!(graph.contains(&image), "{graph}");
        format!("{prefix}/{name}")
    };
    let tools = sample_of("services");

    let made = Made {
        host: &host,
        name: names.replace('/', "-"),
    };
    let inner = made.network("inner", &[]).unwrap();
    // Other networks on this machine may already use some of the addresses.
    let outer = (0..16)
        .map(|part| (part + std::process::id() % 16) % 16 * 16)
        .find_map(|part| {
            let net = format!("203.0.113.{part}/28");
            made.network("outer", &["--subnet", &net]).ok()
        })
        .expect("no documentation network is free");
    let inside = made.server("inside", &inner, &tools);
    let public = made.server("public", &outer, &tools);

    for (stage, image) in [
        ("shipped", format!("{names}/shipped")),
        ("ssrf-proxy", sample_of("ssrf-proxy")),
    ] {
        let mut rest = vec!["--network", inner.as_str()];
        rest.extend(NAMES.iter().flat_map(|name| ["--add-host", name]));
        rest.push(&image);
        let proxy = made.container(stage, &rest);
        docker(&host, &["network", "connect", &outer, &proxy]);
        let ask = [
            "run",
            "--rm",
            "--network",
            &inner,
            &tools,
            "python3",
            "-c",
            CLIENT,
            &proxy,
        ];
        let said = docker(&host, &[&ask[..], &[&public, "public.test"]].concat());
        let pages = said.lines().filter(|line| line.ends_with(" GET 200"));
        assert_eq!(pages.count(), 2, "{stage}: {said}");
        let all = [INSIDE, &[&inside]].concat();
        let said = docker(&host, &[&ask[..], &all].concat());
        let refused = |line: &&str| line.contains(" 403 X-Squid-Error: ERR_ACCESS_DENIED");
        let others: Vec<&str> = said.lines().filter(|line| !refused(line)).collect();
        assert_eq!(others, [""; 0], "{stage}");
        assert_eq!(said.lines().count(), all.len() * 2 - 1, "{said}");
    }
}
