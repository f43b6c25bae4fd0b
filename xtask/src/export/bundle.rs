//! A stack as a folder, for machines without a network: one archive with the images of chosen
//! stages and of all services, a compose file that uses them, checksums, and a script that loads
//! the images and starts the stack.
//!
//! Every image has a name of the bundle's own, which says what it is, so loading it replaces no
//! image of the other machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::mounted;
use crate::build::bring::bring;
use crate::fault::{Fault, Result};
use crate::freshness::planner::Workspace;
use crate::freshness::record::Record;
use crate::freshness::verdict::Verdict;
use crate::graphfile::spec::StageId;
use crate::outside::archive;
use crate::outside::index::Digester;
use crate::outside::layout::Layout;
use crate::outside::place::ImagePlace;
use crate::report::words;

/// The list of what is in a bundle. It also tells a folder that is a bundle.
pub const LIST: &str = "bundle.json";
/// The archive of images.
pub const IMAGES: &str = "images.tar";
/// The compose file.
pub const COMPOSE: &str = "compose.yaml";
/// The checksums, as sha256sum(1) reads them.
pub const SUMS: &str = "SHA256SUMS";
const SCRIPT: &str = "load.sh";
/// The version of the list. 1: the first.
const VERSION: u32 = 1;

/// What is in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackBundle {
    version: u32,
    /// The platform of its images.
    pub platform: String,
    /// Its images.
    pub images: Vec<BundledImage>,
}

/// An image of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundledImage {
    /// Its name in the bundle, and on an engine that has loaded it.
    pub name: String,
    /// The stage whose image it is, if it is of one.
    pub stage: Option<String>,
    /// Its name in the compose file, if no stage makes it.
    pub of: Option<String>,
    /// The digest of its manifest.
    pub manifest: String,
    /// The digest of its configuration.
    pub config: String,
}

impl StackBundle {
    /// Reads the list of a bundle, after every file was compared with its checksum.
    pub fn read(folder: &Utf8Path) -> Result<Self> {
        let fault = |why: String| {
            Fault::usage(format!(
                "{folder} is not a bundle as `cargo xtask export bundle` wrote it: {why}"
            ))
        };
        let sums = fs::read_to_string(folder.join(SUMS))
            .map_err(|error| fault(format!("cannot read {SUMS}: {error}")))?;
        let mut listed = BTreeMap::new();
        for line in sums.lines() {
            let (sum, path) = line
                .split_once("  ")
                .ok_or_else(|| fault(format!("{SUMS} has a line without a checksum")))?;
            listed.insert(path.to_owned(), sum.to_owned());
        }
        let there = sums_of(folder).map_err(|error| fault(error.to_string()))?;
        let names: BTreeSet<&String> = listed.keys().chain(there.keys()).collect();
        if let Some(path) = names
            .into_iter()
            .find(|it| listed.get(*it) != there.get(*it))
        {
            return Err(fault(format!("{path} is not what its checksum says")));
        }
        let text = fs::read(folder.join(LIST)).map_err(|error| fault(error.to_string()))?;
        let bundle: Self =
            serde_json::from_slice(&text).map_err(|error| fault(error.to_string()))?;
        if bundle.version != VERSION {
            return Err(fault(format!("its version is {}", bundle.version)));
        }
        Ok(bundle)
    }
}

/// The checksum of each file of a bundle but the list of checksums, by its path.
fn sums_of(folder: &Utf8Path) -> io::Result<BTreeMap<String, String>> {
    fn add(
        root: &Utf8Path,
        below: &Utf8Path,
        all: &mut BTreeMap<String, String>,
    ) -> io::Result<()> {
        for entry in root.join(below).read_dir_utf8()? {
            let entry = entry?;
            let path = below.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                add(root, &path, all)?;
            } else if kind.is_file() && path != SUMS {
                let mut sink = Digester::new(io::sink());
                io::copy(&mut File::open(entry.path())?, &mut sink)?;
                let (digest, _) = sink.finish()?;
                all.insert(path.into_string(), digest.replacen("sha256:", "", 1));
            }
        }
        Ok(())
    }
    let mut all = BTreeMap::new();
    add(folder, Utf8Path::new(""), &mut all)?;
    Ok(all)
}

