//! `verify --bundle`: a bundle on a machine without a network, tried with the probes of the graph.

use std::collections::BTreeMap;

use camino::Utf8Path;

use super::running::tell_stack;
use crate::cli::VerifyArgs;
use crate::export::bundle::{COMPOSE, IMAGES, StackBundle};
use crate::fault::{Class, Fault, Result};
use crate::freshness::planner::Next;
use crate::outside::interrupt::Interrupt;
use crate::report::words;
use crate::verify::stack::{self, StackOutcome};

/// Loads the bundle into the engine, and runs its stack.
pub(super) fn run(flags: &VerifyArgs, folder: &Utf8Path, interrupt: &Interrupt) -> Result<()> {
    let mut work = super::super::open(&flags.at, &[], Next::Any)?;
    let folder = folder
        .canonicalize_utf8()
        .map_err(|error| Fault::usage(format!("cannot find the bundle {folder}: {error}")))?;
    let bundle = StackBundle::read(&folder)?;
    let Some(stack) = &mut work.spec.stack else {
        return Err(Fault::usage(format!(
            "{} has no `[stack]`, so it has no probes for the bundle: name the graph that the bundle was made from with `--graph FILE`",
            work.spec.file
        )));
    };
    // The compose file of the bundle has all values in it, and every service its image.
    stack.compose = folder.join(COMPOSE);
    (stack.source, stack.env_file, stack.override_file) = (None, None, None);
    stack.services.clear();
    stack.env.clear();
    crate::tell!("loading {}", words::count(bundle.images.len(), "image"));
    work.engine.load(&folder.join(IMAGES))?;
    let names: Vec<String> = bundle.images.iter().map(|it| it.name.clone()).collect();
    let loaded = work.engine.images(&names)?;
    for image in &bundle.images {
        let id = loaded.get(&image.name).and_then(Option::as_ref);
        let id = id.map(|loaded| loaded.id.as_str());
        // An engine names an image by its manifest or by its configuration.
        if id != Some(&image.manifest) && id != Some(&image.config) {
            return Err(Fault::failed(format!(
                "the engine does not have the bundle's image under {}, but {}: another process moved the name, so run this once more",
                image.name,
                id.unwrap_or("none")
            )));
        }
    }
    let report = stack::run(&stack::Run {
        spec: &work.spec,
        state: &work.state,
        engine: &work.engine,
        images: &BTreeMap::new(),
        keep: flags.keep,
        interrupt,
        tell: &|event| tell_stack(&event),
    })?;
    for note in &report.notes {
        crate::tell!("note: {note}");
    }
    if let Some(kept) = &report.kept {
        crate::tell!("the stack stays up; `{}` takes it down", kept.take_down);
    }
    if report.outcome == StackOutcome::Passed {
        let probes = words::count(report.probes.len(), "probe");
        super::super::print(&format!("the bundle's stack passed {probes}\n"));
        return Ok(());
    }
    crate::tell!("{}", report.text.trim_end());
    Err(Fault::told(Class::Failed))
}
