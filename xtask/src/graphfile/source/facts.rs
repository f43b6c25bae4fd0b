//! Facts of a source that values may mention: `${source.commit}` and its like.
//!
//! A fact costs a call of git, so it is asked for only if a value mentions it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use camino::Utf8Path;

use super::{objects, root};
use crate::fault::{Fault, Message, Result};
use crate::graphfile::spec::{ImageNames, Naming, Place, SourceId, Spec, names};
use crate::outside::git::{self, Trouble};
use crate::outside::interrupt::Interrupt;

/// How many digits `${source.short}` has. Git's own short form is longer in some checkouts.
const SHORT: usize = 7;

/// The fact `name` of a source, or of the checkout that the graph file lies in.
pub fn fact(spec: &Spec, source: Option<SourceId>, name: &str) -> Result<String> {
    let declared = source.map(|id| &spec.sources[id.index()]);
    if let ("source.rev", Some(git)) = (name, declared.and_then(|source| source.git.as_ref())) {
        return Ok(git.rev.clone());
    }
    let root = root(spec, source)?;
    let place = declared.map(|source| &source.place);
    let fetched = match place {
        Some(Place::Fetched { commit, .. }) => Some(commit.as_str()),
        _ => None,
    };
    let asked = Asked {
        root: &root,
        fetched,
        name,
    };
    match name {
        "source.branch" => asked.branch(),
        "source.date" | "source.time" => {
            let moment = asked.time()?;
            let moment = moment
                .parse()
                .map_err(|_| asked.fault("git gave no time"))?;
            let (date, time) = calendar::shown(moment);
            Ok(if name == "source.date" { date } else { time })
        }
        _ => {
            let commit = match fetched {
                Some(commit) => commit.to_owned(),
                None => asked.commit()?,
            };
            Ok(match name {
                "source.short" => commit[..SHORT.min(commit.len())].to_owned(),
                _ => commit,
            })
        }
    }
}

/// The time of the commit of a source, or of the checkout that the graph file lies in, in seconds
/// since 1970.
pub fn epoch(spec: &Spec, source: Option<SourceId>) -> Result<String> {
    let root = root(spec, source)?;
    let fetched = match source.map(|id| &spec.sources[id.index()].place) {
        Some(Place::Fetched { commit, .. }) => Some(commit.as_str()),
        _ => None,
    };
    let asked = Asked {
        root: &root,
        fetched,
        name: "source.time",
    };
    asked.time()
}

struct Asked<'a> {
    root: &'a Utf8Path,
    /// The commit, if the source was fetched.
    fetched: Option<&'a str>,
    name: &'a str,
}

impl Asked<'_> {
    fn commit(&self) -> Result<String> {
        self.git(&["rev-parse", "--verify", "HEAD^{commit}"])
    }

    /// The time of the commit in seconds since 1970.
    fn time(&self) -> Result<String> {
        let commit = self.fetched.unwrap_or("HEAD");
        self.git(&["log", "-1", "--no-show-signature", "--format=%ct", commit])
    }

    fn branch(&self) -> Result<String> {
        if self.fetched.is_some() {
            return Err(
                self.fault("a source that was fetched has no branch: write `${source.rev}`")
            );
        }
        self.git(&["symbolic-ref", "--short", "HEAD"]).map_err(|fault| {
            let hint = "a CI machine, which checks out a commit, tells the branch in a variable: `[vars] branch = { env = \"GITHUB_REF_NAME\" }`";
            Fault {
                message: Message::Say(format!("{}; {hint}", fault.message)),
                ..fault
            }
        })
    }

    fn git(&self, words: &[&str]) -> Result<String> {
        let mut command = git::command();
        match self.fetched {
            // A fetched tree has no `.git`; the objects lie beside it.
            Some(commit) => {
                let folder = self.root.parent().unwrap_or(self.root);
                command.arg(format!("--git-dir={}", objects(folder, commit)))
            }
            None => command.args(["-C", self.root.as_str()]),
        };
        command.args(words);
        match git::run(command, &Interrupt::default(), |_| {}) {
            Ok(said) => Ok(String::from_utf8_lossy(&said).trim().to_owned()),
            Err(Trouble::Interrupted) => Err(Fault::interrupted()),
            Err(Trouble::NoGit(why) | Trouble::Failed(why)) => Err(self.fault(&format!(
                "{why}; use a git checkout, or write a value in its place"
            ))),
        }
    }

    fn fault(&self, why: &str) -> Fault {
        let name = self.name;
        let what = name.strip_prefix("source.").unwrap_or(name);
        Fault::lacks(format!(
            "cannot tell the {what} of {}, which `${{{name}}}` asks for: {why}",
            self.root
        ))
    }
}

/// Settles the names of images that mention facts of a source. A source that is not here yet leaves
/// them as they are. Fails if two stages get one name.
pub fn settle_names(spec: &mut Spec) -> Result<()> {
    let mut has_settled = false;
    // Stages and tags often mention the same facts.
    let told = RefCell::new(BTreeMap::new());
    for id in spec.ids() {
        let stage = spec.stage(id);
        let Naming::Late { .. } = stage.naming else {
            continue;
        };
        let place = stage.source.map(|id| &spec.sources[id.index()].place);
        if matches!(place, Some(Place::Unfetched(_) | Place::Unsought)) {
            continue;
        }
        let once = |name: &str| {
            let asked = (stage.source, name.to_owned());
            if let Some(known) = told.borrow().get(&asked) {
                return Ok(String::clone(known));
            }
            let value = fact(spec, stage.source, name)?;
            told.borrow_mut().insert(asked, value.clone());
            Ok(value)
        };
        let settled = settled(&stage.naming, &once);
        has_settled = true;
        let stage = &mut spec.stages[id.index()];
        match settled {
            Ok(ImageNames { image, tags }) => {
                (stage.image, stage.tags, stage.naming) = (image, tags, Naming::Settled);
            }
            Err(fault) => stage.naming = Naming::Failed(stage.fault(fault)),
        }
    }
    if has_settled {
        spec.names_settled()?;
    }
    Ok(())
}

fn settled(naming: &Naming, fact: &dyn Fn(&str) -> Result<String>) -> Result<ImageNames> {
    let Naming::Late { image, tags } = naming else {
        return Ok(ImageNames::default());
    };
    let wrong = |what: &str, text: &str, why: String| {
        Fault::usage(format!("{what} `{}` {why}", text.escape_debug()))
    };
    let image = image.as_ref().map(|image| {
        let lower = |name: &str| Ok::<_, Fault>(fit(&fact(name)?).to_lowercase());
        let image = image.expand(lower)?;
        names::image(&image).map_err(|why| wrong("image name", &image, why))?;
        Ok::<_, Fault>(image)
    });
    let tags = tags.iter().map(|tag| {
        let tag = tag.expand(|name| Ok::<_, Fault>(fit(&fact(name)?)))?;
        names::tag(&tag).map_err(|why| wrong("tag", &tag, why))?;
        Ok::<_, Fault>(tag)
    });
    let mut tags = tags.collect::<Result<Vec<_>>>()?;
    tags.sort();
    tags.dedup();
    Ok(ImageNames {
        image: image.transpose()?,
        tags,
    })
}

/// A fact with `-` for every character that no tag may have: a branch may be `feat/x`.
fn fit(fact: &str) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    fact.chars()
        .map(|c| if good(c) { c } else { '-' })
        .collect()
}
