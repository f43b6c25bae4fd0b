//! The few expressions of GitHub workflows that a file alone decides: `${{ matrix.x }}`,
//! `${{ env.X }}`, literals, and `a || b`
//! (docs.github.com/actions/reference/evaluate-expressions-in-workflows-and-actions).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Variables that name others deeper than this are not followed.
const DEEPEST: usize = 8;

/// What expressions can name.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// `env`, whose values may be expressions themselves.
    pub env: BTreeMap<String, String>,
    /// `matrix`.
    pub matrix: Map<String, Value>,
}

impl Names {
    /// Lays the variables of a table `env` over those that are known.
    pub fn add_env(&mut self, of: &Value) {
        let table = of["env"].as_object().into_iter().flatten();
        for (name, value) in table {
            if let Some(text) = word(value) {
                self.env.insert(name.clone(), text);
            }
        }
    }

    /// A text with all its expressions evaluated. The error is the first that only a run decides.
    pub fn evaluate(&self, text: &str) -> Result<String, String> {
        self.all(text, 0)
    }

    fn all(&self, text: &str, depth: usize) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${{") {
            out.push_str(&rest[..at]);
            let inner = &rest[at + 3..];
            let end = inner.find("}}").ok_or_else(|| rest[at..].to_owned())?;
            let expression = inner[..end].trim();
            let value = self.one(expression, depth);
            out.push_str(&value.ok_or_else(|| expression.to_owned())?);
            rest = &inner[end + 2..];
        }
        out.push_str(rest);
        Ok(out)
    }

    /// The value of one expression. `None` if only a run decides it.
    fn one(&self, expression: &str, depth: usize) -> Option<String> {
        if depth > DEEPEST {
            return None;
        }
        // Variables and inputs are empty unless somebody sets them.
        let parts: Vec<&str> = expression.split("||").map(str::trim).collect();
        let (last, others) = parts.split_last()?;
        for part in others {
            let is_unset = ["vars.", "inputs.", "secrets."]
                .iter()
                .any(|it| part.starts_with(it));
            match self.term(part, depth) {
                Some(value) if !value.is_empty() => return Some(value),
                Some(_) => {}
                None if is_unset => {}
                None => return None,
            }
        }
        self.term(last, depth)
    }

    fn term(&self, term: &str, depth: usize) -> Option<String> {
        let literal = term
            .strip_prefix('\'')
            .and_then(|term| term.strip_suffix('\''));
        if let Some(literal) = literal {
            return (!literal.contains('\'')).then(|| literal.to_owned());
        }
        if let Some(name) = term.strip_prefix("matrix.") {
            let mut value = self.matrix.get(name.split('.').next()?)?;
            for part in name.split('.').skip(1) {
                value = value.get(part)?;
            }
            return word(value);
        }
        let name = if let Some(name) = term.strip_prefix("env.") {
            name.to_owned()
        } else {
            let name = term.strip_prefix("env[")?.strip_suffix(']')?;
            self.term(name.trim(), depth + 1)?
        };
        self.all(self.env.get(&name)?, depth + 1).ok()
    }
}

/// A text, a number or a truth value as GitHub writes it.
pub fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The most combinations of a matrix. GitHub allows as many.
const MOST: usize = 256;

/// The combinations of a job's matrix; one without values if it has none. `None` if a run makes it.
pub fn combinations(job: &Value) -> Option<Vec<Map<String, Value>>> {
    let matrix = &job["strategy"]["matrix"];
    if matrix.is_null() {
        return Some(vec![Map::new()]);
    }
    let matrix = matrix.as_object()?;
    let mut all = vec![Map::new()];
    let keys = matrix
        .iter()
        .filter(|(key, _)| *key != "include" && *key != "exclude");
    let mut has_keys = false;
    for (key, values) in keys {
        has_keys = true;
        let mut longer = Vec::new();
        for one in &all {
            for value in values.as_array()? {
                let mut one = one.clone();
                one.insert(key.clone(), value.clone());
                longer.push(one);
            }
        }
        all = longer;
        all.truncate(MOST);
    }
    let tables = |name: &str| -> Option<Vec<Map<String, Value>>> {
        let Some(list) = matrix.get(name) else {
            return Some(Vec::new());
        };
        list.as_array()?
            .iter()
            .map(|one| one.as_object().cloned())
            .collect()
    };
    let fits = |one: &Map<String, Value>, part: &Map<String, Value>| {
        part.iter().all(|(key, value)| one.get(key) == Some(value))
    };
    for excluded in tables("exclude")? {
        all.retain(|one| !fits(one, &excluded));
    }
    if !has_keys {
        all.clear();
    }
    // An entry of `include` adds to the combinations that it does not contradict, else it is one.
    let made = all.len();
    for included in tables("include")? {
        let mut is_added = false;
        for one in &mut all[..made] {
            let keys = included.iter().filter(|(key, _)| matrix.contains_key(*key));
            let contradicts = keys
                .into_iter()
                .any(|(key, value)| one.get(key) != Some(value));
            if !contradicts {
                one.extend(included.clone());
                is_added = true;
            }
        }
        if !is_added && all.len() < MOST {
            all.push(included);
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn expressions_that_the_file_decides_are_evaluated() {
        let mut names = Names::default();
        names.add_env(&json!({"env": {"IMAGE": "${{ vars.IMAGE || 'ex/api' }}", "N": 3}}));
        names.matrix = json!({"name": "IMAGE", "sub": {"x": "y"}})
            .as_object()
            .unwrap()
            .clone();
        for (text, value) in [
            ("a ${{ env.IMAGE }}:1", "a ex/api:1"),
            ("${{ env[matrix.name] }}", "ex/api"),
            ("${{matrix.sub.x}}${{ env.N }}", "y3"),
            ("${{ 'a' }}", "a"),
        ] {
            assert_eq!(names.evaluate(text).as_deref(), Ok(value));
        }
        for text in [
            "${{ github.sha }}",
            "${{ env.NONE }}",
            "${{ format('{0}', 1) }}",
            "${{ vars.X }}",
        ] {
            assert!(names.evaluate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_variable_that_names_itself_ends() {
        let mut names = Names::default();
        names.add_env(&json!({"env": {"A": "${{ env.A }}"}}));
        assert!(names.evaluate("${{ env.A }}").is_err());
    }

    #[test]
    fn a_matrix_is_combined_as_github_does_it() {
        let job = json!({"strategy": {"matrix": {
            "os": ["a", "b"], "v": [1, 2],
            "exclude": [{"os": "b", "v": 2}],
            "include": [{"os": "a", "x": 1}, {"os": "c"}],
        }}});
        let all = combinations(&job).unwrap();
        let text: Vec<String> = all
            .iter()
            .map(|one| Value::Object(one.clone()).to_string())
            .collect();
        assert_eq!(
            text,
            [
                r#"{"os":"a","v":1,"x":1}"#,
                r#"{"os":"a","v":2,"x":1}"#,
                r#"{"os":"b","v":1}"#,
                r#"{"os":"c"}"#,
            ]
        );
        assert_eq!(combinations(&json!({})).unwrap().len(), 1);
        assert!(combinations(&json!({"strategy": {"matrix": "${{ fromJSON(x) }}"}})).is_none());
    }
}
