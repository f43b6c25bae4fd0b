//! The generated CI workflow: its steps run as plain commands, each job in a checkout of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::actions::{Machine, Workflow};
use crate::support::gate::Gate;
use crate::support::{Project, Ran, process};
use crate::{host, registry, unique};
use xtask::freshness::shared::signing::Signer;
use xtask::graphfile::spec::sharing::public_key_text;

/// A repository with a workflow, and the registry of its CI.
struct Repository {
    project: Project,
    gate: Gate,
    key: String,
    runs: std::cell::Cell<usize>,
}

impl Repository {
    fn new() -> Option<Self> {
        let gate = Gate::before(&registry()?);
        let path = unique("ci");
        let key = Signer::new_key_text().unwrap();
        let trusted = public_key_text(&Signer::of_text(&key).unwrap().public());
        let place = gate.reference(&path);
        let graph = format!(
            "version = 1\n[registry]\nurl = \"{place}\"\ntrust = [\"{trusted}\"]\n\
             [defaults]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
             [policy]\nrules = {{ root = \"off\" }}\n\
             [workflow]\nprofiles = [\"ci\"]\n[profile.ci.defaults]\noutput = \"registry\"\n\
             [target.tests]\nto = \"{place}/out\"\n\
             [stage.api]\ncontext = \"api\"\nimage = \"t/api\"\n\
             prepare = {{ dir = \"api\", run = [\"sh\", \"make.sh\"], inputs = [\"make.sh\"], outputs = [\"made\"] }}\n\
             [stage.api-custom]\ncontext = \"custom\"\nfrom = \"api\"\nimage = \"t/api-custom\"\n\
             [stage.web]\ncontext = \"web\"\nimage = \"t/web\"\nplatforms = [\"linux/amd64\"]\n"
        );
        let project = Project::new()
            .file("build-graph.toml", graph)
            .file("xtask/Cargo.toml", "")
            .file(
                ".gitignore",
                "/api/made\n/target/\n/docker-config/\n/machine-*\n",
            )
            .file("api/Dockerfile", "FROM scratch\nCOPY made x /\n")
            .file("api/x", &path)
            .file("api/make.sh", "echo made > made\n")
            .file("custom/Dockerfile", "FROM t/api\nCOPY y /\n")
            .file("custom/y", &path)
            .file("web/Dockerfile", "FROM scratch\nCOPY . /\n")
            .file("web/w", &path);
        let made = Self {
            project,
            gate,
            key,
            runs: std::cell::Cell::new(0),
        };
        made.git(&["init", "--quiet"]);
        made.project.run(&["workflow"]).ends(0);
        made.commit();
        Some(made)
    }

    fn git(&self, arguments: &[&str]) {
        let mut git = Command::new("git");
        git.arg("-C").arg(self.project.path("")).args(arguments);
        process::ended(&mut git).unwrap();
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        let names = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        let words = ["commit", "--quiet", "--allow-empty", "--message", "change"];
        self.git(&[&names[..], &words[..]].concat());
    }

    fn workflow(&self) -> Workflow {
        Workflow::of(&self.project.path(".github/workflows/build-images.yml"))
    }

    /// A new machine with a clean checkout and no state. `has_secrets` is false in the jobs of a
    /// pull request.
    fn machine(&self, engine: &str, has_secrets: bool) -> Machine {
        let number = self.runs.get();
        self.runs.set(number + 1);
        let folder = self.project.path(&format!("machine-{number}"));
        let checkout = folder.join("checkout");
        let source = self.project.path("");
        self.git(&[
            "clone",
            "--quiet",
            source.to_str().unwrap(),
            checkout.to_str().unwrap(),
        ]);
        let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let mut environment = BTreeMap::from([
            ("XTASK_STATE".to_owned(), path("state")),
            ("DOCKER_CONFIG".to_owned(), path("docker-config")),
            ("DOCKER_HOST".to_owned(), engine.to_owned()),
            ("HTTPS_PROXY".to_owned(), "http://127.0.0.1:1".to_owned()),
        ]);
        // What a stranger may choose.
        for name in ["GITHUB_HEAD_REF", "GITHUB_REF_NAME", "PR_TITLE"] {
            let hostile = "x\"; touch pwned; echo `touch pwned` $(touch pwned) '";
            environment.insert(name.to_owned(), hostile.to_owned());
        }
        std::fs::create_dir(folder.join("docker-config")).unwrap();
        let mut values = BTreeMap::new();
        if has_secrets {
            let suffix = self.gate.address().replace(['.', ':'], "_");
            for (name, value) in [
                ("secrets.XTASK_SIGNING_KEY", self.key.as_str()),
                (&format!("vars.REGISTRY_USERNAME_{suffix}"), "ci"),
                (&format!("secrets.REGISTRY_PASSWORD_{suffix}"), "secret"),
            ] {
                values.insert(name.to_owned(), value.to_owned());
            }
        }
        Machine {
            checkout,
            is_push: has_secrets,
            environment,
            values,
        }
    }

    /// Runs the plan job on a machine without an engine, and gives the rows of its matrix.
    fn plan(&self) -> Vec<Value> {
        let machine = self.machine("unix:///nonexistent/docker.sock", false);
        let (ran, outputs) = self.workflow().run("plan", &machine);
        let ran = ran.ends(0);
        assert!(!machine.checkout.join("api/made").exists(), "nothing runs");
        let matrix: Value = serde_json::from_str(&outputs["matrix"]).unwrap();
        let rows = matrix["include"].as_array().unwrap().clone();
        assert_eq!(
            outputs["any"],
            (!rows.is_empty()).to_string(),
            "{}",
            ran.stderr
        );
        rows
    }

    /// Runs a job for a row of the matrix.
    fn job(&self, job: &str, row: &Value) -> Ran {
        let mut machine = self.machine(&host(), job == "build");
        let stages = row["stages"].as_str().unwrap().to_owned();
        machine.values.insert("matrix.stages".to_owned(), stages);
        let (ran, _) = self.workflow().run(job, &machine);
        assert!(!is_pwned(&machine.checkout));
        ran
    }

    fn release(&self) -> Ran {
        let machine = self.machine(&host(), true);
        self.workflow().run("release", &machine).0
    }

    /// The requests that write, since the last `forget`.
    fn writes(&self) -> usize {
        let seen = self.gate.requests();
        let is_write = |method: &str| method != "GET" && method != "HEAD";
        seen.iter().filter(|it| is_write(&it.method)).count()
    }
}

fn is_pwned(folder: &Path) -> bool {
    folder.join("pwned").exists()
}

fn stages(rows: &[Value]) -> Vec<&str> {
    rows.iter()
        .map(|row| row["stages"].as_str().unwrap())
        .collect()
}

#[test]
fn only_what_is_not_fresh_starts_a_job_and_the_whole_set_is_published() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let rows = repository.plan();
    assert_eq!(
        stages(&rows),
        [
            "api@linux-amd64 api-custom@linux-amd64",
            "api@linux-arm64 api-custom@linux-arm64",
            "web",
        ]
    );
    assert_eq!(rows[0]["name"], "api, api-custom (linux/amd64)");
    let runners = rows.iter().map(|row| row["runner"].as_str().unwrap());
    let runners: Vec<&str> = runners.collect();
    assert_eq!(
        runners,
        ["ubuntu-24.04", "ubuntu-24.04-arm", "ubuntu-24.04"]
    );
    for row in &rows {
        repository
            .job("build", row)
            .ends(0)
            .never_says(&repository.key);
    }
    // The plan of a push is logged in. An empty key ends the job that would build for nobody.
    let mut machine = repository.machine("unix:///nonexistent/docker.sock", true);
    let (ran, outputs) = repository.workflow().run("plan", &machine);
    assert_eq!((ran.status, outputs["any"].as_str()), (0, "false"));
    let stages_of = |name: &str| (name.to_owned(), "web".to_owned());
    machine.values.extend([stages_of("matrix.stages")]);
    machine
        .values
        .insert("secrets.XTASK_SIGNING_KEY".to_owned(), String::new());
    let (ran, _) = repository.workflow().run("build", &machine);
    assert_ne!(ran.status, 0);
    assert!(
        ran.stderr.contains("set the secret XTASK_SIGNING_KEY"),
        "{}",
        ran.stderr
    );
    // The last job has no key: nothing is left to be built.
    let published = repository.release().ends(0);
    for name in ["api", "api-custom", "web"] {
        assert!(
            published.stdout.contains(&format!("/out/{name}:latest")),
            "{}",
            published.stdout
        );
    }
    repository.commit();
    assert_eq!(repository.plan(), Vec::<Value>::new(), "an empty commit");

    // What was not built is not built by the job that publishes.
    repository.project.write("web/w", "not built");
    repository.commit();
    let ran = repository.release();
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    assert!(ran.stdout.contains("::error::"), "{}", ran.stdout);

    // A pull request with names that a shell would read.
    let hostile = ["web/$(touch pwned)", "web/`touch pwned`;", "web/w"];
    for name in hostile {
        repository.project.write(name, "changed");
    }
    repository.commit();
    let rows = repository.plan();
    assert_eq!(stages(&rows), ["web"], "an edit of one stage");
    repository.gate.forget();
    repository.job("try", &rows[0]).ends(0);
    assert_eq!(repository.writes(), 0, "a pull request pushes nothing");
    assert_eq!(stages(&repository.plan()), ["web"], "and shares nothing");
    // What it breaks is told before it is merged.
    let token = format!("dckr_pat_{}", "kQ7vZp2LxW9rTb4NdY6hJc8mGs3");
    let dockerfile = format!("FROM scratch\nCOPY . /\nENV A={token}\n");
    repository.project.write("web/Dockerfile", dockerfile);
    repository.commit();
    let ran = repository.job("try", &repository.plan()[0]);
    assert_eq!(ran.status, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("secrets"), "{}", ran.stdout);
    assert_eq!(repository.writes(), 0);
}
