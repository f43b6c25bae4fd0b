//! Images as a running stack: how it comes up, why it fails, and that nothing is left of it.
//!
//! Every stack is run by a process of its own, which can be interrupted and killed. The process is
//! this test program, started again for the one test that runs the stack in its environment.

mod failing;
mod leaving;
mod passing;

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use xtask::graphfile::options::GraphOptions;

use camino::Utf8Path;
use xtask::outside::engine::Engine;
use xtask::outside::interrupt::Interrupt;
use xtask::outside::state::State;
use xtask::verify::stack::{self, Run, StackEvent, StackOutcome};

use super::{Project, docker, project, unique};

/// The variable that names the graph for the process.
const GRAPH: &str = "XTASK_TEST_STACK";
/// The variable that names the image of the stage `app`.
const IMAGE: &str = "XTASK_TEST_STACK_IMAGE";
const KEEP: &str = "XTASK_TEST_STACK_KEEP";

/// The process of a stack. In the suite itself the variables are not set, and this does nothing.
#[test]
fn one_stack_as_its_environment_says() {
    let Ok(graph) = std::env::var(GRAPH) else {
        return;
    };
    let graph = Utf8Path::new(&graph);
    let interrupt = Interrupt::listen().unwrap();
    let spec = xtask::graphfile::spec::load(graph, &GraphOptions::default()).unwrap();
    let state = State::of(graph).unwrap();
    let images = BTreeMap::from([("app".to_owned(), std::env::var(IMAGE).unwrap())]);
    let ran = stack::run(&Run {
        spec: &spec,
        state: &state,
        engine: &Engine::find(),
        images: &images,
        keep: std::env::var_os(KEEP).is_some(),
        interrupt: &interrupt,
        tell: &|event| match event {
            StackEvent::Made { project, .. } => println!("@made {project}"),
            StackEvent::Ready(service) => println!("@ready {service}"),
            StackEvent::Probe(probe) => println!("@probe {probe:?}"),
            StackEvent::TakingDown => println!("@down"),
            other => println!("@other {other:?}"),
        },
    });
    match ran {
        Ok(report) => {
            println!("@outcome {:?}", report.outcome);
            println!("@images {:?}", report.images);
            for line in report.rewritten.iter().chain(&report.notes) {
                println!("@note {line}");
            }
            if let Some(kept) = report.kept {
                println!("@take-down {}", kept.take_down);
                for (service, port, address) in &kept.addresses {
                    println!("@address {service} {port} {address}");
                }
            }
            println!("@text\n{}@end", report.text);
        }
        Err(fault) => println!("@fault {:?} {}@end", fault.class, fault.message),
    }
}

/// The output of the process of a stack.
struct Tried {
    said: String,
}

impl Tried {
    /// The lines with this mark in front, without the mark.
    fn lines(&self, kind: &str) -> Vec<&str> {
        let lines = self.said.lines();
        lines
            .filter_map(|line| line.strip_prefix(kind)?.strip_prefix(' '))
            .collect()
    }

    #[track_caller]
    fn ends(self, outcome: StackOutcome) -> Self {
        let expected = format!("{outcome:?}");
        assert_eq!(self.lines("@outcome"), [expected], "{}", self.said);
        self
    }

    /// Asserts that the first screen of a failure contains these texts.
    #[track_caller]
    fn first_screen_says(self, texts: &[&str]) -> Self {
        let text = self.said.split("@text\n").nth(1).unwrap_or_default();
        let text: Vec<&str> = text
            .split("@end")
            .next()
            .unwrap()
            .lines()
            .take(24)
            .collect();
        let text = text.join("\n");
        for wanted in texts {
            assert!(
                text.contains(wanted),
                "{wanted:?} is not in:\n{}",
                self.said
            );
        }
        self
    }

    #[track_caller]
    fn says(self, text: &str) -> Self {
        assert!(
            self.said.contains(text),
            "{text:?} is not in:\n{}",
            self.said
        );
        self
    }
}

/// An image with busybox, a folder that belongs to uid 1001, and one that belongs to gid 0.
fn image(host: &str) -> String {
    static IMAGES: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    let mut images = IMAGES.lock().unwrap();
    if let Some(image) = images.get(host) {
        return image.clone();
    }
    let folder = Project::new().file(
        "Dockerfile",
        "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n\
         RUN mkdir -p /owned /shared /tmp /www && chown 1001:1001 /owned && chmod 770 /shared && chmod 1777 /tmp && echo hello > /www/index.html\n\
         ENV PATH=/bin\nCMD [\"httpd\", \"-f\", \"-p\", \"80\", \"-h\", \"/www\"]\n",
    );
    std::fs::copy("/bin/busybox", folder.path("busybox")).unwrap();
    let name = unique("stack");
    let path = folder.path("").to_str().unwrap().to_owned();
    docker(
        host,
        &[
            "buildx",
            "build",
            "--quiet",
            "--provenance=false",
            "--load",
            "--tag",
            &name,
            &path,
        ],
    );
    images.insert(host.to_owned(), name.clone());
    name
}

