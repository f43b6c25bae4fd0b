//! Turns what the graph file says (`raw`) into what may be trusted (`Spec`), and reports every
//! mistake with its place. Looks at nothing outside the file.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use camino::{Utf8Path, Utf8PathBuf};
use toml::de::DeTable;

use super::laying::{self, Layered};
use super::mistakes::{Mistake, Mistakes, Span};
use super::placed::Placed;
use super::policy::Policy;
use super::raw::{RawBuilder, RawSource, RawStage, RawTarget, Text};
use super::vars::Vars;
use super::{
    ImageOutput, Naming, Partial, Publishing, RefusedGraph, SourceId, Spec, StageId, VERSION,
    Workflow,
};
use super::{names, tables};
use crate::fault::Result;
use crate::graphfile::call::Call;
use crate::graphfile::options::GraphOptions;

pub(super) const TOP: &[&str] = &[
    "version", "vars", "defaults", "source", "stage", "base", "profile", "group", "registry",
    "stack", "policy", "publish", "target", "workflow", "builder", "state",
];

/// The most bytes that all stages together may hold, once defaults and variables are filled in.
const MOST_TEXT: usize = 64 << 20;

/// The tables of one kind, by name, with the place of the name.
pub(super) type Named<T> = BTreeMap<String, (Span, T)>;

/// Checks `text`, the content of `file`, whose folder is `root`.
pub fn check(
    file: &Utf8Path,
    root: &Utf8Path,
    text: &str,
    options: &GraphOptions,
) -> Result<Spec, RefusedGraph> {
    let mut mistakes = Mistakes::of(file, text);
    let mut reader = GraphReader {
        mistakes: &mut mistakes,
        sound: Vec::new(),
    };
    let spec = reader.file(file, root, text, options);
    let sound = std::mem::take(&mut reader.sound);
    match mistakes.into_result() {
        Ok(()) => Ok(spec),
        Err(fault) => Err(RefusedGraph {
            fault,
            partial: Some(Box::new(Partial { spec, sound })),
        }),
    }
}

/// A hash of everything that the content of a `Spec` comes from.
fn fingerprint(text: &str, options: &GraphOptions, vars: &Vars) -> [u8; 32] {
    let mut hash = blake3::Hasher::new();
    let mut add = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    add(text.as_bytes());
    let (profiles, output) = (&options.profiles, &options.output);
    add(format!("{profiles:?} {:?} {output:?}", vars.values()).as_bytes());
    *hash.finalize().as_bytes()
}

/// A file that says nothing yet.
fn nothing(file: &Utf8Path, root: &Utf8Path, text: &str, options: &GraphOptions) -> Spec {
    Spec {
        text: fingerprint(text, &GraphOptions::default(), &Vars::default()),
        file: file.to_owned(),
        root: root.to_owned(),
        sources: Vec::new(),
        stages: Vec::new(),
        declared: Vec::new(),
        groups: BTreeMap::new(),
        bases: BTreeMap::new(),
        registry: None,
        publishing: Publishing::default(),
        workflow: Workflow::default(),
        builders: Vec::new(),
        policy: Policy::default(),
        waivers: Vec::new(),
        variables: Vec::new(),
        profiles: Vec::new(),
        notes: Vec::new(),
        call: Call::default(),
        stack: None,
        options: options.clone(),
    }
}

/// Reads the file and collects what is wrong with it.
pub(super) struct GraphReader<'m, 't> {
    pub(super) mistakes: &'m mut Mistakes<'t>,
    /// The stages without a mistake of their own.
    sound: Vec<StageId>,
}

/// What a stage says itself, before the defaults are laid under it.
struct Own {
    args: BTreeSet<String>,
    tags: Option<Span>,
}

impl Own {
    fn of(raw: &RawStage) -> Self {
        let names = raw.args.iter().flat_map(BTreeMap::keys);
        let tags = raw.tags.iter().flatten().next();
        Self {
            args: names.map(|name| name.get_ref().clone()).collect(),
            tags: tags.map(Placed::span),
        }
    }
}

/// What the rules for one stage need to know of the whole file.
pub(super) struct Scope {
    pub(super) sources: HashMap<String, SourceId>,
    pub(super) stages: HashMap<String, StageId>,
    pub(super) vars: Vars,
    pub(super) has_registry: bool,
    /// Where the call puts every image.
    pub(super) output: Option<ImageOutput>,
    /// How many bytes are left of `MOST_TEXT`.
    pub(super) room: Cell<usize>,
}

