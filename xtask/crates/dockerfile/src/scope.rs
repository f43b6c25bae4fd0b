//! Variables: the global ones in front of the first FROM, and those of a Dockerfile stage.
//!
//! Where BuildKit's versions disagree on what ARG or ENV does, the variable has no known value.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::words::{self, Lookup, Trouble, Value};
use reference::platform::{self, Platform};

/// More than any honest Dockerfile needs, in bytes.
const ALL: usize = 64 << 20;

/// Limits the work that values growing from one another can cause.
#[derive(Debug)]
pub(super) struct Budget(Cell<usize>);

impl Budget {
    pub(super) fn new() -> Self {
        Self(Cell::new(ALL))
    }

    /// Takes `cost`. `false` if too little is left.
    pub(super) fn spend(&self, cost: usize) -> bool {
        let left = self.0.get().checked_sub(cost);
        self.0.set(left.unwrap_or(0));
        left.is_some()
    }

    /// Takes `cost` only if half of the budget remains after it. For work that can be left out.
    pub(super) fn spare(&self, cost: usize) -> bool {
        let left = self.0.get().checked_sub(cost);
        left.is_some_and(|left| left >= ALL / 2) && self.spend(cost)
    }
}

type Variables = BTreeMap<String, Value>;

/// The variables of one scope.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    variables: Rc<Variables>,
    /// The value of a name that is not among the variables.
    otherwise: Value,
}

impl Lookup for Scope {
    fn value(&self, name: &str) -> Value {
        self.variables.get(name).unwrap_or(&self.otherwise).clone()
    }
}

impl Scope {
    /// An empty scope in which any other name is unset.
    pub(super) fn closed() -> Self {
        Self {
            variables: Rc::default(),
            otherwise: Value::Unset,
        }
    }

    /// A scope in which an unknown image may have set any name.
    pub(super) fn open() -> Self {
        Self {
            variables: Rc::default(),
            otherwise: Value::Unknown,
        }
    }

    pub(super) fn set(&mut self, name: &str, value: Value, budget: &Budget) {
        let shared = Rc::strong_count(&self.variables) > 1;
        let copied = if shared { self.variables.len() } else { 0 };
        if budget.spend(copied * 16 + name.len() + 64) {
            Rc::make_mut(&mut self.variables).insert(name.to_owned(), value);
        } else {
            self.forget();
        }
    }

    /// Makes the value of every name unknown.
    fn forget(&mut self) {
        *self = Self::open();
    }

    fn names(&self) -> Rc<Variables> {
        Rc::clone(&self.variables)
    }
}

/// Expands within a budget.
pub(super) fn expand(
    text: &str,
    escape: char,
    scope: &Scope,
    budget: &Budget,
) -> Result<String, Trouble> {
    expand_noting(text, escape, scope, budget, &mut BTreeSet::new())
}

/// Like `expand`. Also adds the names that were looked up to `used`.
pub(super) fn expand_noting(
    text: &str,
    escape: char,
    scope: &Scope,
    budget: &Budget,
    used: &mut BTreeSet<String>,
) -> Result<String, Trouble> {
    let expanded = words::expand(text, escape, &Limited { scope, budget }, used)?;
    if budget.spend(text.len() + expanded.len()) {
        Ok(expanded)
    } else {
        Err(Trouble::Refused(words::ENDLESS.to_owned()))
    }
}

/// A scope whose values are looked up within a budget.
pub(super) struct Limited<'a> {
    pub(super) scope: &'a Scope,
    pub(super) budget: &'a Budget,
}

impl Lookup for Limited<'_> {
    fn value(&self, name: &str) -> Value {
        self.scope.value(name)
    }

    fn spend(&self, cost: usize) -> bool {
        self.budget.spend(cost)
    }
}

/// The build arguments that come from outside the Dockerfile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) args: &'a BTreeMap<String, String>,
    /// Names that get a value which is not known.
    pub(super) unknown: &'a BTreeSet<String>,
}

