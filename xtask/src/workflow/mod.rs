//! The CI workflow of a graph, for GitHub Actions: what is written into
//! `.github/workflows/build-images.yml`, and which jobs of it must run.
//!
//! A first job asks for the verdicts. Parts that are not fresh become jobs, on runners of their own
//! platforms, which push by digest and share their records. One last job verifies and publishes the
//! whole set. A pull request builds what it changes, verifies that, and pushes nothing: it gets no
//! secret at all, as its author may have changed this very program.

mod actions;
mod logins;
pub mod matrix;
mod steps;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use camino::Utf8Path;

use crate::fault::{Fault, Result};
use crate::graphfile::spec::sharing::Trust;
use crate::graphfile::spec::shipping::ImageOutput;
use crate::graphfile::spec::{SecretPlace, Spec, Stage};
use crate::shown;

use steps::Steps;

/// Where the workflow lies in a repository.
pub const FILE: &str = ".github/workflows/build-images.yml";

/// The text of the workflow. `graph` is the path of the graph file in the repository at `root`. Fails if the
/// graph does not say enough: what is built on one machine must be found by the next one.
pub fn text(spec: &Spec, root: &Utf8Path, graph: &Utf8Path) -> Result<String> {
    let fault = |why: String| Err(Fault::usage(format!("{}: {why}", spec.file)));
    if graph.as_str().contains("${{") {
        return fault("its path has an expression of GitHub in it: rename it".into());
    }
    let Some(sharing) = &spec.registry else {
        return fault(
            "the jobs of the workflow share what they build through a registry, and the graph names none: write `[registry]` with `url = \"ghcr.io/OWNER/REPOSITORY\"` and `trust`".into(),
        );
    };
    let mut unshared = spec
        .stages
        .iter()
        .filter(|stage| stage.platforms.is_empty());
    if let Some(stage) = unshared.next() {
        return fault(format!(
            "`{}` names no platform, so no machine can find what another one has built of it: write `platforms = [\"linux/amd64\"]`, for it or in `[defaults]`",
            stage.name
        ));
    }
    let is_here = |output| output != ImageOutput::Registry;
    let mut here = spec.stages.iter().filter(|it| is_here(it.shipping.output));
    if let Some(stage) = here.next() {
        return fault(format!(
            "the workflow would leave the image of `{}` on the machine that builds it: write `[profile.ci.defaults]` with `output = \"registry\"`, and `[workflow]` with `profiles = [\"ci\"]`",
            stage.name
        ));
    }
    refuse_impossible(spec)?;
    let of_stages = || spec.stages.iter();
    let steps = Steps {
        graph: graph.as_str(),
        profiles: &spec.workflow.profiles,
        has_sources: spec.sources.iter().any(|source| source.git.is_some()),
        has_submodules: root.join(".gitmodules").is_file(),
        has_emulation: matrix::has_emulation(spec),
        has_needs: of_stages().any(needs_programs),
        is_signed: sharing.trust != Trust::Anybody,
        secrets: secrets(spec),
    };
    let shared = logins::of([sharing.url.as_str()]);
    let rest = logins::of(published(spec).iter().map(String::as_str));
    let rest: Vec<_> = rest.into_iter().filter(|it| !shared.contains(it)).collect();
    let runner = matrix::plain_runner(spec);
    let mut text = head(spec, graph);
    text += &steps.plan_job(runner, &shared);
    text += &steps.pull_request_job(&shared);
    text += &steps.build_job(&shared);
    let cosign = spec.publishing.cosign.as_ref();
    let publishes = of_stages().any(|it| it.image.is_some() && !it.is_part());
    text += &steps.release_job(
        runner,
        &shared,
        publishes.then_some((rest.as_slice(), cosign)),
    );
    Ok(text)
}

/// Whether a host command of a stage needs programs.
fn needs_programs(stage: &Stage) -> bool {
    let of_variants = stage.variants.values().filter_map(|it| it.prepare.as_ref());
    let mut all = stage.prepare.iter().chain(of_variants);
    all.any(|prepare| !prepare.needs.is_empty())
}

