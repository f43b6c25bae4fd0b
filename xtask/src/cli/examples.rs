//! What `--help` ends with: calls to begin with, each with a line on what it does. A test reads
//! every call as the program would.

/// The examples of one command, from calls and what each of them does.
macro_rules! examples {
    ($($call:literal does $what:literal;)+) => {
        // The heading looks like clap's own; clap removes the style where there is no terminal.
        concat!(
            "\x1b[1m\x1b[4mExamples:\x1b[0m",
            $("\n  cargo xtask ", $call, "\n      ", $what,)+
        )
    };
}

pub(super) const PROGRAM: &str = examples! {
    "setup --check" does "say what this machine lacks, and change nothing";
    "build" does "build what is stale, skip the rest";
    "explain api" does "say why `api` is built again";
};

pub(super) const INIT: &str = examples! {
    "init" does "write build-graph.toml for this folder";
    "init --check" does "say what has changed in the repository since";
    "init --source dify=../dify" does "look at a checkout elsewhere";
};

pub(super) const BUILD: &str = examples! {
    "build" does "all stages; only what is stale runs";
    "build api --keep-going" does "`api` and what it stands on; a failure does not end it";
    "build --force=api --no-cache" does "`api` once more, with every step run again";
};

pub(super) const PLAN: &str = examples! {
    "plan" does "every verdict with its reason";
    "plan --since main" does "only what differs from the branch `main`";
    "plan --exit-code" does "for a script: status 1 if something is stale";
};

pub(super) const EXPLAIN: &str = examples! {
    "explain api" does "the file, argument or base that makes `api` stale";
};

pub(super) const REHEARSE: &str = examples! {
    "rehearse 1.0.0" does "this graph on the release 1.0.0 of its first source";
    "rehearse main --source dify-sandbox" does "the same for another source";
    "rehearse 1.0.0 --policy --stack" does "build it there, and try its stack on the data of this one";
};

pub(super) const INPUTS: &str = examples! {
    "inputs api" does "every file that can change the image of `api`";
    "inputs --context web --target build" does "the same of a folder that is in no graph";
};

pub(super) const GRAPH: &str = examples! {
    "graph" does "the stages, each below what it stands on";
    "graph --format svg > graph.svg" does "a picture with the verdicts";
    "graph --profile china" does "with the base overrides of a profile";
};

pub(super) const LOCK: &str = examples! {
    "lock" does "pin what is not pinned yet";
    "lock --update" does "pin everything again, at what it is now";
    "lock --update python:3.12-slim-bookworm" does "pin only this image again";
};

pub(super) const OUTDATED: &str = examples! {
    "outdated" does "what moved upstream, and what would be built again";
};

pub(super) const SYNC: &str = examples! {
    "sync" does "fetch what is missing, at the locked commits";
    "sync --check" does "ask whether tags and branches still say the same";
};

pub(super) const VERIFY: &str = examples! {
    "verify --build" does "build what is stale, then check and run everything";
    "verify api --policy-only" does "hold the image of `api` against the policy";
    "verify --published ghcr.io/example/dify-api:1.0.0" does "look at an image as others get it";
};

pub(super) const REPORT: &str = examples! {
    "report" does "write the page of the last build, and print its path";
    "report --list" does "the builds that can be shown";
    "report --trace trace.json" does "the same as a trace, for ui.perfetto.dev";
};

pub(super) const PUBLISH: &str = examples! {
    "publish --dry-run" does "which tags would move, and push nothing";
    "publish --to mirror" does "only to the target `mirror`";
    "publish --rollback 1f0c2d3e4a5b" does "let the tags point to an earlier release again";
};

pub(super) const EXPORT: &str = examples! {
    "export bake" does "a file from which `docker buildx bake` builds the same";
    "export compose" does "an override with the published images by digest";
    "export bundle" does "everything for a machine without a network";
};

pub(super) const EXPORT_BAKE: &str = examples! {
    "export bake" does "all stages, into docker-bake.json";
    "export bake api --file api.json" does "`api` and what it stands on";
};

pub(super) const EXPORT_COMPOSE: &str = examples! {
    "export compose" does "the last release, into compose.images.yaml";
    "export compose --check" does "ask whether every image can be pulled";
};

pub(super) const EXPORT_BUNDLE: &str = examples! {
    "export bundle" does "the images of the stack, for this engine's platform";
    "export bundle --platform linux/arm64 --to arm" does "for other machines, into `arm`";
};

pub(super) const WORKFLOW: &str = examples! {
    "workflow" does "write .github/workflows/build-images.yml";
    "workflow --check" does "fail if that file is out of date";
};

pub(super) const PRUNE: &str = examples! {
    "prune" does "show what nobody needs, and ask";
    "prune --older 30 --registry" does "only what is older than 30 days, in the registry as well";
};

pub(super) const KEY: &str = examples! {
    "key xtask.key" does "make a key; the printed half belongs into `trust`";
};

pub(super) const SCHEMA: &str = examples! {
    "schema > build-graph.schema.json" does "for a graph that begins with `#:schema ./build-graph.schema.json`";
};

pub(super) const COMPLETIONS: &str = examples! {
    "completions bash > ~/.xtask-completion.bash" does "then `source` that file in ~/.bashrc";
    "completions zsh > ~/.xtask-completion.zsh" does "then `source` that file in ~/.zshrc, behind compinit";
    "completions fish > ~/.config/fish/conf.d/xtask.fish" does "fish reads it by itself";
};

pub(super) const SETUP: &str = examples! {
    "setup --check" does "only look";
    "setup" does "show the commands that help, ask, and run them";
};

pub(super) const DEMO: &str = examples! {
    "demo" does "build, change, rebuild and verify a small Dify";
    "demo --keep" does "the same, and leave it there to look at";
};

pub(super) const TEST: &str = examples! {
    "test --fast" does "everything that needs no engine";
    "test a_stage" does "only tests with this in their name";
};

pub(super) const BENCH: &str = examples! {
    "bench noop stages" does "how long it takes to find that nothing is to do";
    "bench --record" does "everything, and write it into the READMEs";
};
