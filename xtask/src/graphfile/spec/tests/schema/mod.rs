//! The JSON Schema of the graph file, which `cargo xtask schema` prints. It is derived here from
//! the types that the file is read into, so the program carries a text and no generator.
//!
//! It is of draft 7, the newest that Taplo reads (taplo-common 0.5 has `jsonschema` 0.17 without
//! the later drafts). It refuses unknown fields and wrong types; what one value means for another
//! is left to the program.

mod checker;
mod derive;
mod hints;
mod suggested;

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::check::TOP;
use super::super::layers::IN_PROFILE;
use super::super::raw::{
    RawBase, RawBuilder, RawContext, RawPlatform, RawPolicy, RawPrepare, RawPublish, RawRegistry,
    RawSecret, RawSource, RawStage, RawTarget, RawVar, RawWaiver, RawWorkflow,
};
use super::super::raw_stack::{RawProbe, RawSecretEnv, RawStack};
use super::super::tables::fields_of;
use crate::graphfile::options::GraphOptions;

/// Set to any value, it makes the test below write the file that it compares.
const RENEW: &str = "XTASK_RENEW_SCHEMA";

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("build-graph.schema.json")
}

/// Whether the schema accepts a graph file; if not, why.
fn validate(text: &str) -> Result<(), String> {
    let schema: Value = serde_json::from_str(&derive::schema()).unwrap();
    let table: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
    checker::check(&schema, &checker::json(toml::Value::Table(table)))
}

fn is_read(text: &str) -> Result<(), String> {
    let (file, root) = ("build-graph.toml".into(), "/g".into());
    let read = crate::graphfile::spec::read(file, root, text, &GraphOptions::default());
    read.map(drop).map_err(|fault| fault.to_string())
}

#[test]
fn the_committed_schema_is_what_the_types_say() {
    let derived = derive::schema();
    if std::env::var_os(RENEW).is_some() {
        std::fs::write(committed(), &derived).unwrap();
    }
    let committed = std::fs::read_to_string(committed()).unwrap_or_default();
    assert!(
        committed == derived,
        "xtask/build-graph.schema.json is out of date: renew it by `{RENEW}=1 cargo test -p xtask --lib schema`, then look at the difference and commit it"
    );
}

#[test]
fn the_schema_has_every_field_of_the_types_and_describes_it() {
    let schema: Value = serde_json::from_str(&derive::schema()).unwrap();
    let with = |fields: &[&str], more: &[&str]| {
        let fields = fields.iter().chain(more);
        fields.map(|field| (*field).to_owned()).collect::<Vec<_>>()
    };
    let policy = fields_of::<RawPolicy>();
    for (place, mut fields) in [
        (hints::GRAPH, with(TOP, &[])),
        ("Profile", with(IN_PROFILE, &[])),
        ("Stage", with(fields_of::<RawStage>(), &[])),
        ("Platform", with(fields_of::<RawPlatform>(), &[])),
        ("Context", with(fields_of::<RawContext>(), &[])),
        ("Secret", with(fields_of::<RawSecret>(), &[])),
        ("Prepare", with(fields_of::<RawPrepare>(), &[])),
        ("Policy", with(policy, &[])),
        ("GraphPolicy", with(policy, &["waive"])),
        ("Waiver", with(fields_of::<RawWaiver>(), &[])),
        ("Var", with(fields_of::<RawVar>(), &[])),
        ("Source", with(fields_of::<RawSource>(), &[])),
        ("Base", with(fields_of::<RawBase>(), &[])),
        ("Publish", with(fields_of::<RawPublish>(), &[])),
        ("Target", with(fields_of::<RawTarget>(), &[])),
        ("Builder", with(fields_of::<RawBuilder>(), &[])),
        ("Registry", with(fields_of::<RawRegistry>(), &[])),
        ("Workflow", with(fields_of::<RawWorkflow>(), &[])),
        ("Stack", with(fields_of::<RawStack>(), &[])),
        ("SecretEnv", with(fields_of::<RawSecretEnv>(), &[])),
        ("Probe", with(fields_of::<RawProbe>(), &[])),
    ] {
        let table = match place {
            hints::GRAPH => &schema,
            name => &schema["definitions"][name],
        };
        assert_eq!(table["additionalProperties"], false, "{place}");
        let properties = table["properties"].as_object().unwrap();
        let mut said: Vec<String> = properties.keys().cloned().collect();
        said.sort();
        fields.sort();
        assert_eq!(said, fields, "{place}");
        for (field, what) in properties {
            let text = what["description"].as_str().unwrap_or_default();
            assert!(text.len() > 5, "{place}.{field} has no description");
        }
    }
}

