//! The host command that makes part of a stage's context.
//!
//! It runs before the context is read, and only if the command itself or what it reads changed, or
//! if what it made is not there as it left it.

pub mod lending;
mod locks;
mod part;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};

use crate::contexts::{self, Input, StatCache, Tracer};
use crate::fault::{Fault, Result};
use crate::freshness::key::IngredientKind;
use crate::freshness::record;
use crate::freshness::verdict::{self, Change, Changed, Reason};
use crate::graphfile::source;
use crate::graphfile::spec::{Prepare, Spec, Stage};
use crate::outside::interrupt::Interrupt;
use crate::outside::state::{self, State};
use crate::shown;
use dockerignore::Ignore;
use locks::Locks;
use part::{CommandPart, difference, digest, ignore, list, what_it_made, what_it_reads};

const STAMP: &str = "xtask-prepared";
const FORMAT: u32 = 2;

/// Why the command must run; `None` if there is no command, or it need not run.
pub fn must_run(
    spec: &Spec,
    stage: &Stage,
    state: &State,
    tracer: &Tracer<'_>,
) -> Result<Option<Reason>> {
    let Some(prepare) = &stage.prepare else {
        return Ok(None);
    };
    let folder = folder(spec, stage, prepare, tracer)?;
    let because = |name: &str, files: Vec<Change>| {
        let own = Change::unknown(Changed::Prepare, name);
        Some(Reason::of(std::iter::once(own).chain(files).collect()))
    };
    let stamp = stamp(spec, stage, state);
    if !stamp.is_file() {
        return Ok(because("it has not run here yet", Vec::new()));
    }
    let Ok(sealed) = contexts::read_own_file(&stamp, tracer) else {
        return Ok(because("it has not run here yet", Vec::new()));
    };
    let Ok(stamped) = state::unseal(STAMP, FORMAT, &sealed) else {
        let why = "what it ran with is not known any more";
        return Ok(because(why, Vec::new()));
    };
    let mut parts = stamped.splitn(3, |byte| *byte == b' ');
    let mut part = || parts.next().unwrap_or_default();
    let (read, made, before) = (part(), part(), part());
    let now = what_it_reads(spec, stage, prepare, &folder, tracer)?;
    if read != digest(&now).as_bytes() {
        let before = record::decode(before);
        let mut changes = verdict::differences(before.as_deref(), &list(&now)).changes;
        let files = changes.extract_if(.., |change| change.what == IngredientKind::Input);
        let files: Vec<Change> = files.collect();
        let what = if changes.is_empty() {
            "its inputs changed"
        } else {
            "its command changed"
        };
        return Ok(because(what, files));
    }
    if made != digest(&[what_it_made(prepare, &folder, tracer)?]).as_bytes() {
        return Ok(because("its outputs are not as it left them", Vec::new()));
    }
    Ok(None)
}

/// Looks at all that the command reads, as `must_run` does. Returns what is left out of that.
pub fn look(spec: &Spec, stage: &Stage, tracer: &Tracer<'_>) -> Result<Ignore> {
    let Some(prepare) = &stage.prepare else {
        return Ok(Ignore::default());
    };
    let folder = folder(spec, stage, prepare, tracer)?;
    what_it_reads(spec, stage, prepare, &folder, tracer)?;
    ignore(stage, prepare)
}

/// The folders below which the command reads: the root of its source, if it reads of its source,
/// and then the folder that it runs in, where its `ignore` patterns begin.
pub fn roots(spec: &Spec, stage: &Stage) -> Vec<Utf8PathBuf> {
    let Some(prepare) = &stage.prepare else {
        return Vec::new();
    };
    let of_source = (!prepare.source_inputs.is_empty()).then(|| source::root(spec, stage.source));
    let root = source::root(spec, stage.source.filter(|_| !prepare.beside_graph));
    let own = root.and_then(|root| source::inside(&root, &prepare.dir, "the folder"));
    of_source.into_iter().chain([own]).flatten().collect()
}

/// Outputs that were brought from elsewhere.
#[derive(Debug)]
pub struct Fetched {
    /// The question that they answer (`lending::question`).
    pub question: String,
    /// The processor of the machine that made them.
    pub processor: &'static str,
    /// What they are.
    pub entries: Vec<Input>,
}

/// Why the command gave no result.
#[derive(Debug)]
pub struct Failed {
    /// What went wrong.
    pub fault: Fault,
    /// Whether the log is of this run.
    pub has_run: bool,
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            has_run: false,
        }
    }
}

/// The command of a stage, for people.
pub fn shown(stage: &Stage) -> String {
    let run = stage.prepare.as_ref().map(|prepare| prepare.run.join(" "));
    format!("prepare: {}", run.unwrap_or_default())
}