impl Given<'_> {
    pub(super) fn value(&self, name: &str) -> Option<Value> {
        if self.unknown.contains(name) {
            return Some(Value::Unknown);
        }
        self.args.get(name).map(|value| known(value))
    }
}

/// The ARGs in front of the first FROM.
#[derive(Debug)]
pub(super) struct Globals {
    pub(super) scope: Scope,
    /// For each name: the lines that declare it and the names its value is made of.
    declared: BTreeMap<String, (Vec<usize>, BTreeSet<String>)>,
}

impl Globals {
    pub(super) fn new(
        platform: Option<&Platform>,
        build_platform: Option<&Platform>,
        given: Given<'_>,
        budget: &Budget,
    ) -> Self {
        let mut scope = Scope::closed();
        // Only newer BuildKits set TARGETSTAGE and the OSVERSIONs.
        for name in platform::NAMES {
            scope.set(name, Value::Unknown, budget);
        }
        for (platform, prefix) in [(platform, "TARGET"), (build_platform, "BUILD")] {
            let arguments = platform.map(|platform| platform.arguments(prefix));
            for (name, value) in arguments.into_iter().flatten() {
                scope.set(&name, known(&value), budget);
            }
        }
        for name in platform::NAMES {
            if let Some(value) = given.value(name) {
                scope.set(name, value, budget);
            }
        }
        Self {
            scope,
            declared: BTreeMap::new(),
        }
    }

    /// Declares one `name` or `name=default` of a global ARG, which is instruction number `index`.
    pub(super) fn declare(
        &mut self,
        index: usize,
        (name, default): (&str, Option<&str>),
        escape: char,
        given: Given<'_>,
        budget: &Budget,
    ) {
        let mut used = BTreeSet::new();
        let before = self.scope.value(name);
        let value = match (given.value(name), default) {
            (Some(given), _) => given,
            (None, Some(default)) => {
                match expand_noting(default, escape, &self.scope, budget, &mut used) {
                    Ok(text) => known(&text),
                    Err(_) => Value::Unknown,
                }
            }
            // Docker 26 forgets an earlier value, newer versions keep it.
            (None, None) if before == Value::Unset || before == Value::Blank => Value::Blank,
            (None, None) => Value::Unknown,
        };
        self.scope.set(name, value, budget);
        let (lines, made_of) = self.declared.entry(name.to_owned()).or_default();
        lines.push(index);
        made_of.append(&mut used);
    }

    /// The declared names that BuildKit itself looks at, even if no instruction uses them.
    pub(super) fn heeded(&self) -> impl Iterator<Item = &String> {
        self.declared.keys().filter(|name| is_heeded(name))
    }

    /// Adds to `names` the names that their values are made of. Returns the instructions that
    /// declare any of them.
    pub(super) fn closure(&self, names: &mut BTreeSet<String>) -> BTreeSet<usize> {
        let mut lines = BTreeSet::new();
        let mut pending: Vec<String> = names.iter().cloned().collect();
        while let Some(name) = pending.pop() {
            let Some((declaring, made_of)) = self.declared.get(&name) else {
                continue;
            };
            lines.extend(declaring);
            for part in made_of {
                if names.insert(part.clone()) {
                    pending.push(part.clone());
                }
            }
        }
        lines
    }
}

/// A stage's variables: all of them, and those that ENV put into the image.
#[derive(Debug, Clone)]
pub(super) struct StageScope {
    pub(super) all: Scope,
    image: Scope,
}

impl StageScope {
    /// The scope on an image with an unknown environment.
    pub(super) fn on_unknown_image() -> Self {
        Self {
            all: Scope::open(),
            image: Scope::open(),
        }
    }

