//! The graph as a file for `docker buildx bake` (docs.docker.com/build/bake/reference).
//!
//! What BuildKit decides by is written out: build arguments, pinned bases, the time of a reproducible
//! image. What only this program does is not in it: verdicts, host commands, records.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Map, Value, json};

use super::seen_from;
use crate::build::action::{self, csv};
use crate::contexts::{self, Tracer};
use crate::fault::{Fault, Result};
use crate::freshness::planner::{Gathered, SOURCE_DATE_EPOCH, Workspace};
use crate::freshness::stage_inputs::{self, StageInputs};
use crate::graphfile::spec::shipping::ImageOutput;
use crate::graphfile::spec::{Context, Parts, SecretPlace, StageId};

/// What the file has in it and no hand writes: bake ignores a variable that nothing uses.
pub const MARK: &str = "WRITTEN_BY_XTASK";

/// Writes the text of the file for these stages, in build order. It is to lie in `folder`, and bake
/// to run there. Merged contexts of stages with overlays are put into `merged`.
pub fn text(
    work: &Workspace,
    stages: &[StageId],
    folder: &Utf8Path,
    merged: &Utf8Path,
) -> Result<String> {
    let mut writer = Writer {
        work,
        folder,
        merged,
        targets: BTreeMap::new(),
        named: Map::new(),
        groups: Map::new(),
    };
    let mut wanted = Vec::new();
    for id in stages {
        let whole = work.spec.whole_id(*id);
        // Those that came with another part of the same stage are there already.
        if !writer.targets.contains_key(id) && !work.spec.stage(*id).is_assembled() {
            wanted.push(writer.add(whole)?);
        }
    }
    let Writer {
        named, mut groups, ..
    } = writer;
    let mut seen = BTreeSet::new();
    if let Some(twice) = (named.keys().chain(groups.keys())).find(|it| !seen.insert(*it)) {
        return Err(Fault::usage(format!(
            "two stages would be the target `{twice}`, as bake knows fewer characters in names: rename one"
        )));
    }
    groups.insert("default".to_owned(), json!({ "targets": wanted }));
    let whole = json!({
        "variable": { MARK: { "default": "by `cargo xtask export bake`" } },
        "group": groups,
        "target": named,
    });
    let text = serde_json::to_string_pretty(&literal(whole))
        .map_err(|error| Fault::failed(format!("the file cannot be written: {error}")))?;
    Ok(text + "\n")
}

/// A value whose texts mean themselves: in bake's JSON every text is a template of HCL.
fn literal(value: Value) -> Value {
    match value {
        Value::String(text) => text.replace("${", "$${").replace("%{", "%%{").into(),
        Value::Array(list) => list.into_iter().map(literal).collect(),
        Value::Object(table) => {
            let table = table.into_iter();
            let table = table.map(|(name, value)| (name, literal(value)));
            Value::Object(table.collect())
        }
        other => other,
    }
}

/// The target that stands for all parts, if nothing but the platform differs.
fn together(parts: &[Map<String, Value>]) -> Option<Value> {
    let without = |part: &Map<String, Value>| {
        let mut part = part.clone();
        let platforms = part.remove("platforms");
        (part, platforms)
    };
    let (mut whole, _) = without(parts.first()?);
    let mut platforms = Vec::new();
    for (part, own) in parts.iter().map(without) {
        if part != whole {
            return None;
        }
        if let Some(Value::Array(own)) = own {
            platforms.extend(own);
        }
    }
    if !platforms.is_empty() {
        whole.insert("platforms".to_owned(), platforms.into());
    }
    Some(whole.into())
}

/// The name of a stage's target. Bake's names have no dots and no `@`.
fn name(work: &Workspace, id: StageId) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let name = work.spec.stage(id).name.chars();
    name.map(|c| if good(c) { c } else { '-' }).collect()
}

/// The name by which BuildKit looks for a named context.
fn context_name(name: String) -> String {
    reference::normalise(&name).map_or(name, |it| it.context_name())
}

struct Writer<'w> {
    work: &'w Workspace,
    folder: &'w Utf8Path,
    merged: &'w Utf8Path,
    /// The name of the target that builds a stage or a part.
    targets: BTreeMap<StageId, String>,
    named: Map<String, Value>,
    groups: Map<String, Value>,
}

