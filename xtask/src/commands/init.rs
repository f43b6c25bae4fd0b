//! `cargo xtask init`: a graph file from what the repository has, and what drifted since.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use camino::{Utf8Path, Utf8PathBuf};

use crate::adopt::found::Found;
use crate::adopt::repository::Repository;
use crate::adopt::write::one_line;
use crate::adopt::{self, drift, write};
use crate::cli::InitArgs;
use crate::contexts::{StatCache, Tracer};
use crate::fault::{Class, Fault, Result};
use crate::freshness::stage_inputs;
use crate::graphfile::chosen::NAME;
use crate::graphfile::options::GraphOptions;
use crate::graphfile::spec::{self, Spec};
use crate::graphfile::{lock::Lock, source};
use crate::outside::interrupt::Interrupt;
use crate::outside::state::{self, State};
use crate::report::words;
use crate::shown;

/// Writes the graph file, or says what drifted.
pub fn run(flags: &InitArgs) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let graph = flags.graph.clone().unwrap_or_else(|| NAME.into());
    if flags.check {
        return check(flags, &graph, &interrupt);
    }
    if std::fs::symlink_metadata(&graph).is_ok() {
        return Err(there(&graph));
    }
    let folder = folder_of(&graph)?;
    let trees = if flags.source.is_empty() {
        vec![Repository::of(None, &folder, &interrupt)?]
    } else {
        named(&flags.source, &interrupt)?
    };
    let mut found = adopt::look(&trees, &interrupt);
    if found.stages.is_empty() {
        let mut why = String::new();
        for left in found.left.iter().chain(&found.unread) {
            let _ = write!(why, "; {}", one_line(left));
        }
        return Err(Fault::usage(format!(
            "nothing in {folder} says which images it has: there is no Dockerfile, compose file or bake file to start from{why}"
        )));
    }
    let sources: BTreeMap<String, String> = flags
        .source
        .iter()
        .map(|(name, path)| (name.clone(), path.to_string()))
        .collect();
    let mut spec = expressible(&mut found, &graph, &folder, &sources)?;
    holds_state(&mut found, &spec, &graph);
    ask_of_trees(&mut found, &mut spec, &graph);
    let text = write::graph_file(&found, &sources);
    write_new(&graph, &folder, &text)?;
    super::print(&summary(&found, &graph));
    Ok(())
}

fn there(graph: &Utf8Path) -> Fault {
    Fault::usage(format!(
        "{graph} exists already and is not changed: `{program} init --check` says what has changed since, and `{program} init --graph FILE` writes another one",
        program = shown::program()
    ))
}

fn folder_of(graph: &Utf8Path) -> Result<Utf8PathBuf> {
    let folder = graph.parent().filter(|folder| !folder.as_str().is_empty());
    let folder = folder.unwrap_or(Utf8Path::new("."));
    let whole = folder.canonicalize_utf8();
    whole.map_err(|error| Fault::usage(format!("cannot read the folder {folder}: {error}")))
}

fn named(sources: &[(String, Utf8PathBuf)], interrupt: &Interrupt) -> Result<Vec<Repository>> {
    let trees = sources.iter();
    let trees = trees.map(|(name, folder)| Repository::of(Some(name.clone()), folder, interrupt));
    trees.collect()
}

/// The graph that the text makes. Stages that the graph file cannot express are left out of it, and
/// said to be.
fn expressible(
    found: &mut Found,
    graph: &Utf8Path,
    root: &Utf8Path,
    sources: &BTreeMap<String, String>,
) -> Result<Spec> {
    loop {
        let text = write::graph_file(found, sources);
        let refused = match spec::read_partly(graph, root, &text, &GraphOptions::default()) {
            Ok(spec) => return Ok(spec),
            Err(refused) => refused,
        };
        let Some(partial) = refused.partial else {
            return Err(refused.fault);
        };
        let sound: Vec<&str> = partial
            .sound
            .iter()
            .map(|id| partial.spec.stage(*id).name.as_str())
            .collect();
        let unsound = |name: &str| !sound.contains(&name);
        let Some(at) = found.stages.iter().position(|stage| unsound(&stage.name)) else {
            return Err(refused.fault);
        };
        let stage = found.stages.remove(at);
        let why = refused.fault.lines().unwrap_or_default();
        let why = why.lines().find_map(|line| line.strip_prefix("error: "));
        found.left.push(format!(
            "{}: {}",
            stage.origins.join("; "),
            why.unwrap_or("the graph file cannot express it")
        ));
        for members in found.groups.values_mut() {
            members.remove(&stage.name);
        }
        found.groups.retain(|_, members| !members.is_empty());
    }
}

/// Finds out whether a context holds the place of the state. It must be there to be found, so it is
/// made for the question, and removed again if nothing was there before.
fn holds_state(found: &mut Found, spec: &Spec, graph: &Utf8Path) {
    // The file is committed, so what this caller's environment says must not decide.
    let states = state::beside(graph);
    let place = states.join("graph-000000000000");
    let made: Vec<&Utf8Path> = place.ancestors().take_while(|it| !it.exists()).collect();
    if std::fs::create_dir_all(&place).is_err() {
        return;
    }
    let cache = StatCache::in_memory();
    let with = Tracer::forgetful(&cache).beside(states.as_std_path());
    let without = Tracer::forgetful(&cache);
    let gathers = |id, tracer| stage_inputs::gather(spec, id, None, tracer).is_ok();
    let mut own = spec.ids().filter(|id| spec.stage(*id).source.is_none());
    found.holds_state = own.any(|id| !gathers(id, &with) && gathers(id, &without));
    for folder in made {
        // Only what is still empty goes.
        let _ = std::fs::remove_dir(folder);
    }
}

