//! What was found in a repository: stages, variables, groups, and questions.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

/// Everything that was found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The stages, each under its own name.
    pub stages: Vec<FoundStage>,
    /// Variables that values mention, with their defaults.
    pub vars: BTreeMap<String, FoundVar>,
    /// Groups of stages.
    pub groups: BTreeMap<String, BTreeSet<String>>,
    /// The compose file that runs the images.
    pub stack: Option<FoundStack>,
    /// Whether a context holds the folder that this program would write its state into.
    pub holds_state: bool,
    /// The files that were read, relative to their trees.
    pub read: BTreeSet<String>,
    /// What was seen and not taken, and why.
    pub left: Vec<String>,
    /// Files that this machine's docker lacks a part for, and why. What they say is not known.
    pub unread: Vec<String>,
}

/// A variable whose value the environment gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundVar {
    /// The value if the environment has none.
    pub default: String,
}

/// The compose file that runs the images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundStack {
    /// The source that it lies in.
    pub source: Option<String>,
    /// Its path.
    pub compose: Utf8PathBuf,
    /// The file with its variables.
    pub env_file: Option<Utf8PathBuf>,
}

/// How much a finding says. What says more keeps the name and the values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Witness {
    /// A Dockerfile that nothing mentions.
    #[default]
    Dockerfile,
    /// A step of a CI workflow.
    Workflow,
    /// A service of a compose file.
    Compose,
    /// A target of a bake file.
    Bake,
}

/// One image that the repository builds. Texts are templates: a `$` of their own is doubled.
#[derive(Debug, Clone, Default)]
pub struct FoundStage {
    /// How it was found.
    pub evidence: Witness,
    /// Its name in the graph.
    pub name: String,
    /// What the files call it: services of compose files, targets of bake files.
    pub called: BTreeSet<String>,
    /// Where it was found, in words.
    pub origins: Vec<String>,
    /// The source that its paths are relative to.
    pub source: Option<String>,
    /// Its context.
    pub context: Utf8PathBuf,
    /// Its Dockerfile.
    pub dockerfile: Utf8PathBuf,
    /// The Dockerfile stage.
    pub target: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Arguments that may change without a build.
    pub volatile: BTreeSet<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The name of its image.
    pub image: Option<String>,
    /// The tags of its image.
    pub tags: Vec<String>,
    /// Its platforms.
    pub platforms: BTreeSet<String>,
    /// The stage that its FROM names.
    pub from: Option<String>,
    /// Named contexts.
    pub contexts: BTreeMap<String, FoundContext>,
    /// Secrets.
    pub secrets: Vec<BuildSecret>,
    /// Ids of ssh agents.
    pub ssh: BTreeSet<String>,
    /// The network that RUN sees.
    pub network: Option<String>,
    /// Further hosts for RUN.
    pub add_hosts: BTreeMap<String, String>,
    /// The size of /dev/shm for RUN.
    pub shm_size: Option<String>,
    /// Resource limits for RUN.
    pub ulimit: Vec<String>,
    /// The services that run it.
    pub services: BTreeSet<String>,
    /// What could not be decided.
    pub questions: Vec<String>,
}

/// A named context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundContext {
    /// The image of another stage.
    Stage(String),
    /// An external image.
    Image(String),
    /// A folder.
    Folder(Utf8PathBuf),
}

/// A secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSecret {
    /// The id that the Dockerfile names.
    pub id: String,
    /// Where its value is.
    pub place: FoundPlace,
}

/// Where the value of a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundPlace {
    /// In an environment variable.
    Env(String),
    /// In a file.
    File(Utf8PathBuf),
}

impl FoundStage {
    /// Asks something, once.
    pub fn ask(&mut self, question: impl Into<String>) {
        let question = question.into();
        if !self.questions.contains(&question) {
            self.questions.push(question);
        }
    }

    /// Splits a reference into the image's name and its tag. One with a digest has none.
    pub fn name_image(&mut self, reference: &str) {
        let (name, tag) = split_reference(reference);
        self.image = Some(name.to_owned());
        self.tags.extend(tag.map(str::to_owned));
        self.tags.dedup();
    }

    /// Whether both are builds of the same thing. Two services may differ in their arguments.
    fn is_same(&self, other: &Self) -> bool {
        let both_say =
            self.evidence != Witness::Dockerfile && other.evidence != Witness::Dockerfile;
        let both_compose = self.evidence == Witness::Compose && other.evidence == Witness::Compose;
        self.source == other.source
            && self.dockerfile == other.dockerfile
            && (!both_say || self.context == other.context && self.target == other.target)
            && (!both_compose || self.args == other.args && self.contexts == other.contexts)
            && (self.evidence != Witness::Bake || other.evidence != Witness::Bake)
    }

    /// Takes over what another finding of the same build says, and this one does not.
    fn absorb(&mut self, other: Self) {
        self.called.extend(other.called);
        // One place in each file is enough to find the others.
        for origin in other.origins {
            let file = origin.split(", ").next();
            if !self
                .origins
                .iter()
                .any(|own| own.split(", ").next() == file)
            {
                self.origins.push(origin);
            }
        }
        if self.image.is_none() || self.image == other.image {
            if self.image.is_none() {
                self.image = other.image;
            }
            for tag in other.tags {
                if !self.tags.contains(&tag) {
                    self.tags.push(tag);
                }
            }
        }
        for (name, value) in other.args {
            if !self.args.contains_key(&name) {
                if other.volatile.contains(&name) {
                    self.volatile.insert(name.clone());
                }
                self.args.insert(name, value);
            }
        }
        self.platforms.extend(other.platforms);
        self.services.extend(other.services);
        self.target = self.target.take().or(other.target);
        for question in other.questions {
            self.ask(question);
        }
    }
}

