//! Tries what the schema suggests: the program accepts every default, example, word and limit, and
//! refuses other words and what lies beyond a limit.

use serde_json::Value;

use super::{hints, is_read, validate};

/// A graph with tables of every kind.
const WHOLE: &str = r#"
version = 1
[vars]
version = "1.0.0"
[registry]
url = "ghcr.io/example/records"
[source.dify]
git = "https://git.example/dify.git"
rev = "main"
[stage.base]
context = "base"
platforms = ["linux/amd64", "linux/arm64"]
[stage.a]
source = "dify"
context = "api"
image = "example/a"
args = { COMMIT_SHA = "x" }
platforms = ["linux/amd64", "linux/arm64"]
output = "oci"
secrets = [{ id = "s", env = "S" }]
[stage.a.platform."linux/arm64"]
target = "x"
[stage.b]
context = "b"
[stage.b.prepare]
run = ["make"]
outputs = ["x"]
[[policy.waive]]
rule = "root"
why = "x"
until = 2027-12-31
[base."python:3.12-slim"]
image = "mirror.example/python:3.12-slim"
[target.t]
[publish]
[workflow]
[builder.x]
context = "here"
platforms = ["linux/amd64"]
[stack]
compose = "compose.yaml"
[[stack.probe]]
service = "api"
kind = "http"
port = 80
"#;

/// The graph with one more or another field in a table of this type.
fn with(of: &str, field: &str, value: &Value) -> String {
    let mut graph: toml::Table = toml::from_str(WHOLE).unwrap();
    let value = toml::Value::try_from(value).unwrap();
    let at: &[&str] = match of {
        hints::GRAPH => &[],
        "Stage" => &["stage", "a"],
        "Prepare" => &["stage", "b", "prepare"],
        "Platform" => &["stage", "a", "platform", "linux/arm64"],
        "Secret" => &["stage", "a", "secrets"],
        "Context" => &["stage", "a", "contexts", "c"],
        "Policy" => &["stage", "a", "policy"],
        "GraphPolicy" => &["policy"],
        "Waiver" => &["policy", "waive"],
        "Var" => &["vars", "channel"],
        "Source" => &["source", "dify"],
        "Base" => &["base", "python:3.12-slim"],
        "Publish" => &["publish"],
        "Target" => &["target", "t"],
        "Builder" => &["builder", "x"],
        "Registry" => &["registry"],
        "Workflow" => &["workflow"],
        "Stack" => &["stack"],
        "Probe" => &["stack", "probe"],
        other => panic!("no table of type {other} is known here"),
    };
    let mut table = &mut graph;
    for name in at {
        let empty = || toml::Value::Table(toml::Table::new());
        let next = table.entry(*name).or_insert_with(empty);
        table = match next {
            toml::Value::Array(list) => list[0].as_table_mut().unwrap(),
            other => other.as_table_mut().unwrap(),
        };
    }
    table.insert(field.to_owned(), value);
    beside(of, field, table);
    toml::to_string(&graph).unwrap()
}

/// What the field needs beside itself, or cannot have there.
fn beside(of: &str, field: &str, table: &mut toml::Table) {
    let mut set = |name: &str, value: toml::Value| drop(table.insert(name.to_owned(), value));
    match (of, field) {
        ("Var", "default") => set("env", "X".into()),
        ("Probe", "exit") => {
            set("kind", "exec".into());
            set("command", vec!["true"].into());
            table.remove("port");
        }
        ("Source", "path") => table.retain(|name, _| name == "path"),
        _ => {}
    }
}

#[track_caller]
fn is_accepted(of: &str, field: &str, value: &Value) {
    let text = with(of, field, value);
    assert_eq!(is_read(&text), Ok(()), "{of}.{field} = {value}");
    assert_eq!(validate(&text), Ok(()), "{of}.{field} = {value}");
}

#[track_caller]
fn is_refused(of: &str, field: &str, value: &Value) {
    let text = with(of, field, value);
    assert!(
        is_read(&text).is_err(),
        "the program reads {of}.{field} = {value}"
    );
    assert!(
        validate(&text).is_err(),
        "the schema accepts {of}.{field} = {value}"
    );
}

#[test]
fn the_program_accepts_what_the_schema_suggests_and_refuses_what_it_excludes() {
    for (of, field, says) in hints::hints() {
        let (of, field) = (of.as_str(), field.as_str());
        let list = |keyword: &str| says[keyword].as_array().into_iter().flatten();
        for value in list("examples").chain(list("enum")) {
            is_accepted(of, field, value);
        }
        let single = ["default", "const", "minimum", "maximum"];
        for value in single.into_iter().filter_map(|keyword| says.get(keyword)) {
            is_accepted(of, field, value);
        }
        if says.get("enum").is_some() {
            is_refused(of, field, &"another".into());
        }
        for (limit, step) in [("minimum", -1), ("maximum", 1)] {
            if let Some(limit) = says[limit].as_i64() {
                is_refused(of, field, &(limit + step).into());
            }
        }
        for (name, rule) in says["properties"].as_object().into_iter().flatten() {
            for word in rule["enum"].as_array().unwrap() {
                is_accepted(of, field, &serde_json::json!({ name: word }));
            }
        }
    }
}
