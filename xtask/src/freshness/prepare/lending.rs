//! What a host command made, for machines on which it has not run.
//!
//! The result of a host command is a function of the command, of what it reads, and of the machine:
//! its processor and its system, whose compilers and libraries it may use.

use std::path::PathBuf;

use camino::Utf8PathBuf;

use super::part::{CommandPart, digest, what_it_made, what_it_reads};
use super::{Fetched, folder, seal_stamp};
use crate::contexts::{Input, StatCache, Tracer};
use crate::fault::{Fault, Result};
use crate::graphfile::spec::{Prepare, Spec, Stage};
use crate::outside::state::State;

/// The facts of a machine with this processor on which the result of a host command may depend.
fn facts(processor: &str) -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let field = |name: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim_matches('"').to_owned()
    };
    format!(
        "{} {} {} {}",
        std::env::consts::OS,
        processor,
        field("ID="),
        field("VERSION_ID=")
    )
}

/// The processors of the machines whose results serve a stage for one of these platforms, best
/// first: a machine of the platform itself, where a native runner builds that part, then this one.
pub fn processors(platforms: &[String]) -> Vec<&'static str> {
    let own = std::env::consts::ARCH;
    let native = match platforms {
        [only] => reference::platform::normal(only),
        _ => None,
    };
    let native = match native.as_deref() {
        Some("linux/amd64") => Some("x86_64"),
        Some("linux/arm64") => Some("aarch64"),
        _ => None,
    };
    let others = native.into_iter().filter(|it| *it != own);
    others.chain([own]).collect()
}

/// The key of what a stage's host command would make now on a machine with this processor: 64
/// hexadecimal digits. `None` without a host command.
pub fn question(
    spec: &Spec,
    stage: &Stage,
    tracer: &Tracer<'_>,
    processor: &str,
) -> Result<Option<String>> {
    let Some(prepare) = &stage.prepare else {
        return Ok(None);
    };
    let folder = folder(spec, stage, prepare, tracer)?;
    let reads = what_it_reads(spec, stage, prepare, &folder, tracer)?;
    Ok(Some(question_of(prepare, &reads, processor)))
}

fn question_of(prepare: &Prepare, reads: &[CommandPart], processor: &str) -> String {
    let mut hash = blake3::Hasher::new();
    hash.update(b"xtask host command 1\0");
    hash.update(digest(reads).as_bytes());
    // A command may do something else in another folder.
    let place = (prepare.beside_graph, &prepare.dir, &prepare.outputs);
    hash.update(format!("\0{place:?}\0{}", facts(processor)).as_bytes());
    hash.finalize().to_hex().to_string()
}

/// Where a host command runs, and what it makes there.
#[derive(Debug)]
pub struct MadeByCommand {
    /// The folder where the command runs.
    pub folder: Utf8PathBuf,
    /// Its outputs, relative to the folder.
    pub outputs: Vec<PathBuf>,
    /// The entries at and below its outputs.
    pub entries: Vec<Input>,
}

/// What a stage's host command has made, as it is there now.
pub fn made(spec: &Spec, stage: &Stage, cache: &StatCache) -> Result<Option<MadeByCommand>> {
    let Some(prepare) = &stage.prepare else {
        return Ok(None);
    };
    let tracer = Tracer::forgetful(cache);
    let folder = folder(spec, stage, prepare, &tracer)?;
    let entries = what_it_made(prepare, &folder, &tracer)?.inputs.entries;
    Ok(Some(MadeByCommand {
        folder,
        outputs: outputs(stage),
        entries,
    }))
}

/// The outputs of a stage's host command.
pub fn outputs(stage: &Stage) -> Vec<PathBuf> {
    let outputs = stage.prepare.iter().flat_map(|prepare| &prepare.outputs);
    outputs.map(|path| path.as_std_path().to_owned()).collect()
}

/// The folder where a stage's host command runs.
pub fn place(spec: &Spec, stage: &Stage, cache: &StatCache) -> Result<Option<Utf8PathBuf>> {
    let Some(prepare) = &stage.prepare else {
        return Ok(None);
    };
    folder(spec, stage, prepare, &Tracer::forgetful(cache)).map(Some)
}

/// Notes that the outputs which are there now are those that the command would make, if they answer
/// the question and are the entries of `fetched`. `false` if anything has changed since that was asked: then the
/// outputs are those of other inputs.
pub fn note_as_made(
    spec: &Spec,
    stage: &Stage,
    state: &State,
    cache: &StatCache,
    fetched: &Fetched,
) -> Result<bool> {
    let Some(prepare) = &stage.prepare else {
        return Ok(false);
    };
    let tracer = Tracer::forgetful(cache).beside(state.beside().as_std_path());
    let folder = folder(spec, stage, prepare, &tracer)?;
    let read = what_it_reads(spec, stage, prepare, &folder, &tracer)?;
    let made = what_it_made(prepare, &folder, &tracer)?;
    let question = question_of(prepare, &read, fetched.processor);
    if question != fetched.question || made.inputs.entries != fetched.entries {
        return Ok(false);
    }
    seal_stamp(spec, stage, state, &read, made).map_err(|error| {
        let folder = state.path("");
        Fault::lacks(format!(
            "what the host command of `{}` made cannot be noted in {folder}: {error}",
            stage.name
        ))
    })?;
    Ok(true)
}
