//! Parts: a stage with several platforms is built as one part for each of them.
//!
//! A part is a stage of its own, with one platform. So it has its own key, record, log and lock,
//! and everything that follows treats it like any other stage. The stage itself stands on its parts
//! and is assembled from them. What stands on it for one platform stands on that part.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::platforms::is_same;
use super::{Context, Naming, Parts, Prepare, SourceId, Spec, Stage, StageId, Variant};

impl Spec {
    /// Splits stages into parts, and applies what differs on single platforms.
    pub fn split(&mut self) {
        let mut has_variant = false;
        for stage in &mut self.stages {
            if let [only] = stage.platforms.as_slice()
                && let Some(variant) = variant_for(stage, only)
            {
                has_variant = true;
                stage.become_variant(variant);
            }
        }
        if self.stages.iter().all(|stage| stage.platforms.len() < 2) {
            if has_variant {
                self.share_host_commands();
            }
            return;
        }
        let mut all: Vec<(Stage, Option<StageId>)> = Vec::new();
        for (stage, id) in std::mem::take(&mut self.stages)
            .into_iter()
            .zip(super::ids(usize::MAX))
        {
            if stage.platforms.len() > 1 {
                let parts = stage.platforms.iter();
                all.extend(parts.map(|platform| (stage.part(platform), Some(id))));
            }
            all.push((stage, None));
        }
        all.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        // Where each stage is now, and its parts by platform.
        let mut places: Vec<StageId> = Vec::new();
        let mut parts: BTreeMap<StageId, BTreeMap<String, StageId>> = BTreeMap::new();
        for ((stage, of), id) in all.iter().zip(super::ids(usize::MAX)) {
            match of {
                None => places.push(id),
                Some(of) => {
                    let platform = normal(&stage.platforms[0]);
                    parts.entry(*of).or_default().insert(platform, id);
                }
            }
        }
        let place = |id: StageId| places[id.index()];
        // The part of a stage for one platform, or the stage as a whole.
        let for_platforms = |id: StageId, platforms: &[String]| match platforms {
            [only] => {
                let part = parts.get(&id).and_then(|parts| parts.get(&normal(only)));
                part.copied().unwrap_or_else(|| place(id))
            }
            _ => place(id),
        };
        for (stage, of) in &mut all {
            let platforms = stage.platforms.clone();
            stage.from = stage.from.map(|id| for_platforms(id, &platforms));
            for context in stage.contexts.values_mut() {
                if let Context::Stage(id) = context {
                    *id = for_platforms(*id, &platforms);
                }
            }
            if let Some(of) = of {
                stage.parts = Parts::Of(place(*of));
            }
        }
        self.stages = all.into_iter().map(|(stage, _)| stage).collect();
        for (id, own) in &parts {
            let whole = &mut self.stages[place(*id).index()];
            let parts = whole.platforms.iter();
            let parts = parts.filter_map(|it| own.get(&normal(it)).copied());
            whole.parts = Parts::Several(parts.collect());
            // Its parts run the host command.
            whole.prepare = None;
            whole.prepared_with = None;
        }
        self.declare_parts(&places, &parts);
        for stages in self.groups.values_mut() {
            for id in stages {
                *id = place(*id);
            }
        }
        for replacement in self.bases.values_mut() {
            replacement.stage = replacement.stage.map(place);
        }
        if let Some(stack) = &mut self.stack {
            for id in stack.services.values_mut() {
                *id = place(*id);
            }
        }
        self.share_host_commands();
        // Numbers of stages that are remembered for the same text must mean the same stages.
        let mut hash = blake3::Hasher::new();
        hash.update(&self.text);
        for stage in &self.stages {
            hash.update(stage.name.as_bytes()).update(b"\0");
        }
        self.text = *hash.finalize().as_bytes();
    }

    /// Puts the parts right before their stage in the file's order.
    fn declare_parts(
        &mut self,
        places: &[StageId],
        parts: &BTreeMap<StageId, BTreeMap<String, StageId>>,
    ) {
        let declared = std::mem::take(&mut self.declared);
        for id in declared {
            self.declared
                .extend(parts.get(&id).iter().flat_map(|parts| parts.values()));
            self.declared.push(places[id.index()]);
        }
    }