/// Refuses what no hosted runner has.
fn refuse_impossible(spec: &Spec) -> Result<()> {
    let fault = |why: String| Err(Fault::usage(format!("{}: {why}", spec.file)));
    for stage in &spec.stages {
        let name = &stage.name;
        if !stage.ssh.is_empty() {
            return fault(format!(
                "`{name}` wants an ssh agent, and a runner has none: let it fetch with a secret in its place"
            ));
        }
        for secret in stage.secrets.values().filter(|it| !it.optional) {
            let is_had = match &secret.place {
                SecretPlace::Env(variable) => !variable.starts_with("GITHUB_"),
                SecretPlace::File(_) => false,
            };
            if !is_had {
                return fault(format!(
                    "`{name}` wants a secret that a runner cannot have: take it from a variable, by `env = \"NAME\"`, whose name does not begin with GITHUB_; or call it `optional`"
                ));
            }
        }
    }
    for source in &spec.sources {
        let path = source.path.as_ref().filter(|_| source.git.is_none());
        if path.is_some_and(|path| path.is_absolute() || path.starts_with("..")) {
            return fault(format!(
                "the source `{}` is a folder outside of the repository, which a runner does not have: write `git` and `rev` for it",
                source.name
            ));
        }
    }
    Ok(())
}

/// A text as a scalar of YAML: JSON's strings are.
fn scalar(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What the file of a graph begins with. No hand writes it.
pub fn mark(graph: &Utf8Path) -> String {
    format!(
        "# Written by `cargo xtask workflow` from {}.",
        shown::text(graph.as_str().as_bytes())
    )
}

fn head(spec: &Spec, graph: &Utf8Path) -> String {
    let list = |patterns: &[String]| {
        let patterns: Vec<String> = patterns.iter().map(|it| scalar(it)).collect();
        patterns.join(", ")
    };
    let workflow = &spec.workflow;
    let mut push = String::new();
    for (kind, patterns) in [("branches", &workflow.branches), ("tags", &workflow.tags)] {
        if !patterns.is_empty() {
            let _ = writeln!(push, "    {kind}: [{}]", list(patterns));
        }
    }
    if !push.is_empty() {
        push = format!("  push:\n{push}");
    }
    let mut text = format!(
        "\
{mark}
# Change the graph's table `[workflow]`, and write this file again.
name: build-images

on:
{push}  # Never `pull_request_target`: it would run what a stranger wrote with this repository's secrets.
  pull_request:

permissions: {{}}

# A newer commit of a pull request ends the run for the older one. Nothing else is ever cancelled.
concurrency:
  group: build-images-${{{{ github.event_name == 'pull_request' && github.ref || github.run_id }}}}
  cancel-in-progress: ${{{{ github.event_name == 'pull_request' }}}}

defaults:
  run:
    shell: bash
",
        mark = mark(graph),
    );
    if !workflow.env.is_empty() {
        text += "\nenv:\n";
        for (name, value) in &workflow.env {
            let _ = writeln!(text, "  {name}: {}", scalar(value));
        }
    }
    text += "\njobs:\n";
    text
}

/// The environment variables of the secrets of all stages.
fn secrets(spec: &Spec) -> BTreeSet<&str> {
    let secrets = spec.stages.iter().flat_map(|stage| stage.secrets.values());
    let names = secrets.filter_map(|secret| match &secret.place {
        SecretPlace::Env(name) => Some(name.as_str()),
        SecretPlace::File(_) => None,
    });
    names.collect()
}

/// The names of images and repositories that a publish writes to.
fn published(spec: &Spec) -> BTreeSet<String> {
    let publishing = &spec.publishing;
    let own: Vec<&str> = spec
        .stages
        .iter()
        .filter_map(|it| it.image.as_deref())
        .collect();
    let mut names: BTreeSet<String> = publishing.staging.iter().cloned().collect();
    if publishing.targets.is_empty() {
        names.extend(own.into_iter().map(str::to_owned));
        return names;
    }
    for target in publishing.targets.values() {
        names.extend(own.iter().map(|image| target.name_of(image)));
    }
    names
}
