//! What the program says about a state, by the commands that people run. Its project has the base
//! and one stage, which is the case.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;

use super::state::State;
use crate::support::process::ended;
use crate::{Project, docker, privates_of, project, unique, with_base};

/// The keys of one state, by command. The key of `plan` decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The key of `plan` on a graph, or why the program refuses the state.
    pub plan: Result<String, String>,
    /// The key of `inputs --context`, for some cases.
    pub folder: Option<String>,
}

/// A project whose one stage is each case in turn.
pub struct Program {
    project: Project,
    /// The private reference of the base's image.
    pub base: String,
}

impl Program {
    pub fn new(host: &str) -> Self {
        // Two builds at the same time must not share a base either: Docker 26.1.5 may crash when
        // they wait for the same cached step (ENGINE.md, *What takes an engine down*).
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

    /// The folder of the files of a case.
    pub fn folder(&self, case: &str) -> PathBuf {
        self.project.path(case)
    }

    /// Builds a state of which another stage's host command makes a part. If the build succeeds,
    /// the stage must be fresh. If it had been judged before the command ran, it would not be.
    pub fn make(&self, case: &str, state: &State) {
        self.write(case, state);
        // BuildKit may refuse the state.
        if self.project.build(&["case"]).status == 0 {
            let told = self.project.planned("case");
            assert_eq!(told["verdict"], "fresh", "{told}");
        }
    }

    /// Writes the graph for a state in the folder of a case.
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
            // A single dollar would name a variable of the graph file.
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

    /// Asks for the keys of a state in the folder of a case.
    pub fn keys(&self, case: &str, state: &State, by_folder: bool) -> Keys {
        self.write(case, state);
        Keys {
            plan: key_of(&self.project, "case"),
            folder: by_folder.then(|| self.by_folder(case, state)).flatten(),
        }
    }

    /// Builds the state that was last asked for, or finds it fresh. Returns the layers of its
    /// image.
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
        // `plan` asked the engine for its platform before. This call must not need the engine.
        command.env("DOCKER_HOST", "unix:///nonexistent");
        let output = ended(&mut command).unwrap_or_else(|why| panic!("{why}"));
        let said: Value = serde_json::from_slice(&output.stdout).ok()?;
        said["key"].as_str().map(str::to_owned)
    }
}

/// A word of fixed length that no other case and no other run has.
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
