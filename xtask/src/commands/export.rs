//! `cargo xtask export`: the graph in the formats of its neighbours.

use std::fmt::Write as _;

use camino::{Utf8Path, Utf8PathBuf};

use crate::cli::{BakeArgs, BundleArgs, ComposeArgs, ExportArgs, ExportFormat};
use crate::export::compose::{Checked, ComposeWishes};
use crate::export::{self, bake, bundle, compose};
use crate::fault::{Fault, Result};
use crate::freshness::planner::Next;
use crate::graphfile::spec::StageId;
use crate::outside::interrupt::Interrupt;
use crate::report::words;
use crate::verify::stack;

/// Writes the export.
pub fn run(flags: &ExportArgs) -> Result<()> {
    match &flags.format {
        ExportFormat::Bake(flags) => bake(flags),
        ExportFormat::Compose(flags) => compose(flags),
        ExportFormat::Bundle(flags) => bundle(flags),
    }
}

fn bundle(flags: &BundleArgs) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let work = super::open(&flags.at, &[], Next::Any)?;
    let waiting = |holder: &str| crate::tell!("waiting for another call on this graph ({holder})");
    // The clearing up after a build must not remove what is bundled meanwhile.
    let _graph = work.state.share(waiting, || interrupt.pause())?;
    let mut stages: Vec<StageId> = compose::stack(&work)?.services.values().copied().collect();
    stages.extend(work.spec.find_all(&flags.stages)?);
    stages.sort_unstable();
    stages.dedup();
    work.refuse_without_engine()?;
    let own = || work.engine.platform().map(str::to_owned);
    let platform = flags.platform.clone().or_else(own).ok_or_else(|| {
        Fault::lacks("the engine does not tell its platform: name one with `--platform P`")
    })?;
    let (config, base) = stack::config_of(&work.spec, &interrupt)?;
    let folder = flags.to.clone();
    let folder = folder.unwrap_or_else(|| work.spec.root.join("bundle"));
    let bundle = bundle::write(&work, &stages, &config, &base, &platform, &folder);
    super::tell_warnings(&work);
    super::print(&bundle::told(&bundle?, &folder));
    Ok(())
}

fn compose(flags: &ComposeArgs) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let work = super::open(&flags.at, &[], Next::Any)?;
    let wishes = ComposeWishes {
        release: flags.release.clone(),
        target: flags.from.clone(),
    };
    let images = compose::images(&work, &wishes);
    super::tell_warnings(&work);
    let images = images?;
    if flags.check {
        let (config, _) = stack::config_of(&work.spec, &interrupt)?;
        return told(&compose::check(&work, &config, &images)?);
    }
    let file = flags.file.clone();
    let file = file.unwrap_or_else(|| work.spec.root.join("compose.images.yaml"));
    let own = export::OwnFile {
        mark: compose::MARK,
        by: ["export compose", "--file"],
    };
    export::write_own(&file, &compose::text(&images), &own)?;
    super::print(&format!("{file}\n"));
    Ok(())
}

/// Prints what was checked. Fails if an image cannot be had.
fn told(checked: &[Checked]) -> Result<()> {
    let mut text = String::new();
    let width = checked.iter().map(|it| it.image.len()).max().unwrap_or(0);
    for it in checked {
        let (image, services) = (&it.image, it.services.join(", "));
        let found = it.lacks.as_deref().unwrap_or("is there");
        let _ = writeln!(text, "{image:width$}  {found} ({services})");
    }
    super::print(&text);
    let lacking = checked.iter().filter(|it| it.lacks.is_some()).count();
    if lacking > 0 {
        let lacking = words::count(lacking, "image");
        return Err(Fault::failed(format!(
            "{lacking} of the stack cannot be pulled as they are named: see above"
        )));
    }
    Ok(())
}

fn bake(flags: &BakeArgs) -> Result<()> {
    let work = super::open(&flags.at, &[], Next::Any)?;
    let wanted = work.wanted(&flags.stages)?;
    let file = flags.file.clone();
    let file = file.unwrap_or_else(|| work.spec.root.join("docker-bake.json"));
    let folder = real_folder(&file)?;
    let merged = work.state.path("bake");
    let text = bake::text(&work, &wanted, &folder, &merged)?;
    super::tell_warnings(&work);
    let own = export::OwnFile {
        mark: bake::MARK,
        by: ["export bake", "--file"],
    };
    export::write_own(&file, &text, &own)?;
    crate::tell!(
        "in {folder}: docker buildx bake --file {}",
        file.file_name().unwrap_or_default()
    );
    super::print(&format!("{file}\n"));
    Ok(())
}

/// The folder that a file lies in, without links.
fn real_folder(file: &Utf8Path) -> Result<Utf8PathBuf> {
    let folder = file.parent().filter(|it| !it.as_str().is_empty());
    let folder = folder.unwrap_or(Utf8Path::new("."));
    folder
        .canonicalize_utf8()
        .map_err(|error| Fault::usage(format!("cannot write into {folder}: {error}")))
}
