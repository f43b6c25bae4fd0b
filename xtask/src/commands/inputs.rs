//! `cargo xtask inputs`: what can change an image, as the key sees it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;

use serde::Serialize;

use crate::cli;
use crate::contexts::{EntryKind, Input, StatCache};
use crate::fault::{Class, Fault, Result};
use crate::freshness::planner::{self, Assessment, Gathered, Next, Workspace};
use crate::freshness::stage_inputs::{self, StageInputs};
use crate::graphfile::source;
use crate::graphfile::spec::{Parts, StageId, names};
use crate::outside::engine::Engine;
use crate::report::{reasons, words};
use crate::shown::text;

#[derive(Serialize)]
struct Whole<'a> {
    inputs: Vec<Line<'a>>,
    whole_context: bool,
    /// Why the whole context counts.
    because: Option<&'a str>,
    key: String,
}

#[derive(Serialize)]
struct Line<'a> {
    path: String,
    kind: &'static str,
    mode: String,
    hash: Option<String>,
    link: Option<String>,
    /// A hash over the extended attributes that count.
    #[serde(skip_serializing_if = "Option::is_none")]
    xattrs: Option<String>,
    /// The context overlay that the entry is from.
    #[serde(skip_serializing_if = "Option::is_none")]
    overlay: Option<&'a str>,
    /// The named context that the entry is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a str>,
}

/// Lists the inputs of a stage, or of a folder that is in no graph.
pub fn run(flags: &cli::InputsArgs) -> Result<()> {
    let (stage_inputs, key) = match (&flags.stage, &flags.context) {
        (Some(stage), _) => of_stage(flags, stage)?,
        (None, Some(context)) => {
            let stage_inputs = of_folder(flags, context)?;
            let key = planner::of_inputs(&stage_inputs).key().hex();
            (stage_inputs, key)
        }
        (None, None) => return Err(Fault::usage("name a stage, or a folder with `--context`")),
    };
    let lines = lines(&stage_inputs);
    if flags.json {
        let because = stage_inputs.context.inputs.whole.as_deref();
        return super::print_json(&Whole {
            inputs: lines,
            whole_context: because.is_some(),
            because,
            key,
        });
    }
    let mut out = String::new();
    for line in &lines {
        let link = line
            .link
            .as_ref()
            .map_or_else(String::new, |link| format!(" -> {link}"));
        let context = line.context.map_or_else(String::new, |context| {
            format!("  (of the named context {context})")
        });
        let overlay = line
            .overlay
            .map_or_else(String::new, |overlay| format!("  (laid over by {overlay})"));
        let slash = if line.kind == "dir" { "/" } else { "" };
        let _ = writeln!(out, "{}{slash}{link}{context}{overlay}", line.path);
    }
    super::print(&out);
    let (count, bytes) = stage_inputs.count();
    crate::tell!("{}, {}", words::count(count, "input"), words::size(bytes));
    if let Some(why) = &stage_inputs.context.inputs.whole {
        crate::tell!("the whole context counts: {why}");
    }
    Ok(())
}

/// The inputs and the key of a stage. The key is the one that `plan` prints, so it needs the same
/// walk.
fn of_stage(flags: &cli::InputsArgs, stage: &str) -> Result<(StageInputs, String)> {
    let work = super::open(&flags.at, &[], Next::Any)?;
    let id = work.spec.find(stage)?;
    let mut stage_inputs: Option<StageInputs> = None;
    // Of a stage with several platforms, what counts for any of them.
    let parts = match &work.spec.stage(id).parts {
        Parts::Several(parts) => parts.clone(),
        Parts::One | Parts::Of(_) => vec![id],
    };
    for part in parts {
        let more = of_part(&work, part)?;
        match &mut stage_inputs {
            None => stage_inputs = Some(more),
            Some(all) => {
                all.context.inputs.add(more.context.inputs);
                for (name, folder) in more.folders {
                    match all.folders.entry(name) {
                        Entry::Vacant(entry) => drop(entry.insert(folder)),
                        Entry::Occupied(mut entry) => entry.get_mut().inputs.add(folder.inputs),
                    }
                }
            }
        }
    }
    let stage_inputs =
        stage_inputs.ok_or_else(|| Fault::failed(format!("`{stage}` has no parts")))?;
    let key = if flags.json {
        key_of(&work, id, &stage_inputs)?
    } else {
        String::new()
    };
    Ok((stage_inputs, key))
}

