//! The host command that makes part of a stage's context.
//!
//! Runs before the context is read, and only when what it reads, or the command itself, changed,
//! or when what it made is not there as it left it. Knows files and processes; is unaware of
//! images.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::dockerfile::{ContextNeed, Need};
use crate::fault::{Fault, Result};
use crate::inputs::{self, Ignore, Input, Inputs, Layers, StatCache, Witness};
use crate::interrupt::Interrupt;
use crate::key::Ingredients;
use crate::source;
use crate::spec::{Prepare, Spec, Stage};
use crate::state::{self, State};
use crate::verdict::{self, Change, Reason};

const STAMP: &str = "xtask-prepared";
const FORMAT: u32 = 1;
/// Between two looks at whether the command of a killed build still runs.
const PAUSE: Duration = Duration::from_millis(20);

/// Why the command must run; `None` when there is none, or when it need not.
pub fn must_run(
    spec: &Spec,
    stage: &Stage,
    state: &State,
    witness: &Witness<'_>,
) -> Result<Option<Reason>> {
    let Some(prepare) = &stage.prepare else {
        return Ok(None);
    };
    let folder = folder(spec, stage, prepare, witness)?;
    let because = |name: &str, before: Option<&str>| {
        let before = before.map(str::to_owned);
        Some(Reason::of(vec![Change {
            what: "prepare",
            name: name.to_owned(),
            before,
            after: None,
        }]))
    };
    let stamp = stamp(state, stage);
    if !stamp.is_file() {
        return Ok(because("never run here", None));
    }
    let Ok(sealed) = inputs::read_file(&stamp, witness) else {
        return Ok(because("never run here", None));
    };
    let Ok(stamped) = state::unseal(STAMP, FORMAT, &sealed) else {
        return Ok(because("never run here", None));
    };
    let stamped = String::from_utf8_lossy(stamped);
    let (read, made) = stamped.split_once(' ').unwrap_or_default();
    if read != digest(&what_it_reads(spec, stage, prepare, &folder, witness)?) {
        return Ok(because("its command or inputs changed", Some(read)));
    }
    if made != digest(&[what_it_made(prepare, &folder, witness)?]) {
        return Ok(because("its outputs are not as it left them", Some(made)));
    }
    Ok(None)
}

/// Runs the command to its end, its output in `log`. `waiting` is told when the command of a
/// killed build must end first.
pub fn run(
    spec: &Spec,
    stage: &Stage,
    state: &State,
    cache: &StatCache,
    log: &Utf8Path,
    interrupt: &Interrupt,
    waiting: impl FnOnce(),
) -> Result<()> {
    let Some(prepare) = &stage.prepare else {
        return Ok(());
    };
    let witness = &Witness::forgetful(cache);
    let folder = folder(spec, stage, prepare, witness)?;
    let shown = prepare.run.join(" ");
    let fault = |why: String| {
        Fault::failed(format!(
            "`{shown}`, which prepares `{}` in {folder}, {why}",
            stage.name
        ))
    };
    let no_log = |error: std::io::Error| fault(format!("cannot have its log {log}: {error}"));
    let output = own(log, interrupt, waiting).map_err(no_log)?;
    let Some(output) = output else {
        return Err(Fault::interrupted());
    };
    let before: Vec<_> = prepare
        .outputs
        .iter()
        .map(|path| identity(&folder.join(path)))
        .collect();
    let read = what_it_reads(spec, stage, prepare, &folder, witness)?;
    let errors = output.try_clone().map_err(no_log)?;
    let owned = output.try_clone().map_err(no_log)?;
    let mut command = Command::new(&prepare.run[0]);
    command
        .args(&prepare.run[1..])
        .current_dir(&folder)
        .env(
            "XTASK_SOURCE_ROOT",
            source::root(spec, stage.source)?.as_str(),
        )
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors);
    let child = interrupt
        .spawn(&mut command)
        .map_err(|error| fault(format!("cannot be started: {error}")))?;
    let Some(mut child) = child else {
        return Err(Fault::interrupted());
    };
    let status = interrupt.wait_for(&mut child);
    // What it leaves running on purpose hinders nobody. A file system without locks has none.
    let _ = owned.unlock();
    if interrupt.is_set() {
        return Err(Fault::interrupted());
    }
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => {
            return Err(fault(format!(
                "ended with {status}; its output is in {log}"
            )));
        }
        Err(error) => return Err(fault(format!("cannot be waited for: {error}"))),
    }
    for (path, before) in prepare.outputs.iter().zip(before) {
        let after = identity(&folder.join(path));
        if after.is_none() {
            return Err(fault(format!(
                "did not make `{path}`; its output is in {log}"
            )));
        }
        if after == before {
            // A script that goes on after a failed compiler leaves the old file and says all is well.
            return Err(fault(format!(
                "ended well but did not make `{path}` anew: remove that file if the command keeps what is up to date, and see {log}"
            )));
        }
    }
    let after = what_it_reads(spec, stage, prepare, &folder, witness)?;
    if let Some(path) = difference(&read, &after) {
        return Err(fault(format!(
            "changed `{path}`, which it reads itself, so it would run again and again: leave that out of what it reads by `ignore` in `prepare`, or name it in `outputs`"
        )));
    }
    let (read, made) = (
        digest(&read),
        digest(&[what_it_made(prepare, &folder, witness)?]),
    );
    let stamped = state::seal(STAMP, FORMAT, format!("{read} {made}").as_bytes());
    state::write_atomically(&stamp(state, stage), &stamped).map_err(|error| {
        fault(format!(
            "ran, but that cannot be noted in {}: {error}",
            state.path("")
        ))
    })
}