    /// The scope on an image whose whole environment is known.
    pub(super) fn on_image<'v>(
        env: impl IntoIterator<Item = (&'v str, &'v str)>,
        budget: &Budget,
    ) -> Self {
        let mut image = Scope::closed();
        image.set("PATH", known(DEFAULT_PATH), budget);
        for (name, value) in env {
            image.set(name, known(value), budget);
        }
        Self {
            all: image.clone(),
            image,
        }
    }

    /// The scope on an earlier stage of the same file. Its ARGs stay, but yield to its ENVs.
    pub(super) fn on_stage(parent: &Self, budget: &Budget) -> Self {
        // Every stage of a file may stand on a stage with many variables.
        if !budget.spend(parent.all.variables.len() * 16) {
            return Self::on_unknown_image();
        }
        let mut scope = parent.clone();
        // BuildKit lays the image's environment over the ARGs again. So it replaces the value of an
        // ARG, even if the image only may have that name.
        for (name, value) in parent.all.names().iter() {
            let own = scope.image.value(name);
            if own != Value::Unset && own != *value {
                scope.all.set(name, own, budget);
            }
        }
        scope
    }

    /// Runs one ENV instruction. BuildKit expands all pairs before it sets any of them.
    pub(super) fn env(&mut self, pairs: &[(String, String)], escape: char, budget: &Budget) {
        let before = self.all.clone();
        let expanded = |text: &str| expand(text, escape, &before, budget);
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(k, v)| (expanded(k), expanded(v)))
            .collect();
        drop(before);
        for (name, value) in pairs {
            let Ok(name) = name else {
                self.all.forget();
                self.image.forget();
                continue;
            };
            let value = value.map_or(Value::Unknown, |text| known(&text));
            self.all.set(&name, value.clone(), budget);
            self.image.set(&name, value, budget);
        }
    }

    /// Runs one ARG instruction. Returns each argument with its value.
    pub(super) fn arg(
        &mut self,
        pairs: &[(String, Option<String>)],
        outer: &Outer<'_>,
    ) -> Vec<Declared> {
        let &Outer {
            globals,
            given,
            escape,
            budget,
        } = outer;
        let before = self.all.clone();
        let mut declared = Vec::new();
        for (name, default) in pairs {
            let value = match (given.value(name), default) {
                (Some(given), _) => given,
                (None, Some(default)) => {
                    let then = expand(default, escape, &before, budget);
                    let now = expand(default, escape, &self.all, budget);
                    match (then, now) {
                        (Ok(then), Ok(now)) if then == now => known(&now),
                        _ => Value::Unknown,
                    }
                }
                (None, None) => globals.scope.value(name),
            };
            let is_environment = !OUTSIDE_THE_ENVIRONMENT.contains(&name.as_str());
            if value != Value::Unset && is_environment {
                let value = match &value {
                    Value::Blank => self.all.value(name),
                    other => other.clone(),
                };
                self.all.set(name, value, budget);
            }
            let inherited = default.is_none();
            declared.push(Declared {
                name: name.clone(),
                value,
                inherited,
            });
        }
        declared
    }
}

/// One argument of an ARG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) name: String,
    pub(super) value: Value,
    /// Whether a global ARG may have given the value.
    pub(super) inherited: bool,
}

/// The values from outside its stage that an ARG sees.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outer<'a> {
    pub(super) globals: &'a Globals,
    pub(super) given: Given<'a>,
    pub(super) escape: char,
    pub(super) budget: &'a Budget,
}

/// The prefixes of names that BuildKit itself looks at, even if no instruction mentions them.
pub(super) const HEEDED: [&str; 2] = ["BUILDKIT_", "SOURCE_DATE_EPOCH"];

/// Whether BuildKit itself looks at an argument of this name.
pub(super) fn is_heeded(name: &str) -> bool {
    HEEDED.iter().any(|heeded| name.starts_with(heeded))
}

fn known(text: &str) -> Value {
    Value::Known(Rc::from(text))
}

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const OUTSIDE_THE_ENVIRONMENT: [&str; 2] =
    ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];
