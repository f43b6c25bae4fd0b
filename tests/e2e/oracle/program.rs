//! What the program says of a state, by the commands that people run.
//!
//! Knows a project with the base and one stage that is the case. Is unaware of BuildKit.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;

use super::state::State;
use crate::support::process::ended;
use crate::{Project, docker, privates_of, project, unique, with_base};

/// The keys of one state, by command. The graph's is the one that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Of `plan` on a graph; or why the program refuses the state.
    pub plan: Result<String, String>,
    /// Of `inputs --context`, for some cases.
    pub folder: Option<String>,
}

/// A project in which one case after the other is a stage.
pub struct Program {
    project: Project,
    /// The private reference of the base's image.
    pub base: String,
}

impl Program {
    pub fn new(host: &str) -> Self {
        // Two builds at the same time must not have a base in common either: Docker 26.1.5 may crash
        // when they wait for one cached step (ENGINE.md, *What takes an engine down*).
        let project = with_base(project(host));
        let mut dockerfile = std::fs::read_to_string(project.path("base/Dockerfile")).unwrap();
        let _ = writeln!(dockerfile, "WORKDIR /{}", nonce());
        project.write("base/Dockerfile", dockerfile);
        project.write(
            "build-graph.toml",
            "version = 1\n[stage.base]\ncontext = \"base\"\n",
        );
        project.build(&["base"]).ends(0);
        let key = key_of(&project, "base").unwrap();
        let base = format!("{}base:{}", privates_of(&project), &key[..32]);
        Self { project, base }
    }

    /// Where the files of a case lie.
    pub fn folder(&self, case: &str) -> PathBuf {
        self.project.path(case)
    }

    /// Builds a state of which another stage's host command makes a part. Where that ends well, the
    /// stage must be fresh: one that was judged before the command ran would not be.
    pub fn make(&self, case: &str, state: &State) {
        self.write(case, state);
        // BuildKit may refuse the state.
        if self.project.build(&["case"]).status == 0 {
            let told = self.project.planned("case");
            assert_eq!(told["verdict"], "fresh", "{told}");
        }
    }

    /// Writes the graph of a state that lies in the folder of a case.
    fn write(&self, case: &str, state: &State) {
        let dockerfile = state.place.dockerfile();
        let mut graph = format!(
            "version = 1\n[stage.base]\ncontext = \"base\"\n[stage.case]\ncontext = \"{case}/ctx\"\n\
             dockerfile = \"{case}/{dockerfile}\"\ncontexts.base = {{ stage = \"base\" }}\n"
        );
        if let Some(target) = &state.target {
            let _ = writeln!(graph, "target = {}", toml::Value::from(target.as_str()));
        }
        for (name, value) in &state.args {
            // A lone dollar would mention a variable of the graph file.
            let value = toml::Value::from(value.replace('$', "$$"));
            let _ = writeln!(graph, "args.{name} = {value}");
        }
        if state.made.is_some() {
            let _ = writeln!(
                graph,
                "[stage.maker]\ncontext = \"{case}/maker\"\n[stage.maker.prepare]\n\
                 run = [\"cp\", \"{case}/maker/seed\", \"{case}/ctx/made\"]\n\
                 inputs = [\"{case}/maker/seed\"]\noutputs = [\"{case}/ctx/made\"]"
            );
        }
        self.project.write("build-graph.toml", graph);
    }

    /// Asks for the keys of a state that lies in the folder of a case.
    pub fn keys(&self, case: &str, state: &State, by_folder: bool) -> Keys {
        self.write(case, state);
        Keys {
            plan: key_of(&self.project, "case"),
            folder: by_folder.then(|| self.by_folder(case, state)).flatten(),
        }
    }

    /// Builds the state that was asked for last, or finds it fresh; gives its image's layers.
    pub fn build(&self, host: &str, key: &str) -> Vec<String> {
        self.project.build(&["case"]).ends(0);
        let image = format!("{}case:{}", privates_of(&self.project), &key[..32]);
        let format = "--format={{json .RootFS.Layers}}";
        let said = docker(host, &["image", "inspect", format, &image]);
        serde_json::from_str(&said).unwrap()
    }

    fn by_folder(&self, case: &str, state: &State) -> Option<String> {
        let folder = self.folder(case);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .args(["inputs", "--json", "--context"])
            .arg(folder.join("ctx"));
        command
            .arg("--dockerfile")
            .arg(folder.join(state.place.dockerfile()));
        if let Some(target) = &state.target {
            command.args(["--target", target]);
        }
        for (name, value) in &state.args {
            command.arg(format!("--build-arg={name}={value}"));
        }
        // Asked for its platform by `plan` before; here it is told nothing.
        command.env("DOCKER_HOST", "unix:///nonexistent");
        let output = ended(&mut command).unwrap_or_else(|why| panic!("{why}"));
        let said: Value = serde_json::from_slice(&output.stdout).ok()?;
        said["key"].as_str().map(str::to_owned)
    }
}

/// A word that no other case and no other run has, always of the same length.
pub fn nonce() -> String {
    use std::time::SystemTime;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seen = format!("{} {}", unique("nonce"), now.unwrap().as_nanos());
    let hash = blake3::hash(seen.as_bytes()).to_hex();
    format!("n{}", &hash[..12])
}

fn key_of(project: &Project, stage: &str) -> Result<String, String> {
    let ran = project.run(&["plan", stage, "--json"]);
    if ran.status != 0 {
        assert_eq!(ran.status, 2, "{}", ran.stderr);
        return Err(ran.stderr.trim().to_owned());
    }
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    let stages = plan["stages"].as_array().unwrap().iter();
    let of_stage = stages.rev().find(|own| own["stage"] == stage).unwrap();
    Ok(of_stage["key"].as_str().unwrap().to_owned())
}
