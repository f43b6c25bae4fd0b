//! The sample as a running stack. It comes up, and for each way of breaking it the message names
//! the cause.
//!
//! The images are built once. Each case changes the compose file or the graph for one run.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;

use super::support::Ran;
use super::{Project, docker, project, unique};

/// The folder that keeps the files of the sample's bases between tests.
pub fn cache() -> String {
    concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../target/testbed/sample-bases"
    )
    .to_owned()
}

/// The sample, with unique image names.
pub fn sample(host: &str) -> Project {
    let from = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/sample");
    let project = project(host).copy_of(Path::new(from));
    let names = unique("sample");
    for (file, before) in [
        ("build-graph.toml", "\"sample/"),
        ("overlays/api-custom/Dockerfile", "FROM sample/"),
        ("overlays/web-custom/Dockerfile", "FROM sample/"),
    ] {
        let text = std::fs::read_to_string(project.path(file)).unwrap();
        let after = before.replace("sample", &names);
        project.write(file, text.replace(before, &after));
    }
    project.variable("SAMPLE_CACHE", &cache())
}

/// Skips the policy, which comes before the stack.
const STACK_ALONE: &[&str] = &["--stack-only"];

/// One way to break the stack.
struct Case {
    name: &'static str,
    /// The arguments that choose the parts of the verification.
    parts: &'static [&'static str],
    /// A file, a text in it, and the text that replaces it in this case.
    changed: &'static [(&'static str, &'static str, &'static str)],
    /// A service that is killed once it is ready.
    killed: Option<&'static str>,
    /// Texts on the first screen of the message.
    said: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        name: "a wrong port",
        parts: &[],
        changed: &[
            (
                "compose.yaml",
                "    image: sample/web:1.0.0\n",
                "    image: sample/web:1.0.0\n    command: [httpd, -f, -p, \"3001\", -h, /app/web]\n",
            ),
            (
                "build-graph.toml",
                "port = 3000\n",
                "port = 3000\ntimeout = 10\n",
            ),
        ],
        killed: None,
        said: &[
            "the stack failed: `web` fails its http probe: nothing answers at port 3000 of `web`; its program listens on port 3001",
        ],
    },
    Case {
        name: "a crash at start",
        parts: STACK_ALONE,
        changed: &[(
            "compose.yaml",
            "    image: sample/redis:1.0.0\n",
            "    image: sample/redis:1.0.0\n    command: [redis-server, --prot, \"6379\"]\n",
        )],
        killed: None,
        said: &[
            "the stack failed: `redis` ended with exit code 1",
            "| Bad directive or wrong number of arguments",
        ],
    },
    Case {
        name: "a crash after it was healthy",
        parts: STACK_ALONE,
        changed: &[(
            "build-graph.toml",
            "timeout = 90\n",
            "timeout = 90\nwatch = 60\n",
        )],
        killed: Some("sandbox"),
        said: &[
            "the stack failed: `sandbox` ended with exit code 137 (killed by SIGKILL) after it had been ready",
        ],
    },
    Case {
        name: "a database that refuses",
        parts: STACK_ALONE,
        changed: &[(
            "compose.yaml",
            "    image: sample/db:1.0.0\n    environment: *settings\n",
            "    image: sample/db:1.0.0\n    environment: { DB_PASSWORD: another }\n",
        )],
        killed: None,
        said: &[
            "the stack failed: `migrate` ended with exit code 1",
            "password authentication failed for user \"sample\"",
        ],
    },
    Case {
        name: "a worker that takes no job",
        parts: STACK_ALONE,
        changed: &[
            (
                "compose.yaml",
                "MODE: worker }",
                "MODE: worker, QUEUE: other }",
            ),
            (
                "build-graph.toml",
                "contains = \"job 1 is done: 42\"\n",
                "contains = \"job 1 is done: 42\"\ntimeout = 30\n",
            ),
        ],
        killed: None,
        said: &[
            "the stack failed: `worker` fails its log probe",
            "waits for jobs in the queue `other`",
        ],
    },
    Case {
        name: "a proxy that lets the cloud's metadata through",
        parts: STACK_ALONE,
        changed: &[(
            "compose.yaml",
            "    image: sample/ssrf-proxy:1.0.0\n",
            "    image: sample/ssrf-proxy:1.0.0\n    command: [sh, -c, \"cd /etc/squid; sed 's,169.254.0.0/16,,' conf.d/99-deny.conf > /tmp/deny.conf; sed 's,/etc/squid/conf.d/.*,/tmp/deny.conf,' squid.conf > /tmp/squid.conf; exec squid -N -f /tmp/squid.conf\"]\n",
        )],
        killed: None,
        said: &[
            "the stack failed: `sandbox` fails its refused probe: the proxy ssrf-proxy:3128 lets 169.254.169.254:80 through",
        ],
    },
    Case {
        name: "a sandbox with a network",
        parts: STACK_ALONE,
        changed: &[(
            "compose.yaml",
            "    networks: [inner]\n",
            "    networks: [default, inner]\n",
        )],
        killed: None,
        said: &["the stack failed: `sandbox` fails its refused probe: it reaches db:5432"],
    },
    Case {
        name: "a volume that root owns",
        parts: &[],
        changed: &[(
            "compose.yaml",
            "[\"storage:/app/api/storage\"]",
            "[\"./volumes/storage:/app/api/storage\"]",
        )],
        killed: None,
        said: &[
            "the stack failed: `api` fails its file probe: /app/api/storage belongs to 0:0 with mode 0755, and the service runs as uid 1001, which may not write there",
        ],
    },
];

