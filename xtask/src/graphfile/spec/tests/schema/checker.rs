//! Checks a value against the schema: only with the keywords that the schema has, as each crate
//! for all of them takes longer to compile than everything else that only the tests need (25 to 30
//! further crates). A keyword that is not known here fails the test that met it.

use serde_json::Value;

/// A value of a graph file as Taplo sees it: a date is text.
pub(super) fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::Datetime(date) => Value::String(date.to_string()),
        toml::Value::Array(list) => list.into_iter().map(json).collect(),
        toml::Value::Table(table) => table.into_iter().map(|(k, v)| (k, json(v))).collect(),
        other => serde_json::to_value(other).unwrap(),
    }
}

/// Whether the value follows the schema; if not, where and why.
pub(super) fn check(schema: &Value, value: &Value) -> Result<(), String> {
    Checker { root: schema }.check(schema, value, "")
}

struct Checker<'s> {
    root: &'s Value,
}

impl Checker<'_> {
    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        if schema == &Value::Bool(true) {
            return Ok(());
        }
        let must = |holds: bool, why: &dyn Fn() -> String| {
            let wrong = || format!("{at}: {}", why());
            holds.then_some(()).ok_or_else(wrong)
        };
        for (keyword, says) in schema.as_object().expect("a schema is an object") {
            let list = || says.as_array().expect("a list").iter();
            match keyword.as_str() {
                "$schema" | "title" | "description" | "default" | "examples" | "definitions" => {}
                "$ref" => {
                    let pointer = says.as_str().unwrap().strip_prefix('#').unwrap();
                    self.check(self.root.pointer(pointer).expect(pointer), value, at)?;
                }
                "allOf" => list().try_for_each(|one| self.check(one, value, at))?,
                "anyOf" | "oneOf" => {
                    let all: Vec<_> = list().map(|one| self.check(one, value, at)).collect();
                    let good = all.iter().filter(|one| one.is_ok()).count();
                    let is_enough = good == 1 || good > 1 && keyword == "anyOf";
                    must(is_enough, &|| format!("{good} of {keyword} hold: {all:?}"))?;
                }
                "type" => must(is_of(value, says.as_str().expect("one type")), &|| {
                    format!("{value} is not of type {says}")
                })?,
                "enum" => must(list().any(|one| one == value), &|| {
                    format!("{value} is not one of {says}")
                })?,
                "const" => must(says == value, &|| format!("{value} is not {says}"))?,
                "minimum" => must(value.as_f64() >= says.as_f64(), &|| {
                    format!("{value} is less than {says}")
                })?,
                "maximum" => must(value.as_f64() <= says.as_f64(), &|| {
                    format!("{value} is more than {says}")
                })?,
                "required" => {
                    for name in list().map(|name| name.as_str().unwrap()) {
                        must(value.get(name).is_some(), &|| format!("{name} is missing"))?;
                    }
                }
                "items" => {
                    for (n, one) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(says, one, &format!("{at}/{n}"))?;
                    }
                }
                "properties" => {
                    for (name, one) in value.as_object().into_iter().flatten() {
                        if let Some(schema) = says.get(name) {
                            self.check(schema, one, &format!("{at}/{name}"))?;
                        }
                    }
                }
                "additionalProperties" => {
                    let known = &schema["properties"];
                    let all = value.as_object().into_iter().flatten();
                    for (name, one) in all.filter(|(name, _)| known.get(name).is_none()) {
                        must(says != &Value::Bool(false), &|| {
                            format!("{name} is unknown")
                        })?;
                        self.check(says, one, &format!("{at}/{name}"))?;
                    }
                }
                other => panic!("the checker does not know the keyword {other:?}"),
            }
        }
        Ok(())
    }
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("the checker does not know the type {other:?}"),
    }
}

#[test]
fn the_checker_finds_each_kind_of_mistake() {
    use serde_json::json;
    let schema = json!({
        "type": "object", "required": ["a"], "additionalProperties": false,
        "properties": {
            "a": {"$ref": "#/definitions/a"}, "b": {"enum": ["x"]},
            "c": {"items": {"const": 1}}, "d": {"anyOf": [{"type": "string"}, {"type": "boolean"}]},
            "e": {"additionalProperties": {"type": "array"}},
        },
        "definitions": {"a": {"type": "integer", "minimum": 1, "maximum": 2}},
    });
    for good in [
        json!({"a": 1}),
        json!({"a": 2, "b": "x", "c": [1, 1], "d": true, "e": {"f": [], "g": []}}),
    ] {
        assert_eq!(check(&schema, &good), Ok(()), "{good}");
    }
    for bad in [
        json!([]),
        json!({}),
        json!({"a": 0}),
        json!({"a": 3}),
        json!({"a": "1"}),
        json!({"a": 1, "b": "y"}),
        json!({"a": 1, "c": [1, 2]}),
        json!({"a": 1, "d": 1}),
        json!({"a": 1, "e": {"f": [], "g": 1}}),
        json!({"a": 1, "f": 1}),
    ] {
        assert!(check(&schema, &bad).is_err(), "{bad}");
    }
}
