//! `cargo xtask sync`: fetches sources before they are needed.

use std::fmt::Write as _;
use std::sync::mpsc::{Sender, channel};

use camino::Utf8PathBuf;
use serde::Serialize;

use crate::build::fetching::{self, Fetcher};
use crate::cli::{self, Where};
use crate::fault::{Fault, Result};
use crate::freshness::planner::{Next, Workspace};
use crate::graphfile::base_override;
use crate::graphfile::graph::Graph;
use crate::graphfile::source::{self, tree::Gaps};
use crate::graphfile::spec::{Place, SourceId, StageId, mistakes, names};
use crate::outside::interrupt::Interrupt;
use crate::report::event::Event;
use crate::report::{Loudness, Reporting, words};

#[derive(Serialize)]
struct Whole<'a> {
    sources: Vec<Line<'a>>,
}

/// One source as JSON.
#[derive(Serialize)]
struct Line<'a> {
    source: &'a str,
    /// `local`, `here` or `fetched`.
    state: &'static str,
    /// The locked commit; `None` for a local checkout, which is not locked.
    commit: Option<&'a str>,
    path: &'a str,
}

/// Fetches the sources that are not here. With `--check` only asks.
pub fn run(flags: &cli::SyncArgs) -> Result<()> {
    let mut work = super::open(&flags.at, &[], Next::Any)?;
    let wanted = wanted(&work, &flags.sources)?;
    let interrupt = Interrupt::listen()?;
    // With `--json` the answer is one object, without events around it.
    let reporting = (!flags.json).then(|| Reporting::start(false, Loudness::Normal, None));
    let events = reporting
        .as_ref()
        .map_or_else(|| channel().0, Reporting::sender);
    let asking = Asking {
        interrupt: &interrupt,
        events: &events,
        locked: flags.locked,
        offline: flags.offline,
    };
    let result = if flags.check {
        check(&work, &wanted, &asking).map(|()| Vec::new())
    } else {
        bring(&mut work, &wanted, &asking)
    };
    drop(events);
    if let Some(reporting) = reporting {
        reporting.finish();
    }
    let fetched = result?;
    if flags.check {
        return Ok(());
    }
    let lines: Vec<Line<'_>> = wanted
        .iter()
        .filter_map(|id| line(&work, *id, &fetched))
        .collect();
    if flags.json {
        return super::print_json(&Whole { sources: lines });
    }
    let width = lines
        .iter()
        .map(|line| line.source.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for line in lines {
        let commit = line.commit.unwrap_or("used as it is");
        let _ = writeln!(
            text,
            "{:width$}  {:7}  {commit}  {}",
            line.source, line.state, line.path
        );
    }
    super::print(&text);
    Ok(())
}

/// How a command asks for sources.
pub(super) struct Asking<'a> {
    pub(super) interrupt: &'a Interrupt,
    pub(super) events: &'a Sender<Event>,
    pub(super) locked: bool,
    pub(super) offline: bool,
}

impl Asking<'_> {
    fn sync<'w>(&'w self, work: &'w Workspace) -> Fetcher<'w> {
        Fetcher {
            spec: &work.spec,
            state: &work.state,
            lock: &work.lock,
            interrupt: self.interrupt,
            events: self.events,
            locked: self.locked,
            offline: self.offline,
        }
    }
}

/// Fetches the sources of some stages that are not here. Gives whether there were any: then the
/// stages may stand on others than before.
pub(super) fn for_stages(
    work: &mut Workspace,
    stages: &[StageId],
    asking: &Asking<'_>,
) -> Result<bool> {
    let sources = fetching::unfetched(&work.spec, &fetching::of_stages(&work.spec, stages));
    fetch(work, &sources, asking)?;
    Ok(!sources.is_empty())
}

/// Fetches and pins the sources that are not here. Also pins anew the sources among `names`, or all
/// sources if `names` is empty. Gives a line for each source that moved, and the names that are not
/// sources.
pub(super) fn pin(
    work: &mut Workspace,
    names: Option<&[String]>,
    interrupt: &Interrupt,
) -> Result<(String, Option<Vec<String>>)> {
    let reporting = Reporting::start(false, Loudness::Normal, None);
    // The reporter ends when the last sender is dropped.
    let result = with_events(interrupt, &reporting.sender(), |asking| {
        pin_asking(work, names, asking)
    });
    reporting.finish();
    result
}

