//! What an editor suggests for a field, which no type says: defaults, examples, words, limits.
//! `suggested` tries each of them on the program.

use serde_json::{Map, Value, json};

use super::super::super::VERSION;
use super::super::super::policy::{Rule, Severity};
use super::super::super::shipping::ImageOutput;
use super::super::super::stage_rules::KEEP;

/// The file itself, which is no table of a type.
pub(super) const GRAPH: &str = "";

/// A type, one of its fields, and what the schema says of the field beside its type.
pub(super) type Hint = (String, String, Value);

/// All hints.
pub(super) fn hints() -> Vec<Hint> {
    let mut all = Vec::new();
    for part in [of_stages(), of_images(), of_the_rest(), of_the_stack()] {
        let Value::Object(types) = part else {
            unreachable!("each part is an object of types");
        };
        for (of, fields) in types {
            let Value::Object(fields) = fields else {
                unreachable!("each type is an object of fields");
            };
            let fields = fields.into_iter();
            all.extend(fields.map(|(field, says)| (of.clone(), field, says)));
        }
    }
    all
}

fn of_stages() -> Value {
    let outputs = ImageOutput::ALL.map(ImageOutput::word);
    json!({
        "Stage": {
            "source": {"examples": ["dify"]},
            "context": {"examples": ["api", "."]},
            "dockerfile": {"examples": ["docker/api.Dockerfile"]},
            "target": {"examples": ["production"]},
            "args": {"examples": [{"COMMIT_SHA": "${source.commit}"}]},
            "volatile": {"examples": [["COMMIT_SHA"]]},
            "labels": {"examples": [{"org.opencontainers.image.revision": "${source.commit}"}]},
            "platforms": {"examples": [["linux/amd64", "linux/arm64"]]},
            "platform": {"examples": [{"linux/arm64": {"dockerfile": "docker/arm64.Dockerfile"}}]},
            "image": {"examples": ["langgenius/dify-api"]},
            "tags": {"default": ["latest"], "examples": [["${version}", "latest"]]},
            "from": {"examples": ["base"]},
            "overlays": {"examples": [["overlays/api-pins/files"]]},
            "contexts": {"examples": [{"python:3.12-slim": {"stage": "base"}}]},
            "secrets": {"examples": [[{"id": "npm", "env": "NPM_TOKEN"}]]},
            "ssh": {"examples": [["default"]]},
            "network": {"enum": ["default", "none", "host"], "default": "default"},
            "add-hosts": {"examples": [{"pypi.internal": "10.0.0.5"}]},
            "shm-size": {"examples": ["128m", "1g"]},
            "ulimit": {"examples": [["nofile=1024:2048"]]},
            "weight": {"default": 1, "minimum": 1, "maximum": 64},
            "keep": {"default": KEEP, "minimum": 1, "maximum": 16},
            "services": {"examples": [["api", "worker"]]},
            "output": {"enum": outputs, "default": ImageOutput::default().word()},
            "compression": {"enum": ["none", "gzip", "zstd"]},
            "reproducible": {"default": false},
            "annotations": {"examples": [{"org.opencontainers.image.title": "Dify API"}]},
            "provenance": {"default": true},
            "sbom": {"default": false},
        },
        "Prepare": {
            "run": {"examples": [["make", "outputs"]]},
            "inputs": {"examples": [["Makefile", "src"]]},
            "ignore": {"examples": [["**/*.o"]]},
            "outputs": {"examples": [["bin/main"]]},
            "needs": {"examples": [["go", "libseccomp"]]},
        },
        "Platform": {
            "dockerfile": {"examples": ["docker/arm64.Dockerfile"]},
        },
        "Secret": {
            "optional": {"default": false},
        },
        "Context": {
            "image": {"examples": ["alpine:3.20"]},
            "path": {"examples": ["overlays/certs"]},
        },
    })
}