/// A project with a stack. Every service that names no image gets the one of the stage `app`.
fn stack(host: &str, compose: &str, rest: &str) -> Project {
    let image = image(host);
    let (compose, names) = with_images(compose);
    let mapped: Vec<String> = names
        .iter()
        .map(|name| format!("{name:?} = \"app\""))
        .collect();
    let graph = format!(
        "version = 1\n[stage.app]\ncontext = \"app\"\n[stack]\ncompose = \"stack/compose.yaml\"\n\
         services = {{ {} }}\n{rest}\n",
        mapped.join(", ")
    );
    project(host)
        .file("build-graph.toml", graph)
        .file("stack/compose.yaml", compose)
        .variable(IMAGE, &image)
}

/// Gives every service without an image one that does not exist, as compose requires an image.
/// Returns the names of these services.
fn with_images(compose: &str) -> (String, Vec<String>) {
    const NOWHERE: &str = "image: registry.invalid/app:1";
    let (mut text, mut names) = (String::new(), Vec::new());
    let mut lines = compose.lines().peekable();
    let mut in_services = false;
    while let Some(line) = lines.next() {
        if !line.starts_with(' ') {
            in_services = line == "services:";
        }
        let name = line
            .strip_prefix("  ")
            .filter(|name| !name.starts_with(' '));
        let has_own = lines
            .peek()
            .is_some_and(|line| line.trim().starts_with("image:"));
        match name.and_then(|name| name.split_once(':')) {
            Some((name, rest)) if in_services && !has_own => {
                names.push(name.to_owned());
                text.push_str(&match rest.trim() {
                    "{}" => format!("  {name}: {{{NOWHERE}}}\n"),
                    _ => format!("  {name}:\n    {NOWHERE}\n"),
                });
            }
            _ => text.push_str(&format!("{line}\n")),
        }
    }
    (text, names)
}

fn command(project: &Project) -> Command {
    let model = project.command(&[]);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "stack::one_stack_as_its_environment_says",
        "--nocapture",
    ]);
    for (name, value) in model.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .env(GRAPH, project.path("build-graph.toml"))
        .stdin(Stdio::null());
    command
}

fn tried(project: &Project) -> Tried {
    let output = command(project).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Tried {
        said: text(&output.stdout) + &text(&output.stderr),
    }
}

fn begun(project: &Project) -> Child {
    command(project)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Everything on an engine that a stack of this project made.
fn left(host: &str, project: &Project) -> String {
    let state = State::of(Utf8Path::from_path(&project.path("build-graph.toml")).unwrap());
    drop(state);
    let mut all = String::new();
    for stack in stacks(project) {
        let filter = format!("label={}={stack}", stack::LABEL);
        for list in [
            &["ps", "--all", "--format", "{{.Names}}"][..],
            &["network", "ls", "--format", "{{.Name}}"],
            &["volume", "ls", "--format", "{{.Name}}"],
        ] {
            all.push_str(&docker(host, &[list, &["--filter", &filter]].concat()));
        }
    }
    all
}

/// The names of all stacks that a project has made, from the calls of its docker command.
fn stacks(project: &Project) -> Vec<String> {
    let calls = std::fs::read_to_string(project.path("calls")).unwrap();
    let words = calls.split_whitespace();
    let mut names: Vec<String> = words
        .filter(|word| word.starts_with("xtask-verify-"))
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The folders with notes of stacks.
fn notes(project: &Project) -> Vec<String> {
    let mut found = Vec::new();
    for graph in project.path("state").read_dir().into_iter().flatten() {
        let stacks = graph.unwrap().path().join("stacks");
        for entry in stacks.read_dir().into_iter().flatten() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            found.extend((name != "lock").then_some(name));
        }
    }
    found
}

/// Runs tests in parallel, as each of them mostly waits.
pub fn side_by_side<'j>(jobs: Vec<Box<dyn FnOnce() + Send + 'j>>) {
    let jobs = Mutex::new(jobs);
    let failed = OnceLock::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(job) = jobs.lock().unwrap().pop() else {
                        return;
                    };
                    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
                        let _ = failed.set(());
                    }
                }
            });
        }
    });
    assert!(failed.get().is_none(), "one of them failed, see above");
}
