//! What the steps of GitHub workflows build: calls of `build-push-action`, once for each
//! combination of a job's matrix (github.com/docker/build-push-action, *inputs*).

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use super::expressions::{Names, combinations, word};
use super::found::{Found, FoundStage, Witness};
use super::repository::{Repository, is_yaml};
use super::values::plain;

/// In the inputs of the action: the repository itself, as git has it.
const REPOSITORY: &str = "{{defaultContext}}";

/// Adds what the workflows of a tree build. `has_commit` says that the tree is a git checkout.
pub fn add(tree: &Repository, found: &mut Found, has_commit: bool) {
    let folder = Utf8Path::new(".github/workflows");
    for file in tree
        .named(is_yaml)
        .filter(|path| path.parent() == Some(folder))
    {
        let Ok(text) = std::fs::read_to_string(tree.root.join(file)) else {
            continue;
        };
        // Most workflows build no image, and are of no interest.
        if !text.contains("build-push-action") {
            continue;
        }
        let shown = tree.shown(file);
        match serde_saphyr::from_str::<Value>(&text) {
            Ok(workflow) => {
                found.read.insert(shown.clone());
                one(tree, &shown, &workflow, found, has_commit);
            }
            Err(error) => {
                let error = error.to_string();
                let first = error.lines().next().unwrap_or_default();
                found.left.push(format!("{shown}: it is not YAML: {first}"));
            }
        }
    }
}

fn one(tree: &Repository, file: &str, workflow: &Value, found: &mut Found, has_commit: bool) {
    let mut names = Names::default();
    names.add_env(workflow);
    for (job, says) in workflow["jobs"].as_object().into_iter().flatten() {
        let steps = says["steps"].as_array().into_iter().flatten();
        let is_build = |step: &&Value| {
            let uses = step["uses"].as_str().unwrap_or_default();
            uses.split('@')
                .next()
                .is_some_and(|action| action.ends_with("/build-push-action"))
        };
        let builds: Vec<&Value> = steps.clone().filter(is_build).collect();
        if builds.is_empty() {
            continue;
        }
        let Some(combinations) = combinations(says) else {
            found.left.push(format!("job `{job}` of {file}: a run makes its matrix, so its Dockerfiles were looked at instead"));
            continue;
        };
        for matrix in combinations {
            let mut names = names.clone();
            names.matrix = matrix;
            names.add_env(says);
            for step in &builds {
                let mut names = names.clone();
                names.add_env(step);
                let images = metadata_images(steps.clone(), &names);
                let call = Call {
                    tree,
                    names: &names,
                    with: &step["with"],
                    images,
                    has_commit,
                };
                match call.stage(file, job) {
                    Ok(stage) => found.add(stage),
                    Err(why) => {
                        let told = format!("job `{job}` of {file}: {why}");
                        if !found.left.contains(&told) {
                            found.left.push(told);
                        }
                    }
                }
            }
        }
    }
}

/// The images that a step of `metadata-action` names.
fn metadata_images<'s>(steps: impl Iterator<Item = &'s Value>, names: &Names) -> Vec<String> {
    let texts = steps.filter_map(|step| {
        let uses = step["uses"].as_str()?;
        uses.contains("/metadata-action@")
            .then(|| step["with"]["images"].as_str())?
    });
    let lines = texts
        .flat_map(str::lines)
        .map(str::trim)
        .filter(|line| !line.is_empty());
    lines.filter_map(|line| names.evaluate(line).ok()).collect()
}

/// One call of the action.
struct Call<'c> {
    tree: &'c Repository,
    names: &'c Names,
    with: &'c Value,
    images: Vec<String>,
    has_commit: bool,
}