/// Writes a bundle into `folder`. `stages` are bundled although no service may use them; `config` is
/// the stack's compose file with every variable filled in, `base` its folder.
pub fn write(
    work: &Workspace,
    stages: &[StageId],
    config: &Value,
    base: &Utf8Path,
    platform: &str,
    folder: &Utf8Path,
) -> Result<StackBundle> {
    let fault = |error: io::Error| Fault::lacks(format!("cannot write {folder}: {error}"));
    let is_there = fs::symlink_metadata(folder).is_ok();
    if is_there && !folder.join(LIST).is_file() {
        return Err(Fault::usage(format!(
            "{folder} exists and is not a bundle: name another folder with `--to FOLDER`"
        )));
    }
    let beside = folder.parent().filter(|it| !it.as_str().is_empty());
    let beside = beside.unwrap_or(Utf8Path::new("."));
    let scratch = tempfile::Builder::new()
        .prefix(".bundle-")
        .tempdir_in(beside)
        .map_err(fault)?;
    let new = Utf8Path::from_path(scratch.path())
        .ok_or_else(|| fault(io::Error::other("its path is not UTF-8")))?;
    let layout = Layout::in_folder(new.join("oci"));
    work.layout.lend(&layout).map_err(fault)?;
    let mut writer = Writer {
        work,
        layout,
        platform,
        images: Vec::new(),
    };
    writer.add_stages(stages)?;
    let mut config = config.clone();
    writer.add_services(&mut config)?;
    mounted::copy(work, &mut config, base, new)?;
    let named: Vec<(&str, &str)> = writer
        .images
        .iter()
        .map(|image| (image.manifest.as_str(), image.name.as_str()))
        .collect();
    archive::write(&writer.layout, &named, &new.join(IMAGES))?;
    let bundle = StackBundle {
        version: VERSION,
        platform: platform.to_owned(),
        images: writer.images,
    };
    finish(&bundle, &config, new).map_err(fault)?;
    if is_there {
        fs::remove_dir_all(folder).map_err(fault)?;
    }
    let new = scratch.keep();
    fs::rename(new, folder).map_err(fault)?;
    Ok(bundle)
}

/// Writes what a machine needs besides the images.
fn finish(bundle: &StackBundle, config: &Value, new: &Utf8Path) -> io::Result<()> {
    fs::remove_dir_all(new.join("oci"))?;
    let put = |name: &str, text: &str, mode: u32| -> io::Result<()> {
        let path = new.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, Permissions::from_mode(mode))
    };
    // JSON is YAML. It has the values of variables in it, and some may be secret.
    put(COMPOSE, &serde_json::to_string_pretty(config)?, 0o600)?;
    put(LIST, &serde_json::to_string_pretty(bundle)?, 0o644)?;
    let script = "#!/bin/sh\n\
        # Loads the images of this bundle and starts its stack. Needs no network.\n\
        set -eu\n\
        cd \"$(dirname \"$0\")\"\n\
        sha256sum --check --quiet SHA256SUMS\n\
        docker image load --quiet --input images.tar\n\
        exec docker compose --file compose.yaml up --detach --wait \"$@\"\n";
    put(SCRIPT, script, 0o755)?;
    let sums = sums_of(new)?;
    let lines = sums.iter().map(|(path, sum)| format!("{sum}  {path}\n"));
    put(SUMS, &lines.collect::<String>(), 0o644)?;
    fs::set_permissions(new, Permissions::from_mode(0o755))
}

struct Writer<'w> {
    work: &'w Workspace,
    layout: Layout,
    platform: &'w str,
    images: Vec<BundledImage>,
}