fn pin_asking(
    work: &mut Workspace,
    names: Option<&[String]>,
    asking: &Asking<'_>,
) -> Result<(String, Option<Vec<String>>)> {
    let from_git = from_git(work);
    let is_named = |id: &SourceId, name: &String| work.spec.sources[id.index()].name == *name;
    let (moving, images) = match names {
        None => (Vec::new(), None),
        Some([]) => (from_git.clone(), Some(Vec::new())),
        Some(names) => {
            let moving: Vec<SourceId> = from_git
                .iter()
                .copied()
                .filter(|id| names.iter().any(|name| is_named(id, name)))
                .collect();
            let is_source = |name: &&String| moving.iter().any(|id| is_named(id, name));
            let images: Vec<String> = names
                .iter()
                .filter(|name| !is_source(name))
                .cloned()
                .collect();
            // An empty list of names would mean all images.
            (moving, (!images.is_empty()).then_some(images))
        }
    };
    let mut text = String::new();
    if !moving.is_empty() {
        for drift in asking.sync(work).update(&moving)? {
            let name = &work.spec.sources[drift.source.index()].name;
            let _ = match &drift.locked {
                Some(locked) => writeln!(text, "moved    source {name}: {locked} -> {}", drift.now),
                None => writeln!(text, "locked   source {name}: {}", drift.now),
            };
        }
        if let Ok(lock) = work.lock.lock() {
            source::find(&mut work.spec, &work.state, &lock);
        }
    }
    let missing = fetching::unfetched(&work.spec, &from_git);
    fetch(work, &missing, asking)?;
    Ok((text, images))
}

/// The sources that are fetched by git. A user's own checkout is pinned to nothing.
pub(super) fn from_git(work: &Workspace) -> Vec<SourceId> {
    let sources = work.spec.sources.iter().zip(0..);
    sources
        .filter(|(source, _)| source.git.is_some() && !matches!(source.place, Place::Local { .. }))
        .map(|(_, id)| SourceId(id))
        .collect()
}

/// The sources whose revisions differ from the lock.
pub(super) fn drifted(work: &Workspace, interrupt: &Interrupt) -> Result<Vec<fetching::Drift>> {
    with_events(interrupt, &channel().0, |asking| {
        asking.sync(work).drifted(&from_git(work))
    })
}

/// The same graph, with the source of a drift at the commit that its revision is now. The commit is
/// fetched, but not pinned.
pub(super) fn at_commit_of(
    at: &Where,
    drift: &fetching::Drift,
    interrupt: &Interrupt,
) -> Result<Workspace> {
    let mut work = super::open(at, &[], Next::Any)?;
    let reporting = Reporting::start(false, Loudness::Normal, None);
    let root = with_events(interrupt, &reporting.sender(), |asking| {
        asking.sync(&work).bring(drift.source, &drift.now)
    });
    reporting.finish();
    work.spec.sources[drift.source.index()].place = Place::Fetched {
        root: root?,
        commit: drift.now.clone(),
    };
    reread(&mut work)?;
    Ok(work)
}

/// The tree of another revision of a source, and its commit. It is fetched, but not pinned.
pub(super) fn at_revision(
    at: &Where,
    id: SourceId,
    revision: &str,
    interrupt: &Interrupt,
) -> Result<(Utf8PathBuf, String)> {
    names::revision(revision)
        .map_err(|why| Fault::usage(format!("revision `{}` {why}", revision.escape_debug())))?;
    let mut work = super::open(at, &[], Next::Any)?;
    let source = &mut work.spec.sources[id.index()];
    if let Some(git) = &mut source.git {
        revision.clone_into(&mut git.rev);
    }
    let reporting = Reporting::start(false, Loudness::Normal, None);
    let found = with_events(interrupt, &reporting.sender(), |asking| {
        let sync = asking.sync(&work);
        let commit = match sync.drifted(&[id])?.into_iter().next() {
            Some(drift) => drift.now,
            None => {
                let source = &work.spec.sources[id.index()];
                return Err(Fault::usage(format!(
                    "source `{}` is at {revision} already, by {}",
                    source.name,
                    work.spec.file.with_extension("lock")
                )));
            }
        };
        Ok((sync.bring(id, &commit)?, commit))
    });
    reporting.finish();
    // The graph file is right: it is the call that names another revision.
    found.map_err(|fault| match fault.message.split_once(": correct `rev`") {
        Some((what, _)) => Fault::usage(format!("{what}: name a tag, a branch or a commit of it")),
        None => fault,
    })
}

