//! `[workflow]`: what the CI workflow is made of, as far as the stages do not say it.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::check::GraphReader;
use super::mistakes::Mistake;
use super::raw::{RawWorkflow, Texts};
use super::{names, tables};

/// What the CI workflow is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Workflow {
    /// The profiles with which CI builds, in the order in which they are laid over the file.
    pub profiles: Vec<String>,
    /// Patterns of branches whose pushes are published.
    pub branches: Vec<String>,
    /// Patterns of tags whose pushes are published.
    pub tags: Vec<String>,
    /// The label of the runner for each platform, in normal form.
    pub runners: BTreeMap<String, String>,
    /// Variables of the environment of every step. A value may hold an expression of GitHub.
    pub env: BTreeMap<String, String>,
}

/// The hosted runners with a processor of their own
/// (docs.github.com, *GitHub-hosted runners reference*).
const NATIVE: [(&str, &str); 2] = [
    ("linux/amd64", "ubuntu-24.04"),
    ("linux/arm64", "ubuntu-24.04-arm"),
];

impl Workflow {
    /// The runner for a platform. `None` if it must be emulated.
    pub fn runner(&self, platform: &str) -> Option<&str> {
        let platform = reference::platform::normal(platform)?;
        self.runners.get(&platform).map(String::as_str)
    }

    /// The runner for everything that is not for one platform.
    pub fn plain_runner(&self) -> &str {
        let [(platform, label), _] = NATIVE;
        self.runners.get(platform).map_or(label, String::as_str)
    }
}

impl GraphReader<'_, '_> {
    /// Takes `[workflow]` from the file and checks it. Profiles have none: it says which of them
    /// are laid over the file.
    pub(super) fn workflow(&mut self, file: &mut DeTable<'_>) -> Workflow {
        let raw: RawWorkflow = match tables::take(file, "workflow", self.mistakes) {
            Some(table) => tables::read("`workflow`", table, self.mistakes),
            None => RawWorkflow::default(),
        };
        let mut runners: BTreeMap<String, String> = NATIVE
            .map(|(platform, label)| (platform.to_owned(), label.to_owned()))
            .into();
        for (platform, label) in raw.runners.into_iter().flatten() {
            let platform = self.text("platform", platform, names::platform);
            let label = self.text("runner", label, literal);
            let normal = platform.and_then(|it| reference::platform::normal(&it));
            runners.extend(normal.zip(label));
        }
        let or = |given: Vec<String>, default: &str| {
            let is_given = !given.is_empty();
            if is_given {
                given
            } else {
                vec![default.to_owned()]
            }
        };
        Workflow {
            profiles: self.texts("profile name", raw.profiles, names::identifier),
            branches: or(self.texts("pattern", raw.branches, literal), "main"),
            tags: or(self.texts("pattern", raw.tags, literal), "v*"),
            runners,
            env: self.environment(raw.env.unwrap_or_default()),
        }
    }

    fn environment(&mut self, texts: Texts) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for (name, value) in texts {
            if value.get_ref().to_lowercase().contains("secrets") {
                let title = "a variable of the workflow must not hold a secret";
                let label = "every step of every job would get it";
                let help = "write `secrets = [{ id = \"ID\", env = \"NAME\" }]` into the stage that \
                            needs it: only the step that builds gets it";
                let mistake = Mistake::at(value.span(), title, label);
                self.mistakes.push(mistake.help(help));
                continue;
            }
            let name = self.text("variable", name, names::variable);
            let value = self.text("value", value, names::plain);
            all.extend(name.zip(value));
        }
        all
    }
}

/// Text in which GitHub finds no expression.
fn literal(text: &str) -> Result<(), String> {
    names::plain(text)?;
    if text.contains("${{") {
        return Err("must not hold an expression of GitHub".into());
    }
    Ok(())
}