impl Writer<'_> {
    /// Adds the images of stages, for the one platform. They must be fresh.
    fn add_stages(&mut self, stages: &[StageId]) -> Result<()> {
        let work = self.work;
        let part = |id: &StageId| work.spec.part_for(*id, Some(self.platform));
        let parts: Vec<StageId> = stages.iter().map(part).collect();
        let plan = work.plan(&work.closure(&parts), |_| false)?;
        for id in parts {
            let (stage, whole) = (work.spec.stage(id), work.spec.whole(id));
            let own = plan.iter().find(|own| own.id == id);
            let Some(Verdict::Fresh(record)) = own.map(|own| &own.verdict) else {
                return Err(Fault::failed(format!(
                    "`{}` is not fresh, so there is nothing to bundle: run `{}` first",
                    stage.name,
                    work.spec.call.command(&format!("build {}", stage.name))
                )));
            };
            let is_for = |own: &String| reference::platform::serves(own, self.platform);
            if !stage.platforms.is_empty() && !stage.platforms.iter().any(is_for) {
                return Err(Fault::usage(format!(
                    "`{}` is not built for {}, only for {}: name another platform with `--platform P`",
                    stage.name,
                    self.platform,
                    stage.platforms.join(", ")
                )));
            }
            let (manifest, config) = self.of_record(id, record)?;
            self.add(
                &whole.name,
                Some(whole.name.clone()),
                None,
                manifest,
                config,
            );
        }
        Ok(())
    }

    /// The digests of the manifest and the configuration of a record's image, which is in the layout
    /// then.
    fn of_record(&self, id: StageId, record: &Record) -> Result<(String, String)> {
        if let ImagePlace::Layout(digest) = record.place() {
            return Ok((digest, record.identity()));
        }
        let brought = bring(self.work, id, record)?;
        let engine = &self.work.engine;
        let platform = Some(self.platform);
        let exported = archive::export(engine, &brought.reference, platform, &self.layout)?;
        Ok((exported.descriptor.digest, exported.config))
    }

    /// Gives every service an image of the bundle.
    fn add_services(&mut self, config: &mut Value) -> Result<()> {
        let of_stages = self.work.spec.stack.as_ref().map(|stack| &stack.services);
        let services = config.get_mut("services").and_then(Value::as_object_mut);
        for (name, service) in services.into_iter().flatten() {
            let stage = of_stages.and_then(|all| all.get(name));
            let own = service["image"].as_str().map(str::to_owned);
            let image = match (stage, own.as_deref()) {
                (Some(id), _) => {
                    let stage = &self.work.spec.whole(*id).name;
                    let is_it = |it: &&BundledImage| it.stage.as_ref() == Some(stage);
                    let image = self.images.iter().find(is_it);
                    image.map(|it| it.name.clone()).unwrap_or_default()
                }
                (None, Some(image)) => self.add_other(image)?,
                (None, None) => {
                    return Err(Fault::usage(format!(
                        "the service `{name}` has no `image`, and no stage is given to it: write `services = [\"{name}\"]` into its stage"
                    )));
                }
            };
            service["image"] = image.into();
            service["pull_policy"] = "never".into();
            if let Some(service) = service.as_object_mut() {
                service.remove("build");
            }
        }
        Ok(())
    }

    /// Adds an image that no stage makes, from the engine, and gives its name.
    fn add_other(&mut self, image: &str) -> Result<String> {
        if let Some(known) = self
            .images
            .iter()
            .find(|it| it.of.as_deref() == Some(image))
        {
            return Ok(known.name.clone());
        }
        let engine = &self.work.engine;
        let there = engine.images(&[image.to_owned()])?;
        if there.get(image).is_none_or(Option::is_none) {
            crate::tell!("pulling {image}");
            engine.pull(image, Some(self.platform))?;
        }
        let exported = archive::export(engine, image, Some(self.platform), &self.layout)?;
        let last = reference::normalise(image).map(|it| it.repository);
        let last = last.as_deref().and_then(|it| it.rsplit('/').next());
        let last = last.unwrap_or("image").to_owned();
        let digest = exported.descriptor.digest;
        Ok(self.add(&last, None, Some(image.to_owned()), digest, exported.config))
    }

    fn add(
        &mut self,
        what: &str,
        stage: Option<String>,
        of: Option<String>,
        manifest: String,
        config: String,
    ) -> String {
        // The same content has the same name on every machine.
        let short = config.trim_start_matches("sha256:").chars().take(12);
        let name = format!("xtask-bundle/{what}:{}", short.collect::<String>());
        self.images.push(BundledImage {
            name: name.clone(),
            stage,
            of,
            manifest,
            config,
        });
        name
    }
}

/// What a bundle has, for people.
pub fn told(bundle: &StackBundle, folder: &Utf8Path) -> String {
    let images = words::count(bundle.images.len(), "image");
    let platform = &bundle.platform;
    format!(
        "{folder}: {images} for {platform}; `sh {SCRIPT}` there loads them and starts the stack\n"
    )
}