/// Runs the command to its end, with its output in `log`, unless `fetch` brings its outputs from
/// elsewhere. Calls `waiting` if another command must
/// end first: one in the same folder, or one of a build that was killed.
#[expect(clippy::too_many_arguments, reason = "all that a run hangs on")]
pub fn run(
    spec: &Spec,
    stage: &Stage,
    state: &State,
    cache: &StatCache,
    log: &Utf8Path,
    interrupt: &Interrupt,
    waiting: impl Fn(),
    fetch: impl FnOnce() -> Result<Option<Fetched>>,
) -> Result<(), Failed> {
    let Some(prepare) = &stage.prepare else {
        return Ok(());
    };
    let tracer = &Tracer::forgetful(cache).beside(state.beside().as_std_path());
    let call = HostCall {
        spec,
        stage,
        prepare,
        folder: folder(spec, stage, prepare, tracer)?,
        root: source::root(spec, stage.source)?,
        log,
        interrupt,
    };
    let locks = Locks::of(&call.folder, log)
        .map_err(|error| call.fault(&format!("cannot open {error}")))?;
    if !locks.take(interrupt, waiting) {
        return Err(Fault::interrupted().into());
    }
    // The lock may have been held for another stage with the same command.
    if must_run(spec, stage, state, tracer)?.is_none() {
        return Ok(());
    }
    if let Some(fetched) = fetch()?
        && lending::note_as_made(spec, stage, state, cache, &fetched)?
    {
        return Ok(());
    }
    locks
        .begin()
        .map_err(|error| call.fault(&format!("cannot empty its log {log}: {error}")))?;
    let read = call.until_untouched(&locks, tracer);
    let read = read.map_err(|fault| Failed {
        fault,
        has_run: true,
    })?;
    let made = what_it_made(prepare, &call.folder, tracer)?;
    let written = seal_stamp(spec, stage, state, &read, made);
    written.map_err(|error| {
        let folder = state.path("");
        call.fault(&format!(
            "ran, but that cannot be noted in {folder}: {error}"
        ))
    })?;
    Ok(())
}

/// Writes what the command has read and what it has made.
fn seal_stamp(
    spec: &Spec,
    stage: &Stage,
    state: &State,
    read: &[CommandPart],
    made: CommandPart,
) -> std::io::Result<()> {
    let (digests, list) = ((digest(read), digest(&[made])), list(read));
    let mut stamped = format!("{} {} ", digests.0, digests.1).into_bytes();
    stamped.extend(record::encode(&list));
    let stamped = state::seal(STAMP, FORMAT, &stamped);
    state::write_atomically(&stamp(spec, stage, state), &stamped)
}

/// A host command and where it runs.
struct HostCall<'c> {
    spec: &'c Spec,
    stage: &'c Stage,
    prepare: &'c Prepare,
    folder: Utf8PathBuf,
    /// The root of its source.
    root: Utf8PathBuf,
    log: &'c Utf8Path,
    interrupt: &'c Interrupt,
}