#[test]
fn the_graph_files_of_the_repository_name_the_schema_and_follow_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for file in [
        "build-graph.toml",
        "build-graph.1.14.toml",
        "tests/sample/build-graph.toml",
    ] {
        let file = root.join(file);
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(validate(&text), Ok(()), "{}", file.display());
        // Taplo starts a relative path at the folder of the file.
        let first = text.lines().next().unwrap();
        let named = first.strip_prefix("#:schema ").unwrap();
        let named = file.parent().unwrap().join(named);
        assert_eq!(
            named.canonicalize().unwrap(),
            committed().canonicalize().unwrap()
        );
    }
}

#[test]
fn what_is_spelt_wrong_or_of_another_type_is_refused_by_schema_and_program_alike() {
    let stage = |lines: &str| format!("version = 1\n[stage.a]\ncontext = \"a\"\n{lines}\n");
    assert_eq!(validate(&stage("")), Ok(()));
    assert_eq!(is_read(&stage("")), Ok(()));
    for (text, place) in [
        ("[stage.a]\ncontext = \"a\"\n".to_owned(), "version"),
        (stage("").replace("= 1", "= 2"), "/version"),
        (stage("").replace("= 1", "= \"1\""), "/version"),
        (stage("[stages.b]"), "stages"),
        (stage("contxt = \"b\""), "/stage/a: contxt"),
        (stage("tags = \"latest\""), "/stage/a/tags"),
        (stage("args = [\"A=1\"]"), "/stage/a/args"),
        (stage("args = { A = 1 }"), "/stage/a/args/A"),
        (stage("weight = \"2\""), "/stage/a/weight"),
        (stage("weight = 65"), "/stage/a/weight"),
        (stage("network = \"bridge\""), "/stage/a/network"),
        (stage("provenance = \"yes\""), "/stage/a/provenance"),
        (
            stage("[stage.a.prepare]\nrn = [\"x\"]"),
            "/stage/a/prepare: rn",
        ),
        (
            stage("secrets = [{ name = \"x\" }]"),
            "/stage/a/secrets/0: name",
        ),
        (
            stage("[policy.rules]\nrooot = \"off\""),
            "/policy/rules: rooot",
        ),
        (stage("[policy.rules]\nroot = \"of\""), "/policy/rules/root"),
        (
            stage("[[policy.waive]]\nrule = \"root\""),
            "/policy/waive/0",
        ),
        (stage("[profile.x.stge.a]"), "/profile/x: stge"),
        (stage("[vars]\na = 1"), "/vars/a"),
        (stage("[vars]\na = { envv = \"A\" }"), "/vars/a"),
        (stage("[group]\nall = \"a\""), "/group/all"),
        (
            stage("[stack]\ncompose = \"c\"\nenv = { A = { sekret = \"A\" } }"),
            "/stack/env/A",
        ),
        (
            stage("[stack]\ncompose = \"c\"\n[[stack.probe]]\nservice = \"a\"\nkind = \"htp\""),
            "/stack/probe/0/kind",
        ),
    ] {
        assert!(is_read(&text).is_err(), "the program reads it: {text}");
        let said = validate(&text).expect_err(&text);
        assert!(
            said.contains(place),
            "{said:?} does not name {place}: {text}"
        );
    }
}
