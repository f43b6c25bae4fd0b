//! `[workflow]`: what the CI workflow is made of, as far as the stages do not say it.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::check::GraphReader;
use super::mistakes::Mistake;
use super::raw::{RawWorkflow, Text, Texts};
use super::{names, tables};

/// What the CI workflow is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Workflow {
    /// The profiles with which CI builds, in the order in which they are laid over the file.
    pub profiles: Vec<String>,
    /// Patterns of branches whose pushes are published; none if it is empty.
    pub branches: Vec<String>,
    /// Patterns of tags whose pushes are published; none if it is empty.
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

    /// The runner for everything that is not for one of these platforms.
    pub fn plain_runner<'p>(&self, platforms: impl Iterator<Item = &'p String> + Clone) -> &str {
        let [(platform, label), _] = NATIVE;
        let is_plain = |it: &String| reference::platform::normal(it).as_deref() == Some(platform);
        let has_plain = platforms.clone().any(is_plain);
        let other = platforms.into_iter().find_map(|it| self.runner(it));
        let plain = self.runners.get(platform).map_or(label, String::as_str);
        other.filter(|_| !has_plain).unwrap_or(plain)
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
        let mut or = |given: Option<Vec<Text>>, default: &str| match given {
            Some(given) => self.texts("pattern", Some(given), literal),
            None => vec![default.to_owned()],
        };
        let (branches, tags) = (or(raw.branches, "main"), or(raw.tags, "v*"));
        Workflow {
            profiles: self.texts("profile name", raw.profiles, names::identifier),
            branches,
            tags,
            runners,
            env: self.environment(raw.env.unwrap_or_default()),
        }
    }

    fn environment(&mut self, texts: Texts) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for (name, value) in texts {
            let text = value.get_ref().to_lowercase();
            if text.contains("${{") && (text.contains("secrets") || text.contains("token")) {
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