impl Found {
    /// Adds a stage, or what it says to the one that is the same build.
    pub fn add(&mut self, stage: FoundStage) {
        let same = self.stages.iter_mut().find(|one| one.is_same(&stage));
        match same {
            Some(one) if one.evidence >= stage.evidence => one.absorb(stage),
            Some(one) => {
                let less = std::mem::replace(one, stage);
                one.absorb(less);
            }
            None => self.stages.push(stage),
        }
    }

    /// Notes a file that docker could not read: because of the file, if docker itself works.
    pub fn cannot_read(&mut self, why: String, docker_works: bool) {
        if docker_works {
            self.left.push(why);
        } else {
            self.unread.push(why);
        }
    }

    /// Drops the variables that no stage mentions: those of services and builds that were not taken.
    pub fn keep_mentioned_vars(&mut self) {
        let stages = &self.stages;
        self.vars.retain(|name, _| {
            let mention = format!("${{{name}}}");
            stages.iter().any(|stage| {
                let values = stage.args.values().chain(stage.labels.values());
                let names = stage.image.iter().chain(&stage.tags);
                values.chain(names).any(|text| text.contains(&mention))
            })
        });
    }

    /// Lets each image be made by one stage alone.
    pub fn settle_images(&mut self) {
        let mut taken: BTreeSet<String> = BTreeSet::new();
        for stage in &mut self.stages {
            let Some(image) = &stage.image else {
                continue;
            };
            let tags = if stage.tags.is_empty() {
                vec!["latest".to_owned()]
            } else {
                stage.tags.clone()
            };
            let names: Vec<String> = tags.iter().map(|tag| format!("{image}:{tag}")).collect();
            if names.iter().any(|name| taken.contains(name)) {
                stage.ask(format!("another stage makes the image `{image}` under the same tag: what is this one called?"));
                stage.image = None;
                stage.tags.clear();
            } else {
                taken.extend(names);
            }
        }
    }

    /// Gives each stage a name that no other has.
    pub fn settle_names(&mut self) {
        let mut taken: BTreeSet<String> = BTreeSet::new();
        for stage in &mut self.stages {
            let own = identifier(&stage.name);
            let folder = stage.dockerfile.parent().unwrap_or(Utf8Path::new(""));
            let longer = identifier(folder.as_str());
            let sourced = stage
                .source
                .as_ref()
                .map(|source| identifier(&format!("{source}-{own}")));
            let numbered = (2..).map(|number| format!("{own}-{number}"));
            let names = std::iter::once(own.clone()).chain([longer]).chain(sourced);
            let free = |name: &String| !name.is_empty() && !taken.contains(name);
            let name = names.chain(numbered).find(free).unwrap_or(own);
            taken.insert(name.clone());
            stage.name = name;
        }
    }
}

/// A reference without its tag, and the tag.
pub fn split_reference(reference: &str) -> (&str, Option<&str>) {
    let plain = reference
        .split_once('@')
        .map_or(reference, |(name, _)| name);
    let last = plain.rfind('/').map_or(0, |at| at + 1);
    match plain[last..].rfind(':') {
        Some(at) => (&plain[..last + at], Some(&plain[last + at + 1..])),
        None => (plain, None),
    }
}

/// A name that the graph file may use, made of any text.
pub fn identifier(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        let c = if c.is_ascii_lowercase() || c.is_ascii_digit() {
            c
        } else if c == '_' {
            '_'
        } else {
            '-'
        };
        let is_outer = name.is_empty() || name.ends_with(['-', '_']);
        if !(is_outer && (c == '-' || c == '_')) {
            name.push(c);
        }
    }
    let name = name.trim_end_matches(['-', '_']);
    name.chars()
        .take(60)
        .collect::<String>()
        .trim_end_matches(['-', '_'])
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_a_name_of_the_graph() {
        for (text, name) in [
            ("API", "api"),
            ("my api/", "my-api"),
            ("a__b--c", "a_b-c"),
            ("..x..", "x"),
            ("ünicode", "nicode"),
        ] {
            assert_eq!(identifier(text), name);
            crate::graphfile::spec::names::identifier(name).unwrap();
        }
    }

    #[test]
    fn a_reference_is_split_at_its_tag_alone() {
        assert_eq!(split_reference("a:1"), ("a", Some("1")));
        assert_eq!(split_reference("h:5000/a"), ("h:5000/a", None));
        assert_eq!(
            split_reference("h:5000/a:${tag}"),
            ("h:5000/a", Some("${tag}"))
        );
        assert_eq!(split_reference("a@sha256:1"), ("a", None));
    }

    #[test]
    fn what_says_more_keeps_the_name_and_takes_the_rest() {
        let mut found = Found::default();
        found.add(FoundStage {
            name: "dockerfile".into(),
            dockerfile: "api/Dockerfile".into(),
            context: "api".into(),
            ..FoundStage::default()
        });
        found.add(FoundStage {
            evidence: Witness::Workflow,
            name: "ci".into(),
            dockerfile: "api/Dockerfile".into(),
            context: "".into(),
            platforms: BTreeSet::from(["linux/arm64".into()]),
            image: Some("ex/api".into()),
            ..FoundStage::default()
        });
        found.add(FoundStage {
            evidence: Witness::Compose,
            name: "api".into(),
            dockerfile: "api/Dockerfile".into(),
            context: "".into(),
            tags: vec!["1".into()],
            image: Some("ex/api".into()),
            ..FoundStage::default()
        });
        let [one] = found.stages.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!((one.name.as_str(), one.context.as_str()), ("api", ""));
        assert_eq!((one.platforms.len(), one.tags.len()), (1, 1));
    }
}