/// Asks about what the trees of the stages lack.
fn ask_of_trees(found: &mut Found, spec: &mut Spec, graph: &Utf8Path) {
    let state = State::in_folder(State::place(graph));
    let Ok(lock) = Lock::beside(&spec.file) else {
        return;
    };
    source::find(spec, &state, &lock);
    let cache = StatCache::in_memory();
    let tracer = Tracer::forgetful(&cache);
    for stage in &mut found.stages {
        let Ok(id) = spec.find(&stage.name) else {
            continue;
        };
        // The file is committed, and a path of this machine means nothing elsewhere.
        let root = source::root(spec, spec.stage(id).source).unwrap_or_default();
        let shown = |text: &str| {
            let inner = text.replace(&format!("{root}/"), "");
            inner.replace(root.as_str(), ".")
        };
        match stage_inputs::gather(spec, id, None, &tracer) {
            Ok(inputs) => {
                inputs.unreadable().for_each(|line| stage.ask(shown(&line)));
                for absent in &inputs.absent {
                    stage.ask(format!(
                        "{}; a command on this machine that makes it belongs into `prepare`",
                        shown(&absent.told)
                    ));
                }
            }
            Err(fault) => stage.ask(shown(fault.message.lines().next().unwrap_or_default())),
        }
    }
}

/// Writes a file that is not there yet, in one go.
fn write_new(graph: &Utf8Path, folder: &Utf8Path, text: &str) -> Result<()> {
    let cannot = |error: std::io::Error| Fault::lacks(format!("cannot write {graph}: {error}"));
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder)
        .map_err(cannot)?;
    file.write_all(text.as_bytes()).map_err(cannot)?;
    file.as_file().sync_all().map_err(cannot)?;
    match file.persist_noclobber(graph) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Err(there(graph)),
        Err(error) => Err(cannot(error.error)),
    }
}

fn summary(found: &Found, graph: &Utf8Path) -> String {
    let asked = found.stages.iter().map(|stage| stage.questions.len()).sum();
    let mut text = format!(
        "wrote {graph}: {}, {}\n",
        words::count(found.stages.len(), "stage"),
        words::count(asked, "question")
    );
    let width = found.stages.iter().map(|stage| stage.name.len()).max();
    let width = width.unwrap_or(0);
    for stage in &found.stages {
        let from = stage.origins.first().map_or("", String::as_str);
        let (dockerfile, from) = (one_line(stage.dockerfile.as_str()), one_line(from));
        let _ = writeln!(text, "  {:width$}  {dockerfile}  from {from}", stage.name);
        for question in &stage.questions {
            let _ = writeln!(text, "  {:width$}  ? {}", "", one_line(question));
        }
    }
    for left in found.left.iter().chain(&found.unread) {
        let _ = writeln!(text, "not taken: {}", one_line(left));
    }
    let call = crate::graphfile::call::Call::with(
        (graph != NAME).then_some(graph),
        &GraphOptions::default(),
    );
    let _ = writeln!(text, "next: {}", call.command("plan"));
    text
}

/// Says what drifted since the graph file was written.
fn check(flags: &InitArgs, graph: &Utf8Path, interrupt: &Interrupt) -> Result<()> {
    let text = state::read_text(graph).map_err(|error| {
        Fault::usage(format!(
            "cannot read the graph file {graph}: {error}; `{} init` writes one",
            shown::program()
        ))
    })?;
    let mut spec = spec::load(graph, &GraphOptions::default())?;
    let lock = Lock::beside(&spec.file)?;
    source::find(&mut spec, &State::in_folder(State::place(graph)), &lock);
    let folder = folder_of(graph)?;
    let trees = if flags.source.is_empty() {
        let mut trees = Vec::new();
        // A graph of sources has only overlays of its own, which nothing else names.
        if spec.sources.is_empty() {
            trees.push(Repository::of(None, &folder, interrupt)?);
        }
        for (at, own) in spec.sources.iter().enumerate() {
            let id = spec::SourceId(u32::try_from(at).unwrap_or(u32::MAX));
            let root = source::root(&spec, Some(id))?;
            trees.push(Repository::of(Some(own.name.clone()), &root, interrupt)?);
        }
        trees
    } else {
        named(&flags.source, interrupt)?
    };
    let sources: BTreeMap<String, String> = trees
        .iter()
        .filter_map(|tree| Some((tree.source.clone()?, tree.root.to_string())))
        .collect();
    let mut found = adopt::look(&trees, interrupt);
    // What a file says that cannot be read may be the same or not.
    if !found.unread.is_empty() {
        let unread = one_line(&found.unread.join("; "));
        return Err(Fault::lacks(format!(
            "cannot tell what has changed: {unread}; `{} setup` installs what is missing",
            shown::program()
        )));
    }
    let today = expressible(&mut found, graph, &folder, &sources)?;
    let drifted = drift::of(&found, &today, &spec, &text);
    if drifted.is_empty() {
        super::print(&format!("{graph} has everything that is there\n"));
        return Ok(());
    }
    let mut told = String::new();
    for one in &drifted {
        let _ = writeln!(told, "{}", one_line(one));
    }
    super::print(&told);
    Err(Fault::told(Class::Failed))
}
