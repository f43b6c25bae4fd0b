//! From the types to the text of the schema.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::super::super::raw::{
    RawBase, RawBuilder, RawExtends, RawPolicy, RawPublish, RawRegistry, RawSource, RawStage,
    RawTarget, RawVar, RawWaiver, RawWorkflow,
};
use super::super::super::raw_stack::RawStack;
use super::hints;

/// The tables of one kind, by the user's own names.
type Named<T> = Option<BTreeMap<String, T>>;

/// The container images of a repository: what each is built from, and which it is built on.
/// Paths start at the root of a stage's `source`, or at the folder of this file.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "build-graph.toml")]
#[expect(
    dead_code,
    reason = "only its schema is wanted; the program reads it table by table"
)]
struct RawGraph {
    /// The version of the file format.
    version: i64,
    /// Where the state lies: `cache` is a folder of the user's own. It is `target/xtask` beside this
    /// file when absent.
    state: Option<String>,
    /// Variables: `${NAME}` in a value stands for the value given here. A profile or
    /// `--set NAME=VALUE` can change it.
    vars: Named<RawVarValue>,
    /// Fields that every stage has unless it says otherwise. Tables are merged by name.
    defaults: Option<RawStage>,
    /// Where code comes from that is not in this repository.
    source: Named<RawSource>,
    /// The images, each built from one target of one Dockerfile.
    stage: Named<RawStage>,
    /// Other images in the place of external ones, by the reference that Dockerfiles name.
    base: Named<RawBase>,
    /// Changes that `--profile NAME` lays over this file.
    profile: Named<RawProfile>,
    /// Names for several stages together; a group may name other groups.
    group: Option<BTreeMap<String, Vec<String>>>,
    /// Where images and records are shared with other machines.
    registry: Option<RawRegistry>,
    /// The running stack in which `verify` tries the images.
    stack: Option<RawStack>,
    /// The rules that `verify` holds every image against.
    policy: Option<RawGraphPolicy>,
    /// How `publish` publishes a release set.
    publish: Option<RawPublish>,
    /// Where releases go; every image goes to its own name without any.
    target: Named<RawTarget>,
    /// What the CI workflow is made of.
    workflow: Option<RawWorkflow>,
    /// Builders beside the engine's own.
    builder: Named<RawBuilder>,
}

/// `[profile.NAME]`: tables that are laid over those of the same name.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "only its schema is wanted; the program reads it table by table"
)]
struct RawProfile {
    #[schemars(flatten)]
    own: RawExtends,
    /// Values of variables.
    vars: Named<RawVarValue>,
    /// Fields that every stage has unless it says otherwise.
    defaults: Option<RawStage>,
    /// Changes of sources that the file has.
    source: Named<RawSource>,
    /// Changes of stages, and stages of the profile's own.
    stage: Named<RawStage>,
    /// Other images in the place of external ones.
    base: Named<RawBase>,
    /// Groups, in the place of those of the same name.
    group: Option<BTreeMap<String, Vec<String>>>,
    /// Changes of the running stack.
    stack: Option<RawStack>,
    /// Where images and records are shared.
    registry: Option<RawRegistry>,
    /// How a release set is published.
    publish: Option<RawPublish>,
    /// Where releases go.
    target: Named<RawTarget>,
    /// Builders beside the engine's own.
    builder: Named<RawBuilder>,
}

/// A variable's value.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(
    dead_code,
    reason = "only its schema is wanted; the program reads it table by table"
)]
enum RawVarValue {
    /// The value itself.
    Text(String),
    /// Where the value comes from.
    Environment(RawVar),
}

/// `[policy]`: a policy, and the breaches of it that are tolerated.
struct RawGraphPolicy;

impl JsonSchema for RawGraphPolicy {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RawGraphPolicy".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = RawPolicy::json_schema(generator);
        let mut waivers = generator.subschema_for::<Vec<RawWaiver>>();
        let text = "Breaches that are tolerated until a day.";
        waivers.insert("description".to_owned(), text.into());
        let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
        properties
            .unwrap()
            .insert("waive".to_owned(), waivers.into());
        let text = "`[policy]`: the rules for images, and the breaches that are tolerated.";
        schema.insert("description".to_owned(), text.into());
        schema
    }
}

/// The text of the schema.
pub(super) fn schema() -> String {
    let mut settings = SchemaSettings::draft07();
    // Before the others: what is left of an optional table is a reference with a description.
    let transform = Box::new(RecursiveTransform(as_toml_has_it));
    settings.transforms.insert(0, transform);
    let schema = settings.into_generator().into_root_schema_for::<RawGraph>();
    let text = serde_json::to_string(&schema).unwrap();
    // The prefix tells two kinds of types apart in the code. It means nothing to a reader.
    let text = text.replace("\"#/definitions/Raw", "\"#/definitions/");
    let mut schema: Value = serde_json::from_str(&text).unwrap();
    let definitions = schema["definitions"].as_object_mut().unwrap();
    let renamed = std::mem::take(definitions).into_iter();
    let renamed = renamed.map(|(name, it)| (name.trim_start_matches("Raw").to_owned(), it));
    definitions.extend(renamed);
    for (of, field, more) in hints::hints() {
        let table = match of.as_str() {
            hints::GRAPH => &mut schema,
            of => &mut schema["definitions"][of],
        };
        let said = table["properties"][&field].as_object_mut();
        let said = said.unwrap_or_else(|| panic!("a hint is about {of}.{field}, which is unknown"));
        let Value::Object(more) = more else {
            panic!("the hint for {of}.{field} is not an object");
        };
        said.extend(more);
    }
    schema["definitions"]["Waiver"]["required"] = ["rule", "why", "until"].into();
    format!("{schema:#}\n")
}

/// TOML has no null, and one size of whole numbers. Lines of comments are no lines of text.
fn as_toml_has_it(schema: &mut Schema) {
    let Some(schema) = schema.as_object_mut() else {
        return;
    };
    let is_null = |one: &Value| one == "null" || one["type"] == "null";
    for keyword in ["type", "anyOf"] {
        let Some(list) = schema.get_mut(keyword).and_then(Value::as_array_mut) else {
            continue;
        };
        list.retain(|one| !is_null(one));
        if let [only] = list.as_slice() {
            let only = only.clone();
            schema.remove(keyword);
            match only {
                Value::Object(fields) => schema.extend(fields),
                word => drop(schema.insert(keyword.to_owned(), word)),
            }
        }
    }
    schema.remove("format");
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
}
