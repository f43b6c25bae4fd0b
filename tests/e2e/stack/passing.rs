//! A stack that comes up, and everything around it that must stay unchanged.

use std::os::unix::fs::PermissionsExt as _;

use xtask::verify::stack::StackOutcome;

use super::{command, left, notes, stack, stacks, tried};
use crate::{docker, host, hosts, written};

/// The parts of a real stack: a page behind a small proxy, a job that ends, a bind mount, and an
/// internal network.
const COMPOSE: &str = r#"
x-secret: &secret
  PASSWORD: ${PASSWORD:?set it}
services:
  init:
    command: ["sh", "-c", "echo made > /data/by-init; chown -R 1001 /data"]
    volumes:
      - ./data:/data
  web:
    container_name: ${PAGE}
    user: "1001:0"
    environment:
      <<: *secret
      GREETING: ${GREETING:-hello}$$
    command: ["sh", "-c", "cp /conf/page.html /tmp/; echo \"$$GREETING\" > /tmp/greeting; echo '<p>' > /tmp/index.html; echo serving with $$PASSWORD; echo mine >> /conf/note; exec httpd -f -p 8080 -h /tmp"]
    restart: always
    depends_on:
      init:
        condition: service_completed_successfully
      proxy:
        condition: service_healthy
    ports: ["127.0.0.1:${PORT}:8080"]
    volumes:
      - ./data:/data
      - ./conf/note:/conf/note
      - ./conf/page.html:/conf/page.html:ro
  proxy:
    command: ["nc", "-ll", "-p", "3128", "-e", "sh", "/proxy.sh"]
    healthcheck:
      test: ["CMD", "sh", "-c", "netstat -tln | grep -q :3128"]
      interval: 30s
    configs:
      - source: script
        target: /proxy.sh
    networks: [default, inner]
  sandbox:
    image: ${OTHER}
    command: ["httpd", "-f", "-p", "80", "-h", "/www"]
    networks: [inner]
configs:
  script:
    content: |
      read -r method url rest
      case "$$url" in
        http://10.*) echo "HTTP/1.1 403 Forbidden";;
        http://nowhere/*) printf 'HTTP/1.1 503 x\r\nX-Squid-Error: ERR_DNS_FAIL 0\r\n\r\n';;
        *) echo "HTTP/1.1 502 Bad Gateway";;
      esac
      echo
networks:
  inner:
    internal: true
    ipam:
      config:
        - subnet: 10.213.254.0/24
"#;

const REST: &str = r#"
env = { GREETING = "good day", PASSWORD = { secret = "STACK_TEST_PASSWORD" }, OTHER = "IMAGE", PAGE = "NAME", PORT = "NUMBER" }
watch = 1
[[stack.probe]]
service = "web"
kind = "http"
port = 8080
path = "/page.html"
headers = { Content-Type = "html" }
json = { "list[1].n" = 2 }
[[stack.probe]]
service = "web"
kind = "http"
port = 8080
path = "/greeting"
body = "good day$"
[[stack.probe]]
service = "sandbox"
kind = "http"
port = 80
body = "hello"
[[stack.probe]]
service = "proxy"
kind = "tcp"
port = 3128
[[stack.probe]]
service = "web"
kind = "exec"
command = ["cat", "/data/by-init", "/conf/note"]
output = "made\nof the user\nmine"
[[stack.probe]]
service = "web"
kind = "log"
contains = "serving"
never = "Traceback"
[[stack.probe]]
service = "web"
kind = "file"
path = "/data"
[[stack.probe]]
service = "web"
kind = "file"
path = "/tmp/greeting"
[[stack.probe]]
service = "sandbox"
kind = "refused"
address = "web:8080"
[[stack.probe]]
service = "sandbox"
kind = "refused"
address = "http://10.0.0.1"
proxy = "http://proxy:3128"
[[stack.probe]]
service = "web"
kind = "uid"
writable = ["/tmp"]
"#;

fn whole(host: &str, page: &str, port: u16) -> super::Project {
    let rest = REST
        .replace("IMAGE", &super::image(host))
        .replace("NAME", page)
        .replace("NUMBER", &port.to_string());
    let project = stack(host, COMPOSE, &rest)
        .file("stack/data/rows", "a user's rows")
        .file("stack/conf/note", "of the user\n")
        .file("stack/conf/page.html", r#"{"list":[{},{"n":2}]}"#)
        .variable("STACK_TEST_PASSWORD", "hunter2-of-the-test")
        // A variable of the user's shell does not reach the stack.
        .variable("GREETING", "from the shell");
    let writable = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(project.path("stack/conf/note"), writable).unwrap();
    project
}

/// A running project of the user, which is removed with this value.
struct Own<'o> {
    host: &'o str,
    name: String,
    file: std::path::PathBuf,
}

impl Own<'_> {
    const COMPOSE: &'static str = "services:\n  web:\n    container_name: ${PAGE}\n    image: ${OTHER}\n    ports: [\"127.0.0.1:${PORT}:8080\"]\n    volumes: [\"./data:/data\", \"kept:/kept\"]\n    command: [\"sleep\", \"600\"]\nvolumes:\n  kept: {}\n";

    fn compose(&self, arguments: &[&str], port: u16) {
        let docker = std::env::var("XTASK_TEST_DOCKER").unwrap_or_else(|_| "docker".into());
        let mut docker = std::process::Command::new(docker);
        docker
            .args(["compose", "--project-name", &self.name, "--file"])
            .arg(&self.file)
            .args(arguments)
            .env("DOCKER_HOST", self.host)
            .env("OTHER", super::image(self.host))
            .env("PAGE", &self.name)
            .env("PORT", port.to_string());
        let output = docker.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    fn state(&self) -> String {
        let format = "{{.Id}} {{.State.StartedAt}}";
        docker(self.host, &["inspect", "--format", format, &self.name])
    }
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        self.compose(&["down", "--volumes", "--timeout", "0"], 1);
    }
}