impl HostCall<'_> {
    fn fault(&self, why: &str) -> Fault {
        let shown = self.prepare.run.join(" ");
        let (name, folder) = (&self.stage.name, &self.folder);
        Fault::failed(format!(
            "`{shown}`, which prepares `{name}` in {folder}, {why}"
        ))
    }

    /// Runs the command, and once more if what it reads was written to meanwhile: something else
    /// may have been there in between. A file that is written to in both runs is written by the
    /// command itself.
    fn until_untouched(&self, locks: &Locks, tracer: &Tracer<'_>) -> Result<Vec<CommandPart>> {
        let (read, first) = self.once(locks, tracer)?;
        if first.is_empty() {
            return Ok(read);
        }
        let (read, second) = self.once(locks, tracer)?;
        match second.difference(&first).next() {
            None => Ok(read),
            Some(path) => Err(self.fault(&format!(
                "ran while `{}`, which it reads, was written to: run this once more",
                shown::text(path)
            ))),
        }
    }

    /// Runs the command once. Returns what it read, and the paths of that which were written to or
    /// replaced meanwhile and have the same content again.
    fn once(
        &self,
        locks: &Locks,
        tracer: &Tracer<'_>,
    ) -> Result<(Vec<CommandPart>, BTreeSet<Vec<u8>>)> {
        let reads = || what_it_reads(self.spec, self.stage, self.prepare, &self.folder, tracer);
        let outputs = || {
            let outputs = self.prepare.outputs.iter();
            outputs.map(|path| (path, identities(self.folder.join(path).as_std_path())))
        };
        let read = reads()?;
        let states = self.states(&read);
        let before: Vec<_> = outputs().collect();
        self.run_to_its_end(locks)?;
        for ((path, before), (_, after)) in before.into_iter().zip(outputs()) {
            if after.is_empty() {
                return Err(self.fault(&format!("did not make `{path}`")));
            }
            if after == before {
                // A script that goes on after a failed compiler leaves the old file and reports
                // success.
                return Err(self.fault(&format!(
                    "succeeded but did not write `{path}`: if the command keeps files that are up to date, remove `{path}`"
                )));
            }
        }
        let after = reads()?;
        if let Some(path) = difference(&read, &after) {
            return Err(self.fault(&format!(
                "reads `{path}`, which changed while it ran: run this once more; if the command itself writes `{path}`, that would happen each time: add it to `ignore` or `outputs` of `prepare`"
            )));
        }
        let now = self.states(&after);
        let touched = states.into_iter().zip(now);
        let touched = touched.filter(|(before, after)| before != after);
        Ok((read, touched.map(|((path, _), _)| path).collect()))
    }

    fn run_to_its_end(&self, locks: &Locks) -> Result<()> {
        let log = self.log;
        let no_log = |error| self.fault(&format!("cannot open its log {log}: {error}"));
        let handed_down = locks.handed_down().map_err(|error| {
            self.fault(&format!("cannot be given the lock of its folder: {error}"))
        })?;
        let mut command = Command::new(&self.prepare.run[0]);
        command
            .args(&self.prepare.run[1..])
            .current_dir(&self.folder)
            .env("XTASK_SOURCE_ROOT", self.root.as_str())
            .stdin(Stdio::null())
            .stdout(locks.log().map_err(no_log)?)
            .stderr(locks.log().map_err(no_log)?);
        let child = self
            .interrupt
            .spawn(&mut command)
            .map_err(|error| self.fault(&format!("cannot be started: {error}")))?;
        drop(handed_down);
        let Some(mut child) = child else {
            return Err(Fault::interrupted());
        };
        let status = self.interrupt.wait_for(&mut child);
        if self.interrupt.is_set() {
            return Err(Fault::interrupted());
        }
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(self.fault(&format!("ended with {status}"))),
            Err(error) => Err(self.fault(&format!("cannot be waited for: {error}"))),
        }
    }

    /// The identities of the files behind the names that the command reads.
    fn states(&self, read: &[CommandPart]) -> Vec<(Vec<u8>, Identity)> {
        let parts = read.iter().zip([&self.folder, &self.root]);
        let entries = parts.flat_map(|(part, root)| {
            let entries = part.inputs.entries.iter();
            entries.map(move |entry| (root, entry))
        });
        entries
            .map(|(root, entry)| {
                let path = root.as_std_path().join(OsStr::from_bytes(&entry.path));
                (entry.path.clone(), identity_to_read(&path))
            })
            .collect()
    }
}

fn stamp(spec: &Spec, stage: &Stage, state: &State) -> Utf8PathBuf {
    state.path("prepared").join(spec.prepared_as(stage))
}

/// The folder where the command runs. Links on the way may be pointed elsewhere without a trace
/// there.
fn folder(
    spec: &Spec,
    stage: &Stage,
    prepare: &Prepare,
    tracer: &Tracer<'_>,
) -> Result<Utf8PathBuf> {
    let root = source::root(spec, stage.source.filter(|_| !prepare.beside_graph))?;
    let what = format!("the folder in which `{}` is prepared,", stage.name);
    let real = source::inside(&root, &prepare.dir, &what)?;
    if real != root.join(&prepare.dir) {
        tracer.doubt();
    }
    Ok(real)
}

/// The inode and change time, which tell a file that was written from one that was not. `None` if
/// there is no file.
type Identity = Option<(u64, i64, i64)>;

/// The identities of a file, or of a folder and everything in it. Empty if nothing is there.
fn identities(path: &Path) -> BTreeMap<PathBuf, Identity> {
    let mut all = BTreeMap::new();
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        let Some(own) = identity(&path) else { continue };
        // A link is not followed: what it leads to is another output, or none.
        if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
            let entries = path.read_dir().into_iter().flatten().flatten();
            open.extend(entries.map(|entry| entry.path()));
        }
        all.insert(path, Some(own));
    }
    all
}

fn identity(path: impl AsRef<Path>) -> Identity {
    let meta = path.as_ref().symlink_metadata().ok()?;
    Some((meta.ino(), meta.ctime(), meta.ctime_nsec()))
}

/// The identity of something that is read. An entry that comes or goes in a folder sets both times
/// of the folder at once. That does not count, as a command may make what it likes beside its
/// inputs. Moving the folder leaves its modification time as it was, so that counts.
fn identity_to_read(path: &Path) -> Identity {
    let meta = path.symlink_metadata().ok()?;
    let is_written = (meta.mtime(), meta.mtime_nsec()) == (meta.ctime(), meta.ctime_nsec());
    if meta.is_dir() && is_written {
        return Some((meta.ino(), 0, 0));
    }
    identity(path)
}