const VERIFY: [&str; 3] = ["verify", "--profile", "stack"];

/// Runs one case. The files are restored once the run has read them.
fn broken(host: &str, project: &Project, case: &Case, turn: &Mutex<()>) -> Ran {
    let files = turn.lock().unwrap();
    let mut before = Vec::new();
    for (file, from, to) in case.changed {
        let text = std::fs::read_to_string(project.path(file)).unwrap();
        assert!(text.contains(from), "{}: {file} has no {from:?}", case.name);
        project.write(file, text.replace(from, to));
        before.push((file, text));
    }
    let mut child = project
        .command(&VERIFY)
        .args(case.parts)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let (mut files, mut said, mut stack) = (Some(files), String::new(), String::new());
    while let Some(Ok(line)) = lines.next() {
        if let Some((name, _)) = line
            .strip_prefix("stack ")
            .and_then(|rest| rest.split_once(':'))
        {
            name.clone_into(&mut stack);
            for (file, text) in before.drain(..).rev() {
                project.write(file, text);
            }
            files.take();
        }
        if case
            .killed
            .is_some_and(|service| line == format!("{service}: ready"))
        {
            let label = format!("label=com.docker.compose.project={stack}");
            let service = format!("label=com.docker.compose.service={}", case.killed.unwrap());
            let list = ["ps", "--quiet", "--filter", &label, "--filter", &service];
            docker(host, &["kill", "--signal=KILL", &docker(host, &list)]);
        }
        said.push_str(&line);
        said.push('\n');
    }
    for (file, text) in before.drain(..).rev() {
        project.write(file, text);
    }
    let mut stdout = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut stdout)
        .unwrap();
    Ran {
        status: child.wait().unwrap().code().unwrap_or(-1),
        stdout,
        stderr: said,
    }
}

#[test]
fn the_samples_stack_runs_and_each_way_to_break_it_is_told_by_its_cause() {
    let host = super::host();
    let project = sample(&host);
    project.run(&["build", "--profile", "stack"]).ends(0);
    let ran = project.run(&VERIFY).ends(0);
    assert!(ran.stdout.ends_with("\nverified\n"), "{}", ran.stdout);
    project.run(&VERIFY).ends(0).says("verified before");

    let turn = Mutex::new(());
    let jobs = CASES.iter().map(|case| {
        let (host, project, turn) = (&host, &project, &turn);
        Box::new(move || {
            let ran = broken(host, project, case, turn).ends(1);
            // A slow machine says for longer what it waits for, so the message alone counts.
            let message = ran.stderr.find("the stack failed: ").unwrap_or(0);
            let screen: Vec<&str> = ran.stderr[message..].lines().take(24).collect();
            let screen = screen.join("\n");
            for wanted in case.said {
                assert!(
                    screen.contains(wanted),
                    "{}: {wanted:?} is not on the first screen of:\n{}{}",
                    case.name,
                    ran.stderr,
                    ran.stdout
                );
            }
        }) as Box<dyn FnOnce() + Send>
    });
    super::stack::side_by_side(jobs.collect());
}