impl Writer<'_> {
    /// Adds a stage, with all its parts, and gives the name of its target or group.
    fn add(&mut self, whole: StageId) -> Result<String> {
        let name = name(self.work, whole);
        let stage = self.work.spec.stage(whole);
        let parts = match &stage.parts {
            Parts::Several(parts) => parts.clone(),
            Parts::One | Parts::Of(_) => vec![whole],
        };
        let all = parts.iter().map(|part| self.target(*part, &name));
        if let Some(target) = together(&all.collect::<Result<Vec<_>>>()?) {
            self.named.insert(name.clone(), target);
            let of_parts = parts.iter().map(|part| (*part, name.clone()));
            self.targets.extend(of_parts);
            return Ok(name);
        }
        crate::tell!(
            "note: `{}` is built differently for its platforms, and bake puts no index together: its platforms are targets of their own, without tags",
            stage.name
        );
        let mut names = Vec::new();
        for part in parts {
            let own = self::name(self.work, part);
            let mut target = self.target(part, &own)?;
            target.remove("tags");
            self.named.insert(own.clone(), target.into());
            self.targets.insert(part, own.clone());
            names.push(own);
        }
        self.groups
            .insert(name.clone(), json!({ "targets": names }));
        Ok(name)
    }

    /// The target of a stage or part, under a name.
    fn target(&self, id: StageId, name: &str) -> Result<Map<String, Value>> {
        let (work, stage) = (self.work, self.work.spec.stage(id));
        let gathered = work.gather(id)?;
        // What is lent is not on this machine.
        let Gathered::Read(_, inputs) = gathered else {
            return Err(Fault::usage(format!(
                "a host command must run before `{}` can be exported: run `{}` first",
                stage.name,
                work.spec
                    .call
                    .command(&format!("build {}", work.spec.whole(id).name))
            )));
        };
        let volatile = stage_inputs::volatile(&work.spec, stage)?;
        let mut args = inputs.args.clone();
        args.extend(volatile.arguments);
        let mut labels = inputs.labels.clone();
        labels.extend(volatile.labels);
        if let Some(exact) = inputs
            .externals
            .frontend
            .as_ref()
            .and_then(|it| self.exact(it))
        {
            args.insert("BUILDKIT_SYNTAX".to_owned(), exact);
        }
        if let Some(epoch) = work.epoch(id)? {
            args.insert(SOURCE_DATE_EPOCH.to_owned(), epoch);
        }
        let context = self.context(id, &inputs)?;
        let mut target = Map::new();
        let mut add = |name: &str, value: Value| target.insert(name.to_owned(), value);
        add("context", seen_from(self.folder, &context).as_str().into());
        // Bake looks for it from the context.
        add(
            "dockerfile",
            seen_from(&context, &inputs.dockerfile).as_str().into(),
        );
        if let Some(of) = &stage.target {
            add("target", of.as_str().into());
        }
        add("platforms", stage.platforms.clone().into());
        // `buildx build` normalises these names, and bake does not (tried: 0.13).
        let contexts = self.contexts(id, &inputs)?.into_iter();
        let contexts = contexts.map(|(name, value)| (context_name(name), value));
        add("contexts", json!(contexts.collect::<BTreeMap<_, _>>()));
        add("args", json!(args));
        add("labels", json!(labels));
        add("tags", work.spec.whole(id).references().into());
        // As this program builds: a default attestation is another one at each build.
        add("attest", json!(["type=provenance,disabled=true"]));
        self.settings(id, name, &mut add);
        let is_empty = |value: &Value| match value {
            Value::Array(list) => list.is_empty(),
            Value::Object(table) => table.is_empty(),
            _ => false,
        };
        target.retain(|_, value| !is_empty(value));
        Ok(target)
    }

    /// What RUN instructions run with, and where the image goes.
    fn settings(
        &self,
        id: StageId,
        name: &str,
        add: &mut impl FnMut(&str, Value) -> Option<Value>,
    ) {
        let stage = self.work.spec.stage(id);
        if stage.run.network.is_some() || !stage.run.hosts.is_empty() {
            crate::tell!(
                "note: `{}` has `network` or `add-hosts`, which bake of buildx 0.13 ignores: a newer one builds the same image",
                stage.name
            );
        }
        if let Some(network) = stage.run.network {
            add("network", network.word().into());
        }
        if let Some(size) = stage.run.shm_size {
            add("shm-size", size.to_string().into());
        }
        add("extra-hosts", json!(stage.run.hosts));
        let limits = stage.run.limits.iter();
        let limits = limits.map(|(name, it)| format!("{name}={}:{}", it.soft, it.hard));
        add("ulimits", limits.collect::<Vec<_>>().into());
        let secrets = stage.secrets.iter().map(|(secret, of)| match &of.place {
            SecretPlace::Env(name) => csv::row([("id", secret.as_str()), ("env", name)]),
            SecretPlace::File(file) => {
                let file = seen_from(self.folder, &self.work.spec.root.join(file));
                csv::row([("id", secret.as_str()), ("src", file.as_str())])
            }
        });
        add("secret", secrets.collect::<Vec<_>>().into());
        add("ssh", stage.ssh.clone().into());
        let compression = stage.shipping.compression().word();
        let mut row = vec![("compression", compression), ("force-compression", "true")];
        if stage.shipping.reproducible {
            row.push(("rewrite-timestamp", "true"));
        }
        let layout = seen_from(self.folder, &self.merged.join("oci").join(name));
        let place = match stage.shipping.output {
            ImageOutput::Engine => vec![("type", "docker"), ("compression", compression)],
            // Never a push: bake knows only the names under which images are published, and nothing
            // that it makes was verified.
            ImageOutput::Registry | ImageOutput::Oci => {
                let place = vec![("type", "oci"), ("dest", layout.as_str()), ("tar", "false")];
                [place, row].concat()
            }
        };
        add("output", json!([csv::row(place)]));
    }

    /// The folder that is sent. Overlays are laid over a copy.
    fn context(&self, id: StageId, inputs: &StageInputs) -> Result<Utf8PathBuf> {
        let folder = &inputs.context;
        if let [only] = folder.layers.folders.as_slice() {
            return Ok(only.clone());
        }
        // Parts often have the same overlays.
        let layers = format!("{:?}", folder.layers.folders);
        let of_layers = blake3::hash(layers.as_bytes()).to_hex();
        let name = format!(
            "{}-{}",
            name(self.work, self.work.spec.whole_id(id)),
            &of_layers[..8]
        );
        let into = self.merged.join("contexts").join(name);
        crate::tell!(
            "note: `{}` has overlays, so bake gets a copy of its context as it is now: after a change, export again",
            self.work.spec.whole(id).name
        );
        let states = self.work.state.beside();
        contexts::materialise(&folder.layers, &folder.ignore, states, &into)
            .map_err(|error| Fault::failed(error.to_string()))?;
        Ok(into)
    }

    fn contexts(&self, id: StageId, inputs: &StageInputs) -> Result<BTreeMap<String, String>> {
        let (work, stage) = (self.work, self.work.spec.stage(id));
        let mut contexts = BTreeMap::new();
        for base in &inputs.reading.bases {
            if let Some(exact) = self.exact(&base.reference) {
                contexts.insert(base.reference.clone(), format!("docker-image://{exact}"));
            }
        }
        for (name, reference) in &inputs.images {
            let exact = self.exact(reference).unwrap_or_else(|| reference.clone());
            contexts.insert(name.clone(), format!("docker-image://{exact}"));
        }
        for (name, parent) in &inputs.parents {
            let name_of = |of: StageId| self::name(work, work.spec.whole_id(of));
            let parent = self
                .targets
                .get(parent)
                .cloned()
                .unwrap_or_else(|| name_of(*parent));
            contexts.insert(name.clone(), format!("target:{parent}"));
        }
        for (name, given) in &stage.contexts {
            if let (Context::Folder(source, path), true) =
                (given, inputs.folders.contains_key(name))
            {
                let tracer = Tracer::forgetful(&work.cache);
                let folder =
                    stage_inputs::folder_of_context(&work.spec, *source, path, name, &tracer)?;
                contexts.insert(name.clone(), seen_from(self.folder, &folder).into_string());
            }
        }
        Ok(contexts)
    }

    /// The exact name of an external image, if the lock pins it.
    fn exact(&self, reference: &str) -> Option<String> {
        let pin = self.work.lock.lock().ok()?.digest(reference);
        action::exact_base(reference, pin.as_deref(), None)
    }
}