fn with_events<T>(
    interrupt: &Interrupt,
    events: &Sender<Event>,
    ask: impl FnOnce(&Asking<'_>) -> T,
) -> T {
    ask(&Asking {
        interrupt,
        events,
        locked: false,
        offline: false,
    })
}

fn fetch(work: &mut Workspace, sources: &[SourceId], asking: &Asking<'_>) -> Result<()> {
    if sources.is_empty() {
        return Ok(());
    }
    asking.sync(work).fetch(sources)?;
    if let Ok(lock) = work.lock.lock() {
        source::find(&mut work.spec, &work.state, &lock);
    }
    reread(work)
}

/// Applies base overrides again and rebuilds the graph: which external images a source's stages use
/// is known once the source is here.
fn reread(work: &mut Workspace) -> Result<()> {
    source::facts::settle_names(&mut work.spec)?;
    base_override::apply(&mut work.spec)?;
    work.graph = Graph::of(&work.spec)?;
    Ok(())
}

/// The sources that were named, or all.
fn wanted(work: &Workspace, names: &[String]) -> Result<Vec<SourceId>> {
    let sources = &work.spec.sources;
    let ids = (0..).map(SourceId).take(sources.len());
    if names.is_empty() {
        return Ok(ids.collect());
    }
    let known = || sources.iter().map(|source| source.name.as_str());
    for name in names {
        if !known().any(|known| known == name) {
            let hint = mistakes::nearest(name, known()).map_or_else(
                || format!("it has {}", known().collect::<Vec<_>>().join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            return Err(Fault::usage(format!(
                "unknown source `{}`: {} does not declare it; {hint}",
                name.escape_debug(),
                work.spec.file
            )));
        }
    }
    Ok(ids
        .filter(|id| names.contains(&sources[id.index()].name))
        .collect())
}

/// Fetches the sources that are not here, and gives them.
fn bring(work: &mut Workspace, wanted: &[SourceId], asking: &Asking<'_>) -> Result<Vec<SourceId>> {
    let unfetched = fetching::unfetched(&work.spec, wanted);
    fetch(work, &unfetched, asking)?;
    for id in wanted {
        let source = &work.spec.sources[id.index()];
        let root = source::root(&work.spec, Some(*id))?;
        if let Place::Local { .. } = source.place {
            let gaps = Gaps::of(&root)
                .map_err(|error| Fault::lacks(format!("cannot read {root}: {error}")))?;
            let who = format!("source `{}`", source.name);
            for message in gaps.told(&who, &source::remedy(&work.spec, Some(*id))?) {
                let _ = asking.events.send(Event::Notice { message });
            }
        }
    }
    Ok(unfetched)
}

/// Asks what tags and branches are now, and reports those that differ from the lock.
fn check(work: &Workspace, wanted: &[SourceId], asking: &Asking<'_>) -> Result<()> {
    let from_git = |id: &SourceId| work.spec.sources[id.index()].git.is_some();
    let asked: Vec<SourceId> = wanted.iter().copied().filter(from_git).collect();
    let sync = asking.sync(work);
    let drifted = sync.drifted(&asked)?;
    let mut text = String::new();
    let mut faults = Vec::new();
    for drift in &drifted {
        let told = sync.drift_told(drift)?;
        if drift.is_moved_tag() {
            faults.push(Fault::usage(told));
        } else {
            let _ = writeln!(text, "{told}");
        }
    }
    let good = asked.len() - drifted.len();
    let _ = writeln!(
        text,
        "{good} of {} as the lock says",
        words::count(asked.len(), "source")
    );
    super::print(&text);
    fetching::together(faults)
}

fn line<'w>(work: &'w Workspace, id: SourceId, fetched: &[SourceId]) -> Option<Line<'w>> {
    let source = &work.spec.sources[id.index()];
    let (state, commit, path) = match &source.place {
        Place::Local { root } => ("local", None, root),
        Place::Fetched { root, commit } if fetched.contains(&id) => ("fetched", Some(commit), root),
        Place::Fetched { root, commit } => ("here", Some(commit), root),
        Place::Unsought | Place::Unfetched(_) | Place::Wrong(_) => return None,
    };
    Some(Line {
        source: &source.name,
        state,
        commit: commit.map(String::as_str),
        path: path.as_str(),
    })
}