impl Call<'_> {
    fn input(&self, name: &str) -> Result<Option<String>, String> {
        let Some(text) = word(&self.with[name]) else {
            return Ok(None);
        };
        let value = self.names.evaluate(&text);
        value
            .map(Some)
            .map_err(|expression| format!("a run decides its `{name}`: {expression}"))
    }

    /// Lines or comma-separated values of an input.
    fn list(&self, name: &str) -> Vec<String> {
        let text = self.input(name).ok().flatten().unwrap_or_default();
        let parts = text.split(['\n', ',']).map(str::trim);
        parts
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn stage(&self, file: &str, job: &str) -> Result<FoundStage, String> {
        let context = self.input("context")?.unwrap_or_else(|| REPOSITORY.into());
        // The Dockerfile of a context from git is relative to the context, else to the checkout.
        let (context, from) = match context.strip_prefix(REPOSITORY) {
            Some(rest) => {
                let inner = rest.strip_prefix(':').unwrap_or_default().to_owned();
                (inner.clone(), inner)
            }
            None => (context, String::new()),
        };
        if context.contains("://") {
            return Err(format!("its context `{context}` is elsewhere"));
        }
        let root = Utf8Path::new("");
        let outside = |path: &str| format!("`{path}` is outside this repository");
        let context = self
            .tree
            .inner(root, &context)
            .ok_or_else(|| outside(&context))?;
        let dockerfile = match self.input("file")? {
            Some(path) => {
                let inner = self.tree.inner(Utf8Path::new(&from), &path);
                inner.ok_or_else(|| outside(&path))?
            }
            None => context.join("Dockerfile"),
        };
        if !self.tree.root.join(&dockerfile).is_file() {
            return Err(format!("its Dockerfile `{dockerfile}` is not there"));
        }
        let mut stage = FoundStage {
            evidence: Witness::Workflow,
            name: name_of(&dockerfile),
            origins: vec![format!("{file}, job `{job}`")],
            source: self.tree.source.clone(),
            context,
            dockerfile,
            target: self.input("target")?,
            platforms: self.list("platforms").into_iter().collect(),
            ..FoundStage::default()
        };
        self.arguments(&mut stage);
        self.image(&mut stage);
        Ok(stage)
    }

    fn arguments(&self, stage: &mut FoundStage) {
        let text = word(&self.with["build-args"]).unwrap_or_default();
        let dockerfile = std::fs::read(self.tree.root.join(&stage.dockerfile));
        let dockerfile = dockerfile.unwrap_or_default();
        for line in text.lines().map(str::trim) {
            let Some((name, value)) = line.split_once('=') else {
                continue;
            };
            let name = name.trim().to_owned();
            if !takes(&dockerfile, &name) {
                continue;
            }
            match self.names.evaluate(value.trim()) {
                Ok(value) => {
                    stage.args.insert(name, plain(&value));
                }
                Err(expression) => {
                    let is_commit = ["github.sha", "revision"]
                        .iter()
                        .any(|it| expression.contains(it));
                    if is_commit && self.has_commit {
                        stage.args.insert(name.clone(), "${source.commit}".into());
                        stage.volatile.insert(name);
                    } else {
                        stage.ask(format!("a run gives the argument `{name}` the value of `{expression}`: what should it be here?"));
                    }
                }
            }
        }
    }

    /// The image's name, from tags, outputs or the step that makes tags.
    fn image(&self, stage: &mut FoundStage) {
        let tags = self.list("tags");
        let fields = self.list("outputs");
        let output = fields.iter().find_map(|field| field.strip_prefix("name="));
        let named = tags.first().map(String::as_str).or(output);
        let named = named.or(self.images.first().map(String::as_str));
        if let Some(reference) = named.filter(|it| !it.contains('$')) {
            stage.name_image(reference);
        }
    }
}

/// Whether the build of a Dockerfile takes an argument. A workflow gives the same ones to all.
fn takes(dockerfile: &[u8], name: &str) -> bool {
    // BuildKit knows these without an ARG (docs.docker.com/reference/dockerfile, *Predefined ARGs*).
    let upper = name.to_ascii_uppercase();
    let is_known =
        upper.ends_with("_PROXY") || name.starts_with("BUILDKIT_") || name == "SOURCE_DATE_EPOCH";
    let declared = dockerfile::names_of_args(dockerfile);
    is_known || declared.is_none_or(|declared| declared.contains(name))
}

/// A name for the stage of a Dockerfile: its folder's, or for one that says nothing the one above.
pub fn name_of(dockerfile: &Utf8Path) -> String {
    const SAYS_NOTHING: [&str; 7] = [
        "docker",
        "build",
        "deploy",
        "images",
        "dockerfiles",
        "templates",
        "ci",
    ];
    let file = dockerfile.file_name().unwrap_or_default();
    let lower = file.to_ascii_lowercase();
    // `local.dockerfile`, `Dockerfile.local`
    let own = lower
        .strip_suffix(".dockerfile")
        .or_else(|| lower.strip_prefix("dockerfile."))
        .or_else(|| lower.strip_prefix("dockerfile-"));
    let folders: Vec<&str> = dockerfile
        .parent()
        .into_iter()
        .flat_map(Utf8Path::components)
        .map(|part| part.as_str())
        .filter(|part| !SAYS_NOTHING.contains(part))
        .collect();
    match (own, folders.last()) {
        (Some(own), Some(folder)) => format!("{folder}-{own}"),
        (Some(own), None) => own.to_owned(),
        (None, Some(folder)) => (*folder).to_owned(),
        (None, None) => "image".to_owned(),
    }
}

/// The path of a Dockerfile, if it has the name that its context gives it anyway.
pub fn is_default(context: &Utf8Path, dockerfile: &Utf8Path) -> bool {
    let own: Utf8PathBuf = context.join("Dockerfile");
    own == dockerfile
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_named_after_the_folder_that_says_something() {
        for (path, name) in [
            ("api/Dockerfile", "api"),
            ("x/docker/local-sandbox/Dockerfile", "local-sandbox"),
            ("docker/local.dockerfile", "local"),
            ("api/Dockerfile.prod", "api-prod"),
            ("api/docker/Dockerfile", "api"),
            ("Dockerfile", "image"),
        ] {
            assert_eq!(name_of(Utf8Path::new(path)), name);
        }
    }
}
