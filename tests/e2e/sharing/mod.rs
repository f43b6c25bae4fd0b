//! Images outside the engine, and records beyond one machine.

mod lent;
mod outputs;
mod records;

use serde_json::Value;

use super::support::gate::Gate;
use super::{Project, project, registry, unique};

/// A parent with a host command and a child, for two platforms. `Gate` is before the registry of
/// their records. `more` is added to the graph file.
struct Team {
    gate: Gate,
    path: String,
    more: String,
}

impl Team {
    /// A team whose graph trusts everybody.
    fn new() -> Option<Self> {
        let gate = Gate::before(&registry()?);
        Some(Self {
            gate,
            path: unique("team"),
            more: "trust = [\"any\"]\n".to_owned(),
        })
    }

    fn graph(&self) -> String {
        format!(
            "version = 1\n[registry]\nurl = \"{}/{}\"\n{}\
             [defaults]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
             [policy]\nrules = {{ root = \"off\" }}\n\
             [stage.a]\ncontext = \"a\"\nimage = \"{}/a\"\n\
             [stage.a.prepare]\ndir = \"a\"\nrun = [\"sh\", \"make.sh\"]\ninputs = [\"make.sh\"]\noutputs = [\"made\", \"more\"]\n\
             [stage.b]\ncontext = \"b\"\nfrom = \"a\"\nimage = \"{}/b\"\n\
             [profile.ci.defaults]\noutput = \"registry\"\n\
             [profile.oci.defaults]\noutput = \"oci\"\n",
            self.gate.address(),
            self.path,
            self.more,
            self.path,
            self.path,
        )
    }

    /// A checkout on a machine of its own.
    fn checkout(&self, host: &str) -> Project {
        project(host)
            .file("build-graph.toml", self.graph())
            .file(
                "a/Dockerfile",
                "FROM scratch\nCOPY made more /made/\nCOPY x /x\n",
            )
            .file("a/x", &self.path)
            .file(
                "a/make.sh",
                "echo ran >> ../runs\nrm -rf made more\nmkdir -p more/deep\n\
                 echo made > made\nchmod 755 made\necho deep > more/deep/x\n\
                 chmod 700 more/deep\n",
            )
            .file("b/Dockerfile", format!("FROM {}/a\nCOPY x /y\n", self.path))
            .file("b/x", &self.path)
    }
}

/// A machine without an engine.
fn without_engine(project: Project) -> Project {
    project.variable("DOCKER_HOST", "unix:///nonexistent/docker.sock")
}

/// The digest of the manifest of each part of a stage, as `plan` tells it.
fn parts(project: &Project, profile: &str, stage: &str) -> Vec<Value> {
    let plan = project
        .run(&["plan", "--json", "--profile", profile])
        .ends(0);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    let stages = plan["stages"].as_array().unwrap().iter();
    let mut found = stages.filter(|told| told["stage"] == stage);
    let parts = found.next().unwrap()["parts"].as_array().unwrap().clone();
    parts
        .into_iter()
        .map(|part| part["image"].clone())
        .collect()
}

/// How often the host command ran.
fn runs(project: &Project) -> usize {
    let runs = std::fs::read_to_string(project.path("runs"));
    runs.map_or(0, |runs| runs.lines().count())
}