impl GraphReader<'_, '_> {
    fn file(
        &mut self,
        file: &Utf8Path,
        root: &Utf8Path,
        text: &str,
        options: &GraphOptions,
    ) -> Spec {
        let mut table = tables::parse(text, self.mistakes).into_inner();
        let mut spec = nothing(file, root, text, options);
        // In a file that is not TOML, further mistakes would only follow from that one.
        if !self.mistakes.is_empty() {
            return spec;
        }
        tables::report_unknown("the graph file", &mut table, TOP, self.mistakes);
        self.version(&mut table);
        self.state(&mut table);
        let (policy, waivers) = self.policies(&mut table);
        spec.workflow = self.workflow(&mut table);
        let (profiles, mut layers) = self.layers(table, &options.profiles);
        spec.profiles = profiles;
        let layers = layers.as_mut_slice();
        spec.registry = self.registry(layers);
        let targets = self.layered::<RawTarget>("target", layers);
        let publish = self.publish(layers);
        spec.publishing = self.publishing(publish, targets);
        let builders = self.layered::<RawBuilder>("builder", layers);
        spec.builders = self.builders(builders);
        let vars = self.vars(layers, &options.vars);
        spec.text = fingerprint(text, options, &vars);
        spec.variables = vars.declared().map(str::to_owned).collect();
        let sources = self.layered::<RawSource>("source", layers);
        let defaults = self.defaults(layers);
        let stages = self.layered::<RawStage>("stage", layers);
        let defaults = self.affordable(defaults, stages.len());
        if stages.is_empty() && self.mistakes.is_empty() {
            self.mistakes.push(
                Mistake::of_file("the graph declares no stage")
                    .help("add a table `[stage.NAME]` with a `context`"),
            );
        }
        let ids = |names: &mut dyn Iterator<Item = String>| names.zip(0u32..).collect::<Vec<_>>();
        let scope = Scope {
            sources: ids(&mut sources.keys().cloned())
                .into_iter()
                .map(|(n, i)| (n, SourceId(i)))
                .collect(),
            stages: ids(&mut stages.keys().cloned())
                .into_iter()
                .map(|(n, i)| (n, StageId(i)))
                .collect(),
            vars,
            has_registry: spec.registry.is_some(),
            output: self.output_of_call(options, spec.registry.is_some()),
            room: Cell::new(MOST_TEXT),
        };
        let stack = self.layered_stack(layers);
        let policy = self.policy(policy);
        spec.policy.clone_from(&policy);
        let line = |span: &Span| 1 + text[..span.start].matches('\n').count();
        spec.waivers = self.waivers(waivers, &scope, line);
        spec.bases = self.bases(layers, &scope);
        spec.groups = self.groups(layers, &scope);
        let of_sources: Vec<Span> = sources.values().map(|(span, _)| span.clone()).collect();
        spec.sources = sources
            .into_iter()
            .map(|(name, (span, raw))| self.source(name, &span, raw))
            .collect();
        let places: Vec<Span> = stages.values().map(|(span, _)| span.clone()).collect();
        spec.declared = super::ids(places.len()).collect();
        spec.declared.sort_by_key(|id| places[id.index()].start);
        spec.stages = stages
            .into_iter()
            .zip(super::ids(places.len()))
            .map(|((name, (span, raw)), id)| {
                let own = Own::of(&raw);
                let whole = RawStage::lay(raw, defaults.clone());
                let before = self.mistakes.count();
                let mut stage = self.stage(name, &span, whole, &scope);
                if self.mistakes.count() == before {
                    self.sound.push(id);
                }
                stage.own_args = own.args;
                stage.policy = std::mem::take(&mut stage.policy).over(&policy);
                if let (Some(tags), None, Naming::Settled) = (own.tags, &stage.image, &stage.naming) {
                    spec.notes.push(format!(
                        "{}: stage `{}` has `tags` and no `image`, so nothing gets them: write `image = \"NAME\"` beside them, or remove them",
                        self.mistakes.place(&tags),
                        stage.name
                    ));
                }
                stage
            })
            .collect();
        self.variables(&spec.sources, &of_sources);
        self.claims(&spec.stages, &places);
        self.platforms(&spec.stages, &places);
        self.outputs(&mut spec.stages, &places);
        if let Some((span, raw)) = stack {
            spec.stack = self.stack(&span, raw, &spec.stages, &scope);
        }
        spec
    }