#[test]
fn a_stack_comes_up_answers_all_probes_and_leaves_everything_as_it_was() {
    for host in hosts() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        let name = format!("own{}", std::process::id());
        let project = whole(&host, &name, port);
        // A project of the user already has the container's name and the port.
        project.write("stack/own.yaml", Own::COMPOSE);
        let file = project.path("stack/own.yaml");
        let own = Own {
            host: &host,
            name,
            file,
        };
        drop(free);
        own.compose(&["up", "--detach"], port);
        let running = own.state();
        let tried = tried(&project).ends(StackOutcome::Passed);
        assert_eq!(tried.lines("@probe").len(), 11, "{}", tried.said);
        assert!(!tried.said.contains("hunter2"), "{}", tried.said);
        assert_eq!(own.state(), running);
        for (file, content) in [
            ("stack/data/rows", "a user's rows"),
            ("stack/conf/note", "of the user\n"),
        ] {
            let found = std::fs::read_to_string(project.path(file)).unwrap();
            assert_eq!(found, content);
        }
        assert!(!project.path("stack/data/by-init").exists());
        assert_eq!(left(&host, &project), "");
        assert_eq!(notes(&project), [""; 0]);
        assert_eq!(stacks(&project).len(), 1);
        assert_eq!(written(&project, "hunter2"), "");
        let tried = tried.says("service `web`: has no name of its own");
        tried.says("/conf/note is a copy of the file conf/note");
    }
}

#[test]
fn what_reaches_beyond_the_stack_is_refused_before_anything_is_made() {
    let host = host();
    let compose = "services:\n  web:\n    privileged: true\n    volumes: [\"/var/run/docker.sock:/var/run/docker.sock\"]\n";
    let project = stack(&host, compose, "");
    let said = tried(&project).said;
    assert!(said.contains("@fault Usage"), "{said}");
    assert!(
        said.contains("allow = [\"web:docker.sock\", \"web:privileged\"]"),
        "{said}"
    );
    assert_eq!(notes(&project), [""; 0]);
    let permitted = stack(
        &host,
        compose.replace("volumes", "x-volumes").as_str(),
        "watch = 0\nallow = [\"web:privileged\"]",
    );
    tried(&permitted).ends(StackOutcome::Passed);
}

#[test]
fn an_env_file_stands_for_the_one_that_a_checkout_lacks() {
    let host = host();
    let compose = "services:\n  web:\n    env_file: .env\n    volumes: [\"./page.html:/www/index.html:ro\"]\n";
    let probe = "[[stack.probe]]\nservice = \"web\"\nkind = \"exec\"\ncommand = [\"sh\", \"-c\", \"echo $WORD; cat /www/index.html\"]\noutput = \"of the example\\nof the user\"\n";
    let project = stack(&host, compose, probe).file("stack/page.html", "of the user");
    tried(&project).says("name a file to use in its place in `[stack]`");
    let graph = std::fs::read_to_string(project.path("build-graph.toml")).unwrap();
    let graph = graph.replace("[[stack", "env-file = \"stack/.env.example\"\n[[stack");
    project.write("build-graph.toml", graph);
    project.write("stack/.env.example", "WORD=of the example\n");
    tried(&project).ends(StackOutcome::Passed);
    assert!(!project.path("stack/.env").exists());
}

#[test]
fn an_override_beside_the_graph_is_laid_over_the_compose_file() {
    let host = host();
    let compose = "services:\n  web:\n    command: [sh, -c, exit 1]\n";
    let probe = "[[stack.probe]]\nservice = \"web\"\nkind = \"tcp\"\nport = 81\n";
    let over = "services:\n  web:\n    command: [httpd, -f, -p, \"81\"]\n";
    let project = stack(&host, compose, probe).file("over/stack.yaml", over);
    tried(&project).ends(StackOutcome::Failed);
    let graph = std::fs::read_to_string(project.path("build-graph.toml")).unwrap();
    let graph = graph.replace("[[stack", "override = \"over/stack.yaml\"\n[[stack");
    project.write("build-graph.toml", graph);
    tried(&project).ends(StackOutcome::Passed);
}

#[test]
fn a_kept_stack_answers_at_its_addresses_until_its_user_takes_it_down() {
    let host = host();
    let probe = "watch = 0\n[[stack.probe]]\nservice = \"web\"\nkind = \"tcp\"\nport = 80\n";
    let project = stack(&host, "services:\n  web: {}\n", probe);
    let output = command(&project).env(super::KEEP, "1").output().unwrap();
    let kept = super::Tried {
        said: String::from_utf8(output.stdout).unwrap(),
    }
    .ends(StackOutcome::Passed);
    let address = kept.lines("@address")[0].to_owned();
    let address = address.strip_prefix("web 80 ").unwrap();
    assert!(std::net::TcpStream::connect(address).is_ok());
    // The next run does not touch the stack that was kept.
    tried(&project).ends(StackOutcome::Passed);
    assert!(left(&host, &project).contains("web"));
    let take_down = kept.lines("@take-down")[0].to_owned();
    let words: Vec<&str> = take_down.split(' ').skip(1).collect();
    docker(&host, &words);
    assert_eq!(left(&host, &project), "");
    tried(&project).ends(StackOutcome::Passed);
    assert_eq!(notes(&project), [""; 0]);
}