/// The log, empty and locked. Its lock is the command's as well, and so outlives a build that is
/// killed: the command goes on then, and a second one beside it would mix what they make. `None`
/// when the user wants to stop.
fn own(
    log: &Utf8Path,
    interrupt: &Interrupt,
    waiting: impl FnOnce(),
) -> std::io::Result<Option<File>> {
    if let Some(parent) = log.parent() {
        std::fs::create_dir_all(parent)?;
    }
    // One may wait for ever for a pipe's reader.
    if log.exists() && !log.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    let mut options = File::options();
    let file = options.create(true).truncate(false).write(true).open(log)?;
    let mut waiting = Some(waiting);
    while let Err(TryLockError::WouldBlock) = file.try_lock() {
        if let Some(waiting) = waiting.take() {
            waiting();
        }
        if interrupt.wait(PAUSE) {
            return Ok(None);
        }
    }
    file.set_len(0)?;
    Ok(Some(file))
}

fn stamp(state: &State, stage: &Stage) -> Utf8PathBuf {
    state.path("prepared").join(&stage.name)
}

/// Some of the host command's files, and the command where they hang on it.
struct Part {
    command: String,
    inputs: Inputs,
}

/// The command itself, what it reads where it runs, and what it reads of the source.
fn what_it_reads(
    spec: &Spec,
    stage: &Stage,
    prepare: &Prepare,
    folder: &Utf8Path,
    witness: &Witness<'_>,
) -> Result<Vec<Part>> {
    let ignore = Ignore::parse(prepare.ignore.join("\n").as_bytes())
        .map_err(|error| Fault::usage(format!("`prepare` of `{}`: {error}", stage.name)))?;
    let command = prepare.run.join("\0");
    let inputs = files(folder, &prepare.inputs, &ignore, witness)?;
    let mut parts = vec![Part { command, inputs }];
    if !prepare.source_inputs.is_empty() {
        let root = source::root(spec, stage.source)?;
        parts.push(Part {
            command: String::new(),
            inputs: files(&root, &prepare.source_inputs, &ignore, witness)?,
        });
    }
    Ok(parts)
}

fn what_it_made(prepare: &Prepare, folder: &Utf8Path, witness: &Witness<'_>) -> Result<Part> {
    Ok(Part {
        command: String::new(),
        inputs: files(folder, &prepare.outputs, &Ignore::default(), witness)?,
    })
}

/// The first path at which there is not the same as before.
fn difference(before: &[Part], after: &[Part]) -> Option<String> {
    let (before, after) = before
        .iter()
        .zip(after)
        .map(|(before, after)| (&before.inputs.entries, &after.inputs.entries))
        .find(|(before, after)| before != after)?;
    let other = |one: &[Input], all: &[Input]| one.iter().find(|own| !all.contains(own)).cloned();
    let first = other(after, before).or_else(|| other(before, after))?;
    Some(verdict::text(&first.path))
}

/// Where it runs. Links on the way may be pointed elsewhere without a trace there.
fn folder(
    spec: &Spec,
    stage: &Stage,
    prepare: &Prepare,
    witness: &Witness<'_>,
) -> Result<Utf8PathBuf> {
    let root = source::root(spec, stage.source.filter(|_| !prepare.beside_graph))?;
    let what = format!("the folder in which `{}` is prepared,", stage.name);
    let real = source::inside(&root, &prepare.dir, &what)?;
    if real != root.join(&prepare.dir) {
        witness.doubt();
    }
    Ok(real)
}

/// What tells a file that was written from one that was not.
fn identity(path: &Utf8Path) -> Option<(u64, i64, i64)> {
    let meta = path.symlink_metadata().ok()?;
    Some((meta.ino(), meta.ctime(), meta.ctime_nsec()))
}

fn files(
    folder: &Utf8Path,
    paths: &[Utf8PathBuf],
    ignore: &Ignore,
    witness: &Witness<'_>,
) -> Result<Inputs> {
    let needs = paths.iter().map(|path| Need {
        path: path.as_str().into(),
        wildcard: false,
        exclude: Vec::new(),
        line: 0,
    });
    let layers = Layers {
        folders: vec![folder.to_owned()],
    };
    let need = ContextNeed::Paths(needs.collect());
    inputs::collect(&layers, ignore, &need, witness)
        .map_err(|error| Fault::usage(error.to_string()))
}

fn digest(parts: &[Part]) -> String {
    let key = |part: &Part| {
        let ingredients = Ingredients {
            dockerfile: part.command.as_bytes(),
            inputs: vec![("", &part.inputs)],
            ..Ingredients::default()
        };
        ingredients.key().hex()
    };
    parts.iter().map(key).collect()
}