    /// The defaults, or none and a mistake if giving them to every stage would make gigabytes of a
    /// small file.
    fn affordable(&mut self, defaults: RawStage, stages: usize) -> RawStage {
        if laying::size(&defaults).saturating_mul(stages) <= MOST_TEXT {
            return defaults;
        }
        let title = "`[defaults]` is too large for so many stages";
        let help = "write what only some stages need into those stages";
        self.mistakes.push(Mistake::of_file(title).help(help));
        RawStage::default()
    }

    fn version(&mut self, table: &mut DeTable<'_>) {
        match table.remove("version") {
            None => self.mistakes.push(
                Mistake::of_file("missing `version`")
                    .help(format!("write `version = {VERSION}` on its first line")),
            ),
            Some(value) => {
                let integer = value.get_ref().as_integer();
                if integer.map(toml::de::DeInteger::as_str) != Some(&VERSION.to_string()) {
                    self.mistakes.push(
                        Mistake::at(
                            value.span(),
                            "unknown version of the graph file",
                            format!("expected {VERSION}"),
                        )
                        .help("a newer file wants a newer xtask"),
                    );
                }
            }
        }
    }

    /// `state`, whose value `outside::state` has acted on before.
    fn state(&mut self, table: &mut DeTable<'_>) {
        let Some(value) = table.remove("state") else {
            return;
        };
        if value.get_ref().as_str() != Some("cache") {
            let mistake = Mistake::at(value.span(), "`state` must be `\"cache\"`", "here");
            let help =
                "without it the state lies in target/xtask, and XTASK_STATE moves it anywhere";
            self.mistakes.push(mistake.help(help));
        }
    }

    /// Where the call puts every image.
    fn output_of_call(
        &mut self,
        options: &GraphOptions,
        has_registry: bool,
    ) -> Option<ImageOutput> {
        let word = options.output.as_deref()?;
        let output = ImageOutput::ALL.into_iter().find(|it| it.word() == word)?;
        if output == ImageOutput::Registry && !has_registry {
            let title = "`--output registry` needs a registry, and the graph names none";
            let help = "write `[registry]` with `url = \"HOST/PATH\"` into the graph file";
            self.mistakes.push(Mistake::of_file(title).help(help));
        }
        Some(output)
    }

    pub(super) fn known<I: Copy>(
        &mut self,
        name: Text,
        what: &str,
        ids: &HashMap<String, I>,
    ) -> Option<I> {
        if let Some(id) = ids.get(name.get_ref()) {
            return Some(*id);
        }
        let title = format!("unknown {what} `{}`", name.get_ref().escape_debug());
        let label = format!("no `[{what}.…]` of that name");
        let mistake = Mistake::at(name.span(), title, label);
        let known = || {
            let mut known: Vec<&str> = ids.keys().map(String::as_str).collect();
            known.sort_unstable();
            known
        };
        self.mistakes.push_near(mistake, name.get_ref(), known);
        None
    }

    pub(super) fn path(&mut self, what: &str, path: Text) -> Option<Utf8PathBuf> {
        match names::inner_path(path.get_ref()) {
            Ok(clean) => Some(clean),
            Err(wrong) => {
                self.mistakes.push(Mistake::at(
                    path.span(),
                    format!("{what} {wrong}"),
                    "this path",
                ));
                None
            }
        }
    }

    pub(super) fn texts(
        &mut self,
        what: &str,
        texts: Option<Vec<Text>>,
        rule: fn(&str) -> Result<(), String>,
    ) -> Vec<String> {
        texts
            .into_iter()
            .flatten()
            .filter_map(|text| self.text(what, text, rule))
            .collect()
    }

    pub(super) fn text(
        &mut self,
        what: &str,
        text: Text,
        rule: fn(&str) -> Result<(), String>,
    ) -> Option<String> {
        self.rule(&text.span(), what, text.get_ref(), rule)
            .then(|| text.into_inner())
    }

    pub(super) fn rule(
        &mut self,
        span: &Span,
        what: &str,
        text: &str,
        rule: fn(&str) -> Result<(), String>,
    ) -> bool {
        match rule(text) {
            Ok(()) => true,
            Err(wrong) => {
                let shown = text.escape_debug();
                self.mistakes.push(Mistake::at(
                    span.clone(),
                    format!("{what} `{shown}` {wrong}"),
                    "here",
                ));
                false
            }
        }
    }
}