fn of_images() -> Value {
    let of_rule = |rule: Rule| {
        let usual = match rule.default_severity() {
            Severity::Deny => "deny",
            Severity::Warn => "warn",
            Severity::Off => "off",
        };
        let says = json!({"enum": ["deny", "warn", "off"], "default": usual});
        (rule.name().to_owned(), says)
    };
    let rules: Map<String, Value> = Rule::ALL.map(of_rule).into_iter().collect();
    let policy = json!({
        "rules": {"properties": rules, "additionalProperties": false},
        "max-size": {"examples": ["1.2 GB"]},
        "max-added": {"examples": ["300 MB"]},
        "setuid": {"examples": [["usr/bin/sudo"]]},
        "labels": {"examples": [["org.opencontainers.image.source"]]},
        "env": {"examples": [["TZ"]]},
        "ports": {"examples": [["5001/tcp"]]},
        "entrypoint": {"examples": [["/entrypoint.sh"]]},
    });
    json!({
        "Policy": policy,
        "GraphPolicy": policy,
        "Waiver": {
            "rule": {"enum": Rule::ALL.map(Rule::name)},
            "path": {"examples": ["**/site-packages/**/*.yaml"]},
        },
    })
}

fn of_the_rest() -> Value {
    json!({
        GRAPH: {
            "version": {"const": VERSION},
            "state": {"enum": ["cache"]},
            "vars": {"examples": [{"version": "1.0.0"}]},
            "group": {"examples": [{"backend": ["base", "a"]}]},
        },
        "Var": {
            "env": {"examples": ["RELEASE_CHANNEL"]},
            "default": {"examples": ["dev"]},
        },
        "Source": {
            "path": {"examples": ["../dify"]},
            "git": {"examples": ["https://github.com/langgenius/dify.git"]},
            "rev": {"examples": ["0.15.3", "main"]},
            "mirrors": {"examples": [["https://git.example/mirrors/dify.git"]]},
            "layout": {"examples": [["api", "web", "docker"]]},
        },
        "Base": {
            "image": {"examples": ["mirror.example/library/python:3.12-slim"]},
        },
        "Publish": {
            "immutable": {"examples": [["[0-9]*"]]},
            "staging": {"examples": ["ghcr.io/example/staging"]},
            "attest": {"enum": ["none", "image", "artifact"], "default": "image"},
            "sbom-generator": {"examples": [["sbom-of", "{layout}"]]},
            "cosign": {"examples": ["keyless"]},
        },
        "Target": {
            "to": {"examples": ["registry.example/dify"]},
        },
        "Builder": {
            "context": {"examples": ["arm"]},
            "driver": {"enum": ["docker-container"]},
            "platforms": {"examples": [["linux/arm64"]]},
            "jobs": {"default": 2, "minimum": 1, "maximum": 64},
            "weight": {"default": 1, "minimum": 1, "maximum": 64},
        },
        "Registry": {
            "url": {"examples": ["ghcr.io/example/dify"]},
            "trust": {"examples": [["any"]]},
            "cache": {"enum": ["none", "min", "max"], "default": "none"},
        },
        "Workflow": {
            "profiles": {"examples": [["ci"]]},
            "branches": {"default": ["main"]},
            "tags": {"default": ["v*"]},
            "runners": {"examples": [{"linux/arm64": "ubuntu-24.04-arm"}]},
            "env": {"examples": [{"VERSION": "${{ github.ref_name }}"}]},
        },
    })
}

fn of_the_stack() -> Value {
    json!({
        "Stack": {
            "compose": {"examples": ["docker/docker-compose.yaml"]},
            "env-file": {"examples": ["docker/.env.example"]},
            "env": {"examples": [{"SECRET_KEY": {"secret": "STACK_SECRET_KEY"}}]},
            "timeout": {"default": 180, "minimum": 1, "maximum": 3600},
            "watch": {"default": 3, "minimum": 0, "maximum": 3600},
        },
        "Probe": {
            "service": {"examples": ["api"]},
            "timeout": {"default": 60, "minimum": 1, "maximum": 3600},
            "port": {"examples": [5001], "minimum": 1, "maximum": 65535},
            "status": {"default": 200, "minimum": 100, "maximum": 599},
            "headers": {"examples": [{"content-type": "json"}]},
            "json": {"examples": [{"status": "ok", "items[0].id": 1}]},
            "exit": {"default": 0, "minimum": 0, "maximum": 255},
        },
    })
}