    /// Lets stages with the same host command share it: it runs once for all of them.
    fn share_host_commands(&mut self) {
        let mut first: HashMap<(Option<SourceId>, &Prepare), StageId> = HashMap::new();
        let mut owners = Vec::with_capacity(self.stages.len());
        for (stage, id) in self.stages.iter().zip(super::ids(usize::MAX)) {
            let owner = stage
                .prepare
                .as_ref()
                .map(|prepare| *first.entry((stage.source, prepare)).or_insert(id));
            owners.push(owner.filter(|owner| *owner != id));
        }
        for (stage, owner) in self.stages.iter_mut().zip(owners) {
            stage.prepared_with = owner;
        }
    }

    /// The stage that a part belongs to, else the stage itself.
    pub fn whole_id(&self, id: StageId) -> StageId {
        match self.stage(id).parts {
            Parts::Of(whole) => whole,
            Parts::One | Parts::Several(_) => id,
        }
    }

    /// The stage that a part belongs to, else the stage itself. It has the name of the image.
    pub fn whole(&self, id: StageId) -> &Stage {
        self.stage(self.whole_id(id))
    }

    /// The name that a stage, or the stage that it is a part of, has in the file.
    pub fn name_in_file<'s>(&'s self, stage: &'s Stage) -> &'s str {
        match stage.parts {
            Parts::Of(whole) => &self.stage(whole).name,
            Parts::One | Parts::Several(_) => &stage.name,
        }
    }

    /// The stages whose images it is built on or copies from: as wholes, and as parts.
    pub fn stands_on_any(&self, id: StageId) -> BTreeSet<StageId> {
        let mut all = self.stage(id).stands_on();
        all.extend(self.stands_on(id));
        all
    }

    /// The stages that a person would say it stands on: never parts.
    pub fn stands_on(&self, id: StageId) -> BTreeSet<StageId> {
        let direct = self.stage(id).stands_on();
        direct.into_iter().map(|id| self.whole_id(id)).collect()
    }

    /// The stages all of whose parts are among these, and which are not among these themselves.
    pub fn made_of(&self, stages: &BTreeSet<StageId>) -> Vec<StageId> {
        let is_made = |id: &StageId| match &self.stage(*id).parts {
            Parts::Several(parts) => {
                !stages.contains(id) && parts.iter().all(|part| stages.contains(part))
            }
            Parts::One | Parts::Of(_) => false,
        };
        self.ids().filter(is_made).collect()
    }

    /// The part of a stage for a platform, else the stage itself.
    pub fn part_for(&self, id: StageId, platform: Option<&str>) -> StageId {
        let Parts::Several(parts) = &self.stage(id).parts else {
            return id;
        };
        let is_it = |part: &&StageId| {
            let own = self.stage(**part).platforms.first();
            own.zip(platform)
                .is_some_and(|(own, platform)| is_same(own, platform))
        };
        parts.iter().find(is_it).copied().unwrap_or(id)
    }
}

/// The usual spelling of a platform.
fn normal(platform: &str) -> String {
    reference::platform::normal(platform).unwrap_or_else(|| platform.to_owned())
}

fn variant_for(stage: &Stage, platform: &str) -> Option<Variant> {
    let mut variants = stage.variants.iter();
    let found = variants.find(|(own, _)| is_same(own, platform));
    found.map(|(_, variant)| variant.clone())
}

impl Stage {
    /// The part for a platform. Its name cannot be that of a stage in the file.
    fn part(&self, platform: &str) -> Self {
        let mut part = self.clone();
        part.name = format!("{}@{}", self.name, platform.replace('/', "-"));
        part.platforms = vec![platform.to_owned()];
        (part.image, part.tags, part.naming) = (None, Vec::new(), Naming::Settled);
        part.services = Vec::new();
        if let Some(variant) = variant_for(self, platform) {
            part.become_variant(variant);
        }
        part
    }

    fn become_variant(&mut self, variant: Variant) {
        let Variant {
            dockerfile,
            target,
            args,
            overlays,
            prepare,
        } = variant;
        if let Some(dockerfile) = dockerfile {
            self.dockerfile = dockerfile;
        }
        self.target = target.or(self.target.take());
        self.own_args.extend(args.keys().cloned());
        self.args.extend(args);
        if let Some(overlays) = overlays {
            self.overlays = overlays;
        }
        self.prepare = prepare.or(self.prepare.take());
    }

    /// Whether it is assembled from parts.
    pub const fn is_assembled(&self) -> bool {
        matches!(self.parts, Parts::Several(_))
    }