fn of_part(work: &Workspace, id: StageId) -> Result<StageInputs> {
    let stage = &work.spec.stage(id).name;
    match work.gather(id)? {
        Gathered::Read(_, stage_inputs) | Gathered::Lent(_, stage_inputs, _) => Ok(*stage_inputs),
        Gathered::Assembled(_) => Err(Fault::failed(format!("`{stage}` has no inputs of its own"))),
        Gathered::PrepareFirst(due) => Err(Fault::failed(format!(
            "the inputs of `{stage}` are not all there yet: {}; `{}` runs it",
            reasons::clause(&due.reason),
            work.spec.call.command(&format!("build {stage}"))
        ))),
    }
}

fn key_of(work: &Workspace, id: StageId, stage_inputs: &StageInputs) -> Result<String> {
    match work.plan(&work.graph.closure(&[id]), |_| false) {
        Ok(plan) => Ok(plan
            .iter()
            .find(|own| own.id == id)
            .map_or_else(String::new, Assessment::shown_key)),
        // Without an engine only the stage's own part of the key is known.
        Err(fault) if fault.class == Class::Lacks => {
            Ok(planner::of_inputs(stage_inputs).key().hex())
        }
        Err(fault) => Err(fault),
    }
}

fn of_folder(flags: &cli::InputsArgs, context: &camino::Utf8Path) -> Result<StageInputs> {
    let mut args = BTreeMap::new();
    for argument in &flags.build_arg {
        let Some((name, value)) = argument.split_once('=') else {
            return Err(Fault::usage(format!(
                "`--build-arg {argument}` has no value: write it like NAME=VALUE"
            )));
        };
        names::variable(name)
            .map_err(|wrong| Fault::usage(format!("`--build-arg {name}` {wrong}")))?;
        args.insert(name.to_owned(), value.to_owned());
    }
    let dockerfile = flags.dockerfile.clone().unwrap_or_else(|| {
        let named = source::dockerfile(context, "Dockerfile".into());
        context.join(named)
    });
    let engine = Engine::find();
    let platform = engine.platform();
    stage_inputs::of_folder(
        context,
        &dockerfile,
        flags.target.as_deref(),
        args,
        platform,
        &StatCache::in_memory(),
    )
}

fn lines(stage_inputs: &StageInputs) -> Vec<Line<'_>> {
    let main = stage_inputs.context.inputs.entries.iter().map(|input| {
        let layer = usize::from(input.layer);
        let overlay = stage_inputs
            .context
            .layers
            .folders
            .get(layer)
            .filter(|_| layer > 0);
        Line {
            overlay: overlay.map(|folder| folder.as_str()),
            ..line(input)
        }
    });
    let named = stage_inputs.folders.iter().flat_map(|(name, folder)| {
        folder.inputs.entries.iter().map(move |input| Line {
            context: Some(name),
            ..line(input)
        })
    });
    main.chain(named).collect()
}

fn line(input: &Input) -> Line<'static> {
    let (kind, link) = match &input.kind {
        EntryKind::File | EntryKind::Withheld | EntryKind::Unsent => ("file", None),
        EntryKind::Dir => ("dir", None),
        EntryKind::Symlink { target } => ("symlink", Some(text(target))),
        EntryKind::Fifo => ("fifo", None),
        _ => ("special", None),
    };
    Line {
        path: text(&input.path),
        kind,
        mode: format!("{:04o}", input.mode),
        hash: input
            .hash
            .map(|hash| blake3::Hash::from_bytes(hash).to_hex().to_string()),
        link,
        xattrs: input
            .attributes
            .as_ref()
            .map(|hash| blake3::Hash::from_bytes(**hash).to_hex().to_string()),
        overlay: None,
        context: None,
    }
}