    /// Whether it is a part of another stage.
    pub const fn is_part(&self) -> bool {
        matches!(self.parts, Parts::Of(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphfile::graph::Graph;
    use crate::graphfile::options::GraphOptions;
    use crate::graphfile::spec;

    const BOTH: &str = "platforms = [\"linux/arm64\", \"linux/amd64\", \"linux/aarch64\"]\n";

    fn split(graph: &str) -> Spec {
        let graph = format!("version = 1\n{graph}");
        let options = GraphOptions::default();
        let mut spec = spec::read("g.toml".into(), "/".into(), &graph, &options).unwrap();
        spec.split();
        spec
    }

    fn names(spec: &Spec, ids: impl IntoIterator<Item = StageId>) -> Vec<&str> {
        let ids = ids.into_iter();
        ids.map(|id| spec.stage(id).name.as_str()).collect()
    }

    fn above<'s>(spec: &'s Spec, name: &str) -> Vec<&'s str> {
        names(spec, spec.stage(spec.find(name).unwrap()).upstream())
    }

    #[test]
    fn a_part_stands_on_parts_for_its_platform_and_the_whole_on_its_parts() {
        let spec = split(&format!(
            "[stage.b]\ncontext = \"b\"\nfrom = \"a\"\ncontexts = {{ c = {{ stage = \"c\" }} }}\n{BOTH}\
             [stage.a]\ncontext = \"a\"\nimage = \"i\"\n{BOTH}[stage.c]\ncontext = \"c\"\n{BOTH}\
             [stage.own]\ncontext = \"o\"\nfrom = \"a\"\n\
             [stage.arm]\ncontext = \"o\"\nfrom = \"a\"\nplatforms = [\"linux/arm64\"]\n\
             [group]\ng = [\"b\", \"own\"]\n"
        ));
        assert_eq!(above(&spec, "a"), ["a@linux-amd64", "a@linux-arm64"]);
        assert_eq!(
            above(&spec, "b@linux-amd64"),
            ["a@linux-amd64", "c@linux-amd64"]
        );
        assert_eq!(above(&spec, "b"), ["b@linux-amd64", "b@linux-arm64"]);
        // For the engine's own platform the engine chooses.
        assert_eq!(above(&spec, "own"), ["a"]);
        let b = spec.find("b").unwrap();
        assert_eq!(names(&spec, spec.stands_on(b)), ["a", "c"]);
        assert_eq!(names(&spec, spec.groups["g"].clone()), ["b", "own"]);
        let part = spec.part_for(b, Some("linux/arm64"));
        assert_eq!(spec.stage(part).name, "b@linux-arm64");
        assert_eq!(spec.whole_id(part), b);
        assert!(spec.stage(part).references().is_empty());
        let order = Graph::of(&spec).unwrap();
        let order = names(&spec, order.order().iter().copied());
        // The file's order, parents first and parts before their stage.
        let wanted = ["a@linux-amd64", "a@linux-arm64", "a", "c@linux-amd64"];
        assert_eq!(order[..4], wanted, "{order:?}");
    }

    #[test]
    fn what_differs_on_a_platform_is_in_its_part_alone() {
        let prepare =
            |out: &str| format!("{{ run = [\"make\", \"{out}\"], outputs = [\"{out}\"] }}\n");
        let spec = split(&format!(
            "[stage.a]\ncontext = \"a\"\nargs = {{ X = \"1\", Y = \"2\" }}\nprepare = {}{BOTH}\
             [stage.a.platform.\"linux/arm64\"]\ndockerfile = \"d\"\nargs = {{ X = \"3\" }}\nprepare = {}\
             [stage.b]\ncontext = \"b\"\nprepare = {}",
            prepare("amd"),
            prepare("arm"),
            prepare("amd"),
        ));
        let of = |name: &str| spec.stage(spec.find(name).unwrap());
        let (amd, arm) = (of("a@linux-amd64"), of("a@linux-arm64"));
        assert_eq!(amd.dockerfile, "a/Dockerfile");
        assert_eq!(arm.dockerfile, "d");
        let args = |stage: &Stage| format!("{} {}", stage.args["X"], stage.args["Y"]);
        assert_eq!((args(amd), args(arm)), ("1 2".to_owned(), "3 2".to_owned()));
        let runs = |stage: &Stage| stage.prepare.as_ref().map(|it| it.run[1].clone());
        assert_eq!(runs(amd).as_deref(), Some("amd"));
        assert_eq!(runs(arm).as_deref(), Some("arm"));
        assert_eq!(runs(of("a")), None);
        // One run serves both stages.
        let owner = of("b").prepared_with.map(|id| &*spec.stage(id).name);
        assert_eq!(owner, Some("a@linux-amd64"));
    }
}
